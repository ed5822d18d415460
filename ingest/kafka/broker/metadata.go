package broker

import (
	"fmt"
	"net"
	"strconv"

	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Topic is what a broker knows of a topic.
type Topic struct {
	Err     error    // a kafka.Error, for example UnknownTopicOrPartition
	Leaders []string // address for each partition; "": none at the moment
}

// Topics asks for topics by name. Topics that do not exist are not created: nobody has said with how many partitions.
func (c *Conn) Topics(names []string) (map[string]Topic, error) {
	answer, err := c.ask(&metadata.Request{TopicNames: names})
	if err != nil {
		return nil, fmt.Errorf("ask for topics: %w", err)
	}
	response := answer.(*metadata.Response)
	address := map[int32]string{}
	for _, b := range response.Brokers {
		address[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	topics := make(map[string]Topic, len(response.Topics))
	for _, t := range response.Topics {
		topic := Topic{Err: kafkaError(t.ErrorCode), Leaders: make([]string, len(t.Partitions))}
		for _, p := range t.Partitions {
			if int(p.PartitionIndex) < len(topic.Leaders) && p.PartitionIndex >= 0 {
				topic.Leaders[p.PartitionIndex] = address[p.LeaderID]
			}
		}
		topics[t.Name] = topic
	}
	return topics, nil
}

// The offsets that Offset finds, as Kafka numbers them.
const (
	Latest   int64 = -1 // after the last record
	Earliest int64 = -2 // of the first record that is still there
)

// Offset finds the Earliest or Latest offset of a partition that the broker leads.
func (c *Conn) Offset(topic string, partition int32, which int64) (int64, error) {
	answer, err := c.ask(&listoffsets.Request{ReplicaID: -1, IsolationLevel: readCommitted, Topics: []listoffsets.RequestTopic{{
		Topic: topic, Partitions: []listoffsets.RequestPartition{{Partition: partition, CurrentLeaderEpoch: -1, Timestamp: which}},
	}}})
	if err != nil {
		return 0, fmt.Errorf("ask for offsets: %w", err)
	}
	for _, t := range answer.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			if t.Topic == topic && p.Partition == partition {
				return p.Offset, kafkaError(p.ErrorCode)
			}
		}
	}
	return 0, fmt.Errorf("ask for offsets: %w", errProtocol)
}
