package router

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// input is one raw partition. The source's goroutine of the partition owns it, acknowledgements apart.
type input struct {
	router    *Router
	id        event.Partition
	plan      *plan
	entities  *detector.Entities
	copied    []prometheus.Counter // by kind
	place     keyed.Place
	encoder   *keyed.Encoder
	next      int64          // offset after what was received, -1: unknown
	clock     detector.Clock // of the raw partition, as the engine would keep it
	outputs   []output
	touched   []int32       // outputs that got copies of the event at hand
	changed   chan struct{} // told of acknowledgements
	committed atomic.Int64
}

// output is what one partition of the keyed topic got of the input.
type output struct {
	sent   int64        // raw offset before which everything was handed to the producer
	acked  atomic.Int64 // the same, acknowledged
	lost   atomic.Bool  // a record could not be written: what is acknowledged later does not count
	at     time.Time    // of the last record
	copies []duplicate
}

// duplicate is an event to be written.
type duplicate struct {
	event int32
	kinds uint64
}

func (r *Router) newInput(p event.Partition, next int64) *input {
	in := &input{
		router: r, id: p, place: keyed.Place{Partitions: r.partitions}, encoder: keyed.NewEncoder(r.o.HideAddress), next: -1,
		outputs: make([]output, r.partitions), changed: make(chan struct{}, 1),
	}
	in.begin(next)
	return in
}

// begin says where the chains begin.
func (in *input) begin(next int64) {
	in.next = next
	in.committed.Store(next)
	for k := range in.outputs {
		in.outputs[k].sent = next
		in.outputs[k].acked.Store(next)
	}
}

// committable returns the offset before which all outputs have acknowledged everything.
func (in *input) committable() int64 {
	lowest := in.outputs[0].acked.Load()
	for k := range in.outputs {
		lowest = min(lowest, in.outputs[k].acked.Load())
	}
	return lowest
}

// receive writes the events of a batch. When it fails, the same batch comes again: outputs that have got theirs are left out.
func (in *input) receive(ctx context.Context, b *event.Batch) error {
	if in.next < 0 {
		in.begin(b.First)
	}
	in.refresh()
	in.split(b)
	now := time.Now()
	for k := range in.outputs {
		out := &in.outputs[k]
		if len(out.copies) == 0 && now.Sub(out.at) < in.router.o.Config.MarkEvery {
			continue
		}
		if err := in.write(ctx, int32(k), b, now); err != nil {
			return err
		}
	}
	in.next = b.Next
	return nil
}

// split finds out which outputs the events belong to.
func (in *input) split(b *event.Batch) {
	for k := range in.outputs {
		in.outputs[k].copies = in.outputs[k].copies[:0]
	}
	uncopied := 0
	for i := range b.Events {
		e := &b.Events[i]
		in.clock.Observe(e.Time)
		in.touched = in.touched[:0]
		in.entities.Of(e, func(kind int, name string) { in.copy(e, int32(i), kind, name) })
		if len(in.touched) == 0 {
			uncopied++
		}
	}
	in.router.metrics.events.Add(float64(len(b.Events)))
	in.router.metrics.uncopied.Add(float64(uncopied))
}

// progress is what a record tells of the raw partition's event time: nothing while events before that are still to be written.
func (in *input) progress(last bool) event.Time {
	if !last {
		return 0
	}
	return in.clock.Newest()
}

func (in *input) copy(e *event.Event, i int32, kind int, name string) {
	k := in.place.Of(in.plan.shape.Kinds[kind], name)
	in.touched = append(in.touched, k)
	out := &in.outputs[k]
	if e.Offset < out.sent {
		return
	}
	if last := len(out.copies) - 1; last >= 0 && out.copies[last].event == i {
		out.copies[last].kinds |= 1 << kind
		return
	}
	out.copies = append(out.copies, duplicate{i, 1 << kind})
}

