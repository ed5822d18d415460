package kafka

import (
	"context"
	"iter"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
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
	add(offset int64, value []byte, beside beside) // what it is given is valid during the call
	size() (events, bytes int)                     // of what was added and not handed over
	// handOver gives the receiver what was added: everything of the stretch.
	handOver(ctx context.Context, s stretch, skipped []ingest.Rejected) error
}

// beside is what Kafka carries beside the value of a record.
type beside interface {
	Key() []byte
	Headers() iter.Seq2[[]byte, []byte]
}

// wholeDecoder is a decoder that may also look at what is beside the value.
type wholeDecoder interface {
	Whole() bool
	AddRecord(offset int64, r accesslog.Record)
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
	t := &batchTaker{decoder: d, partition: p, receiver: b}
	if w, ok := d.(wholeDecoder); ok && w.Whole() {
		t.whole = w
	}
	return t
}

type batchTaker struct {
	decoder   Decoder
	partition event.Partition
	receiver  ingest.Receiver
	whole     wholeDecoder // nil: the value is enough
	headers   []accesslog.Header
}

func (t *batchTaker) add(offset int64, value []byte, beside beside) {
	if t.whole == nil {
		t.decoder.Add(offset, value)
		return
	}
	t.headers = t.headers[:0]
	for name, value := range beside.Headers() {
		t.headers = append(t.headers, accesslog.Header{Name: name, Value: value})
	}
	t.whole.AddRecord(offset, accesslog.Record{Value: value, Key: beside.Key(), Headers: t.headers})
}

func (t *batchTaker) size() (events, bytes int) { return t.decoder.Len() }

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

func (t *portionTaker) add(offset int64, value []byte, _ beside) {
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
