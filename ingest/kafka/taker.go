package kafka

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// receiver is what a source works for: an [ingest.Receiver] or a [keyed.Receiver].
type receiver interface {
	Assigned(ctx context.Context, next map[event.Partition]int64) error
	CaughtUp(p event.Partition, now time.Time)
	Revoked(ctx context.Context, p event.Partition)
	taker(p event.Partition) taker
}

// taker makes of the records of one partition what its receiver takes. The partition's reader owns it.
type taker interface {
	add(offset int64, value []byte) // value is valid during the call
	size() (events, bytes int)      // of what was added and not handed over
	// handOver gives the receiver what was added: everything of the stretch.
	handOver(ctx context.Context, s stretch, skipped []ingest.Rejected) error
}

// stretch is everything between two offsets.
type stretch struct {
	first, next int64
	anew        bool // the partition was made anew
}

// batches are for an [ingest.Receiver].
type batches struct {
	ingest.Receiver
	source *Source
}

func (b batches) taker(p event.Partition) taker {
	d := b.source.newDecoder()
	d.Begin(p)
	return &batchTaker{d, p, b}
}

type batchTaker struct {
	decoder   Decoder
	partition event.Partition
	receiver  ingest.Receiver
}

func (t *batchTaker) add(offset int64, value []byte) { t.decoder.Add(offset, value) }
func (t *batchTaker) size() (events, bytes int)      { return t.decoder.Len() }

func (t *batchTaker) handOver(ctx context.Context, s stretch, skipped []ingest.Rejected) error {
	batch, rejected := t.decoder.Take()
	if batch == nil {
		batch = &event.Batch{Partition: t.partition}
	}
	batch.First, batch.Next, batch.Anew = s.first, s.next, s.anew
	return t.receiver.Receive(ctx, batch, append(rejected, skipped...))
}

// portions are for a [keyed.Receiver].
type portions struct {
	keyed.Receiver
	source *Source
}

func (s portions) taker(p event.Partition) taker {
	return &portionTaker{decoder: s.source.newKeyed(), partition: p, receiver: s, metrics: s.source.metrics}
}

type portionTaker struct {
	decoder   *keyed.Decoder
	partition event.Partition
	receiver  keyed.Receiver
	metrics   *metrics

	runs          []*keyed.Run
	rejected      []ingest.Rejected
	events, bytes int
}

func (t *portionTaker) add(offset int64, value []byte) {
	t.bytes += len(value)
	run, err := t.decoder.Decode(offset, value)
	if err != nil {
		t.metrics.unreadable.Inc()
		t.rejected = append(t.rejected, ingest.Rejected{
			Partition: t.partition, Offset: offset, Reason: ingest.UnknownForm, Size: len(value), Detail: err.Error(),
		})
		return
	}
	t.events += len(run.Batch.Events)
	t.runs = append(t.runs, run)
}

func (t *portionTaker) size() (events, bytes int) { return t.events, t.bytes }

func (t *portionTaker) handOver(ctx context.Context, s stretch, skipped []ingest.Rejected) error {
	p := &keyed.Portion{Partition: t.partition, First: s.first, Next: s.next, Anew: s.anew, Runs: t.runs, Rejected: append(t.rejected, skipped...)}
	t.runs, t.rejected, t.events, t.bytes = nil, nil, 0, 0
	return t.receiver.Receive(ctx, p)
}
