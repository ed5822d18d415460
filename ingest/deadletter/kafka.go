package deadletter

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/ingest"
)

// Kafka produces letters to a topic. The key is the position of the record, so that what is written twice is easy to find.
type Kafka struct{ writer *kafka.Writer }

// NewKafka produces with w, which it closes; w has an address, a topic and a transport, and gets the rest here.
func NewKafka(w *kafka.Writer) *Kafka {
	w.RequiredAcks = kafka.RequireAll
	w.BatchSize = batchLetters
	w.BatchTimeout = 5 * time.Millisecond // a write waits for it: there is nothing to be gained
	w.Compression = kafka.Zstd
	return &Kafka{writer: w}
}

// batchLetters bounds how many letters one request carries for a partition: with excerpts of half a kilobyte, about as much
// as brokers take.
const batchLetters = 1000

// Write implements [Writer]. The letters are acknowledged by all replicas in sync when it returns.
func (k *Kafka) Write(ctx context.Context, rejected []ingest.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	now := time.Now()
	messages := make([]kafka.Message, len(rejected))
	for i, r := range rejected {
		var value bytes.Buffer
		if err := encode(&value, r, now); err != nil {
			return err
		}
		messages[i] = kafka.Message{Key: fmt.Appendf(nil, "%s/%d/%d/%d", r.Partition.Topic, r.Partition.ID, r.Offset, r.Index), Value: bytes.TrimSpace(value.Bytes())}
	}
	if err := k.writer.WriteMessages(ctx, messages...); err != nil {
		return fmt.Errorf("produce dead letters to %s: %w", k.writer.Topic, err)
	}
	return nil
}

// Close implements [Writer].
func (k *Kafka) Close() error {
	err := k.writer.Close()
	if t, ok := k.writer.Transport.(*kafka.Transport); ok {
		t.CloseIdleConnections()
	}
	return err
}
