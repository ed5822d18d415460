package router

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// Sizes in bytes.
const (
	cutAt    = 256 << 10       // of one record, before compression
	maxBatch = 1_000_000       // of the records in one request to a partition: what brokers take by default
	maxValue = maxBatch - 4096 // of one record
)

func (in *input) header(k int32, next int64, now time.Time) keyed.Header {
	return keyed.Header{
		Shape: in.plan.shape, Partition: in.id, From: in.outputs[k].sent, Next: next, Progress: in.clock.Newest(), Written: event.TimeOf(now),
	}
}

// encode writes the record. When it is still too large, the one raw record that it holds the events of becomes a dead letter,
// and the record a mark.
func (in *input) encode(ctx context.Context, h *keyed.Header, offset int64) ([]byte, error) {
	value, err := in.encoder.Append(nil, h)
	if err != nil || !in.tooLarge(value) {
		return value, err
	}
	in.router.metrics.tooLarge.Inc()
	err = in.router.bury(ctx, []ingest.Rejected{{
		Partition: in.id, Offset: offset, Reason: ingest.TooLarge, Size: len(value),
		Detail: fmt.Sprintf("its %d events for one partition of the keyed topic take %d bytes, compressed; there is room for %d events and %d bytes",
			in.encoder.Len(), len(value), keyed.MaxEvents, maxValue),
	}})
	if err != nil {
		return nil, err
	}
	in.encoder.Begin()
	return in.encoder.Append(nil, h)
}

func (in *input) tooLarge(value []byte) bool {
	return len(value) > maxValue || in.encoder.Len() > keyed.MaxEvents || in.encoder.Size() > keyed.MaxSize
}

// send hands a record to the producer as soon as it has room.
func (in *input) send(ctx context.Context, k int32, value []byte, next int64, now time.Time) error {
	if err := in.router.budget.Acquire(ctx, int64(len(value))); err != nil {
		return err
	}
	in.produce(k, value, next, now)
	return nil
}

// produce hands a record over that has its place in the budget. It is written however the source fares: a partition that comes
// back must find its chains whole.
func (in *input) produce(k int32, value []byte, next int64, now time.Time) {
	out, r, mark := &in.outputs[k], in.router, in.encoder.Len() == 0
	out.sent, out.at = next, now
	size := len(value)
	r.metrics.waiting.Add(float64(size))
	record := &kgo.Record{Partition: k, Value: value, Timestamp: now}
	r.client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
		r.budget.Release(int64(size))
		r.metrics.waiting.Sub(float64(size))
		if err != nil {
			out.lost.Store(true)
			r.fail(fmt.Errorf("write to %s partition %d: %w", r.o.Config.Topic, k, err))
			return
		}
		r.metrics.acknowledged(size, mark, now)
		if !out.lost.Load() {
			out.acked.Store(next)
		}
		select {
		case in.changed <- struct{}{}:
		default: // it has been told already
		}
	})
}
