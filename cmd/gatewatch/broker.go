package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
)

// embeddedBroker is a broker in this process that speaks the Kafka protocol: gatewatch reads from it as from any other.
type embeddedBroker struct {
	cluster *kfake.Cluster
	topic   string
}

func startBroker(topic string, partitions int32) (*embeddedBroker, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return &embeddedBroker{cluster: cluster, topic: topic}, nil
}

func (b *embeddedBroker) addresses() []string { return b.cluster.ListenAddrs() }

func (b *embeddedBroker) close() { b.cluster.Close() }

// newProducer writes to a topic as gateways do: without keys, to all partitions in turn.
func newProducer(brokers []string, topic string) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, Balancer: &kafka.RoundRobin{}, BatchSize: 2000, BatchBytes: 900_000,
		BatchTimeout: 20 * time.Millisecond, RequiredAcks: kafka.RequireOne,
	}
}

// produce writes the lines, which may be reused when it returns.
func produce(ctx context.Context, w *kafka.Writer, lines [][]byte) error {
	messages := make([]kafka.Message, len(lines))
	for i, line := range lines {
		messages[i].Value = line
	}
	if err := w.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("produce telemetry: %w", err)
	}
	return nil
}
