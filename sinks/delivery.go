package sinks

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// settle delivers items, for as long as it takes, and buries those that are refused. Those of feeds that are stopped
// meanwhile are left out. It returns false when ctx was done before that.
func (l *line) settle(ctx context.Context, items []*item) bool {
	for {
		if items = l.begin(items); len(items) == 0 {
			return true
		}
		o := judge(l.attempt(ctx, items), len(items))
		l.end(items, o)
		if o.split {
			l.metrics.splits.Inc()
			half := len(items) / 2
			return l.settle(ctx, items[:half]) && l.settle(ctx, items[half:])
		}
		if !l.bury(ctx, items, o.refused) {
			return false
		}
		if len(o.retry) == 0 {
			l.succeeded()
			return true
		}
		if !l.again(ctx, items, o) {
			return false
		}
	}
}

// begin returns the items that are still to be delivered and holds their feeds until end.
func (l *line) begin(items []*item) []*item {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	var live []*item
	for _, it := range items {
		if !it.done && !it.cursor.feed.stopped {
			live = append(live, it)
		}
	}
	l.hold(live)
	return live
}

// end takes up what an attempt has delivered and tells the outboxes before it lets go of the feeds.
func (l *line) end(items []*item, o outcome) {
	if !o.split {
		left := refusedSet(o.refused)
		for _, i := range o.retry {
			left[i] = true
		}
		l.metrics.delivered.Add(float64(len(items) - len(left)))
		l.markDone(items, func(i int) bool { return !left[i] })
		l.note()
	}
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	l.release()
}

func refusedSet(refused []Refusal) map[int]bool {
	set := make(map[int]bool)
	for _, r := range refused {
		set[r.Index] = true
	}
	return set
}

// markDone takes up which items are done.
func (l *line) markDone(items []*item, done func(int) bool) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	for i, it := range items {
		it.done = it.done || done(i)
	}
	for _, c := range l.cursors {
		c.advance()
	}
	l.queue.changed()
}

// again waits before what was not taken is delivered again.
func (l *line) again(ctx context.Context, items []*item, o outcome) bool {
	if len(o.retry) < len(items) {
		l.backoff.Reset()
	}
	l.metrics.retried.Add(float64(len(o.retry)))
	return l.failed(ctx, items, failure{"alerts not delivered, will try again", o.err, o.after})
}

// attempt hands copies of the records that carry the time of delivery to the sink: the records themselves are shared with
// other sinks.
func (l *line) attempt(ctx context.Context, items []*item) error {
	ctx, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	start := time.Now()
	defer func() { l.metrics.seconds.Observe(time.Since(start).Seconds()) }()
	emitted := alert.Time(start.UnixMilli())
	if items[0].record.BlindSpot != nil {
		return l.blind.DeliverBlindSpots(ctx, copies(items, func(r Record) alert.BlindSpot {
			b := *r.BlindSpot
			b.EmittedAt = &emitted
			return b
		}))
	}
	return l.sink.Deliver(ctx, copies(items, func(r Record) alert.Alert {
		a := *r.Alert
		a.EmittedAt = &emitted
		return a
	}))
}

func copies[T any](items []*item, of func(Record) T) []*T {
	all := make([]T, len(items))
	batch := make([]*T, len(items))
	for i, it := range items {
		all[i] = of(it.record)
		batch[i] = &all[i]
	}
	return batch
}

// bury writes the refused items to the dead letters, for as long as it takes. It returns false when ctx was done before.
func (l *line) bury(ctx context.Context, items []*item, refused []Refusal) bool {
	if len(refused) == 0 {
		return true
	}
	letters := make([]Letter, len(refused))
	for i, r := range refused {
		letters[i] = newLetter(l.name, items[r.Index].record, r.Err)
	}
	id, version := items[refused[0].Index].record.name()
	l.log.Error("alerts refused, kept in the dead letters",
		"alerts", len(letters), "first", id, "version", version, "error", letters[0].Reason)
	for {
		err := l.letters.Bury(letters)
		if err == nil {
			break
		}
		l.metrics.unburied.Inc()
		if !l.failed(ctx, items, failure{"dead letters not written, will try again", err, 0}) {
			return false
		}
	}
	l.metrics.refused.Add(float64(len(refused)))
	buried := refusedSet(refused)
	l.markDone(items, func(i int) bool { return buried[i] })
	l.note()
	return true
}
