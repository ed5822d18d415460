// Package kafka produces alerts to a Kafka topic, and blind spots to another.
//
// The key of a record is the id of the alert or blind spot, hashed as the Java client does, so that all its versions are in
// one partition, in order. The value is the JSON form or, of alerts, an OCSF Detection Finding; the header schema says which. Delivery is at least once: when an answer of the broker is
// lost, a record comes again with equal id and version.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/sinks"
	kafka "github.com/segmentio/kafka-go"
)

// Sink produces to two topics.
type Sink struct {
	config   Config
	client   *kafka.Client
	balancer kafka.Balancer
}

// New returns a sink for a valid configuration. It reads certificates but does not connect: the cluster may come later.
func New(c Config) (*Sink, error) {
	cluster, err := connection.New(c.Config)
	if err != nil {
		return nil, fmt.Errorf("set up kafka sink: %w", err)
	}
	return &Sink{
		config:   c,
		client:   &kafka.Client{Addr: cluster.Addr(), Transport: cluster.Transport()},
		balancer: kafka.Murmur2Balancer{Consistent: true},
	}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "kafka" }

// Check connects and looks the topic up, so that wrong settings show at the start and not with the first alert.
func (s *Sink) Check(ctx context.Context) error {
	_, err := s.partitions(ctx, s.config.Topic)
	return err
}

// Deliver implements [sinks.Sink]. Partitions are written at the same time and may succeed or fail one by one.
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	records, refused := encode(batch, s.config.MaxBatchBytes, s.alertRecord)
	return s.deliver(ctx, s.config.Topic, records, refused)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink]. It refuses them when their topic is missing and not to be created, or
// forbidden.
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	topic := s.config.blindSpotsTopic()
	if topic == "" {
		return nil
	}
	if _, err := s.partitions(ctx, topic); s.noPlace(err) {
		return sinks.RefuseAll(len(batch), fmt.Errorf("%w: create the topic, or set blind_spots_topic to another or to -", err))
	}
	records, refused := encode(batch, s.config.MaxBatchBytes, blindSpotRecord)
	return s.deliver(ctx, topic, records, refused)
}

// noPlace tells a topic that somebody has to create or permit from one that is about to appear.
func (s *Sink) noPlace(err error) bool {
	return errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.UnknownTopicOrPartition) && s.config.Partitions == 0
}

func (s *Sink) deliver(ctx context.Context, topic string, records []record, refused []sinks.Refusal) error {
	if len(records) == 0 {
		return sinks.Refuse(refused)
	}
	partitions, err := s.partitions(ctx, topic)
	if err != nil {
		return err // a further attempt finds the refused ones again
	}
	results := make(chan result)
	var work sync.WaitGroup
	for partition, records := range s.assign(records, partitions) {
		work.Go(func() { results <- s.write(ctx, topic, partition, records) })
	}
	go func() {
		work.Wait()
		close(results)
	}()
	return collect(results, refused)
}

// partitions returns the numbers of the topic's partitions and creates the topic if it is missing and the configuration
// says so. The transport remembers the answer for some seconds.
func (s *Sink) partitions(ctx context.Context, name string) ([]int, error) {
	found, err := s.lookup(ctx, name)
	if errors.Is(err, kafka.UnknownTopicOrPartition) && s.config.Partitions > 0 {
		if err = s.create(ctx, name); err == nil {
			found, err = s.lookup(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up topic %s at %s: %w", name, s.client.Addr, advise(err))
	}
	return found, nil
}

// advise adds what to do about errors that only an operator can repair.
func advise(err error) error {
	if advice := connection.Advice(err); advice != "" {
		return fmt.Errorf("%w (%s)", err, advice)
	}
	return err
}

func (s *Sink) lookup(ctx context.Context, name string) ([]int, error) {
	answer, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return nil, err
	}
	for _, topic := range answer.Topics {
		if topic.Name != name {
			continue
		}
		if topic.Error != nil {
			return nil, topic.Error
		}
		numbers := make([]int, len(topic.Partitions))
		for i := range numbers {
			numbers[i] = i
		}
		if len(numbers) > 0 {
			return numbers, nil
		}
	}
	return nil, kafka.UnknownTopicOrPartition
}

func (s *Sink) create(ctx context.Context, name string) error {
	answer, err := s.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: name, NumPartitions: s.config.Partitions, ReplicationFactor: -1,
	}}})
	if err == nil {
		err = answer.Errors[name]
	}
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

func (s *Sink) assign(records []record, partitions []int) map[int][]record {
	assigned := make(map[int][]record)
	for _, r := range records {
		p := s.balancer.Balance(kafka.Message{Key: r.key}, partitions...)
		assigned[p] = append(assigned[p], r)
	}
	return assigned
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Transport.(*kafka.Transport).CloseIdleConnections()
	return nil
}
