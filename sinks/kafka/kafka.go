// Package kafka produces alerts to a Kafka topic.
//
// The key of a record is the alert's id, hashed as the Java client does, so that all versions of an alert are in one
// partition, in order. The value is the alert's JSON form. Delivery is at least once: when an answer of the broker is
// lost, a record comes again with equal id and version.
package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/sinks"
	kafka "github.com/segmentio/kafka-go"
)

// Sink produces to one topic.
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
	_, err := s.partitions(ctx)
	return err
}

// Deliver implements [sinks.Sink]. Partitions are written at the same time and may succeed or fail one by one.
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	records, refused := s.encode(batch)
	if len(records) == 0 {
		return sinks.Refuse(refused)
	}
	partitions, err := s.partitions(ctx)
	if err != nil {
		return err // a further attempt finds the refused ones again
	}
	results := make(chan result)
	var work sync.WaitGroup
	for partition, records := range s.assign(records, partitions) {
		work.Go(func() { results <- s.write(ctx, partition, records) })
	}
	go func() {
		work.Wait()
		close(results)
	}()
	return collect(results, refused)
}

// record is an alert on its way.
type record struct {
	index   int // in the batch
	key     []byte
	value   []byte
	headers []kafka.Header
	time    time.Time // zero: the moment of sending
}

// wire returns the record as the client sends it, once: the client reads keys and values to their ends.
func (r *record) wire() kafka.Record {
	return kafka.Record{Time: r.time, Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.value), Headers: r.headers}
}

// size returns the bytes of the record with what the protocol adds.
func (r *record) size() int { return len(r.key) + len(r.value) + overhead }

// overhead is at least what the protocol adds to key and value: headers, lengths, times.
const overhead = 100

func (s *Sink) encode(batch []*alert.Alert) (records []record, refused []sinks.Refusal) {
	for i, a := range batch {
		var value bytes.Buffer
		err := sinks.WriteJSON(&value, a)
		r := record{index: i, key: []byte(a.ID), value: bytes.TrimSuffix(value.Bytes(), []byte("\n")), headers: headers(a)}
		if err == nil && r.size() > s.config.MaxBatchBytes {
			err = fmt.Errorf("alert %s version %d has %d bytes, more than max_batch_bytes", a.ID, a.Version, r.size())
		}
		if err != nil {
			refused = append(refused, sinks.Refusal{Index: i, Err: err})
			continue
		}
		if a.EmittedAt != nil {
			r.time = a.EmittedAt.Std()
		}
		records = append(records, r)
	}
	return records, refused
}

func headers(a *alert.Alert) []kafka.Header {
	return []kafka.Header{
		{Key: "content-type", Value: []byte("application/json")},
		{Key: "schema", Value: []byte("gatewatch.alert/" + strconv.Itoa(a.Schema))},
	}
}

// partitions returns the numbers of the topic's partitions and creates the topic if it is missing and the configuration
// says so. The transport remembers the answer for some seconds.
func (s *Sink) partitions(ctx context.Context) ([]int, error) {
	found, err := s.lookup(ctx)
	if errors.Is(err, kafka.UnknownTopicOrPartition) && s.config.Partitions > 0 {
		if err = s.create(ctx); err == nil {
			found, err = s.lookup(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up topic %s at %s: %w", s.config.Topic, s.client.Addr, advise(err))
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

func (s *Sink) lookup(ctx context.Context) ([]int, error) {
	answer, err := s.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{s.config.Topic}})
	if err != nil {
		return nil, err
	}
	for _, topic := range answer.Topics {
		if topic.Name != s.config.Topic {
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

func (s *Sink) create(ctx context.Context) error {
	answer, err := s.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: s.config.Topic, NumPartitions: s.config.Partitions, ReplicationFactor: -1,
	}}})
	if err == nil {
		err = answer.Errors[s.config.Topic]
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