// write writes what an output gets of a batch: one record, several when it is much, or a mark. Events of one raw record stay
// together, so that readers can go by offsets alone.
func (in *input) write(ctx context.Context, k int32, b *event.Batch, now time.Time) error {
	rest := in.outputs[k].copies
	for {
		n := in.fill(b, rest)
		h := in.header(k, nextOf(b, rest, n), now)
		h.Progress = in.progress(n == len(rest))
		value, err := in.encoder.Append(nil, &h)
		if err == nil && in.tooLarge(value) {
			n = in.shrink(b, rest[:n])
			h.Next = nextOf(b, rest, n)
			h.Progress = in.progress(n == len(rest))
			value, err = in.encode(ctx, &h, b.Events[rest[0].event].Offset)
		}
		if err == nil {
			err = in.send(ctx, k, value, h.Next, now)
		}
		if err != nil {
			return err
		}
		in.count(rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			return nil
		}
	}
}

// nextOf returns the raw offset before which a batch is done after n of the copies.
func nextOf(b *event.Batch, copies []duplicate, n int) int64 {
	if n == len(copies) {
		return b.Next
	}
	return b.Events[copies[n].event].Offset
}

// fill begins a record with as many copies as it should hold, and returns their number.
func (in *input) fill(b *event.Batch, copies []duplicate) (n int) {
	in.encoder.Begin()
	before := int64(-1)
	for n, c := range copies {
		e := &b.Events[c.event]
		if e.Offset != before && (in.encoder.Size() >= cutAt || in.encoder.Len() >= keyed.MaxEvents/2) {
			return n
		}
		before = e.Offset
		in.encoder.Add(e, c.kinds)
	}
	return len(copies)
}

// shrink begins the record anew without the last raw record, which has made it too large, unless there is no other.
func (in *input) shrink(b *event.Batch, copies []duplicate) (n int) {
	offset := func(i int) int64 { return b.Events[copies[i].event].Offset }
	for n = len(copies) - 1; n > 0 && offset(n-1) == offset(len(copies)-1); n-- {
	}
	if n == 0 {
		return len(copies)
	}
	in.encoder.Begin()
	for _, c := range copies[:n] {
		in.encoder.Add(&b.Events[c.event], c.kinds)
	}
	return n
}

func (in *input) count(copies []duplicate) {
	var kinds [keyed.MaxKinds]int
	for _, c := range copies {
		for set := c.kinds; set != 0; set &= set - 1 {
			kinds[bits.TrailingZeros64(set)]++
		}
	}
	for i, n := range kinds {
		if n > 0 {
			in.copied[i].Add(float64(n))
		}
	}
}

// caughtUp tells all outputs that there is nothing more. While the producer is behind it does not: it will be told again.
func (in *input) caughtUp(now time.Time) {
	in.refresh()
	in.clock.CaughtUp(event.TimeOf(now))
	in.encoder.Begin()
	for k := range in.outputs {
		if now.Sub(in.outputs[k].at) < in.router.o.Config.MarkEvery {
			continue
		}
		h := in.header(int32(k), in.next, now)
		h.CaughtUp = event.TimeOf(now)
		value, err := in.encoder.Append(nil, &h)
		if err != nil {
			in.router.fail(err)
			return
		}
		if in.router.budget.TryAcquire(int64(len(value))) {
			in.produce(int32(k), value, in.next, now)
		}
	}
}

// refresh takes over new rules and topics.
func (in *input) refresh() {
	current := in.router.plan.Load()
	if current == in.plan {
		return
	}
	in.plan, in.entities, in.copied = current, detector.NewEntities(current.set), nil
	for _, kind := range current.shape.Kinds {
		in.copied = append(in.copied, in.router.metrics.copies.WithLabelValues(kind))
	}
}

// finish hands over everything that was received, and returns once it is acknowledged or ctx ends.
func (in *input) finish(ctx context.Context) error {
	in.refresh()
	for k := range in.outputs {
		if in.outputs[k].sent >= in.next {
			continue
		}
		in.outputs[k].copies = in.outputs[k].copies[:0]
		if err := in.write(ctx, int32(k), &event.Batch{Next: in.next}, time.Now()); err != nil {
			return err
		}
	}
	for in.committable() < in.next {
		select {
		case <-in.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
