package sinks

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// line is the queue of one sink and the goroutine that empties it. What was enqueued and is not yet in a batch is in pending,
// in order; the batch under way is in current. Records of different feeds are mixed.
type line struct {
	queue   *Queue
	name    string
	sink    Sink
	blind   BlindSpotSink // the same sink if it takes blind spots
	config  Config
	letters DeadLetters
	metrics lineMetrics
	log     *slog.Logger
	wake    chan struct{} // holds one: something changed for the goroutine
	dropped chan struct{} // holds one: a feed was stopped

	// Owned by the line's goroutine.
	backoff  *backoff.ExponentialBackOff
	closeErr error // read after the goroutine has ended

	// Guarded by Queue.mu.
	cursors      []*cursor
	pending      []*item
	current      []*item
	bytes        int     // of both
	held         []*Feed // those of the delivery under way
	blocked      int     // callers of Enqueue that wait for room
	blockedSince time.Time
	saturated    bool // was full and has not been half empty since
	failure      string
	failingSince time.Time
	attempts     int // failed in a row
}

func newLine(q *Queue, d Destination, m lineMetrics, o Options) *line {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = d.Config.RetryMin, d.Config.RetryMax, 2
	b.Reset()
	blind, _ := d.Sink.(BlindSpotSink)
	return &line{
		queue: q, name: d.name(), sink: d.Sink, blind: blind, config: d.Config, letters: o.DeadLetters, metrics: m,
		log: o.Logger.With("sink", d.name()), backoff: b,
		wake: make(chan struct{}, 1), dropped: make(chan struct{}, 1),
	}
}

// takes reports whether the record is for this sink.
func (l *line) takes(r Record) bool { return r.BlindSpot == nil || l.blind != nil }

// size returns how many records are waiting or under way. Queue.mu is held.
func (l *line) size() int { return len(l.pending) + len(l.current) }

// hasRoom reports whether a record of that size fits. One larger than the whole bound fits into an empty line. Queue.mu is
// held.
func (l *line) hasRoom(size int) bool {
	return l.size() == 0 || l.size() < l.config.MaxAlerts && l.bytes+size <= l.config.MaxBytes
}

// offer adds a record that has just become durable, if the line has all that come before it and room; else it stays in the
// outbox until the line reads on.
func (l *line) offer(c *cursor, r Record, sequence uint64, size int) {
	if sequence != c.queued+1 {
		l.wakeUp()
		return
	}
	if l.takes(r) && !l.hasRoom(size) {
		l.saturate("alert queue is full, further alerts wait in the outbox")
		return
	}
	l.add(c, r, sequence, size)
}

// add puts a record into the line, or passes by one that is not for this sink. Queue.mu is held.
func (l *line) add(c *cursor, r Record, sequence uint64, size int) {
	if !l.takes(r) {
		c.pass(sequence)
		return
	}
	it := &item{record: r, sequence: sequence, size: size, at: time.Now(), cursor: c}
	c.items, c.queued = append(c.items, it), sequence
	l.pending = append(l.pending, it)
	l.bytes += size
	l.metrics.enqueued.Inc()
	if n := len(l.pending); n == 1 || n >= l.config.BatchAlerts || l.bytes >= l.config.BatchBytes || l.queue.draining > 0 {
		l.wakeUp()
	}
}

func (l *line) wakeUp() { signal(l.wake) }

// signal fills a channel that holds one, unless it is full.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// drop takes what is waiting of a feed out of the line. What is under way is left out of the next attempt.
func (l *line) drop(c *cursor) {
	kept := l.pending[:0]
	for _, it := range l.pending {
		if it.cursor == c {
			l.bytes -= it.size
			continue
		}
		kept = append(kept, it)
	}
	clear(l.pending[len(kept):])
	l.pending = kept
	signal(l.dropped)
	l.wakeUp()
}

func (l *line) block() {
	if l.blocked++; l.blocked == 1 {
		l.blockedSince = time.Now()
	}
	l.saturate("alert queue is full, detection waits")
}

func (l *line) saturate(message string) {
	if !l.saturated {
		l.saturated = true
		l.log.Warn(message, "alerts", l.size(), "bytes", l.bytes)
	}
}

func (l *line) unblock() {
	if l.blocked--; l.blocked == 0 && l.queue.onBlocked != nil {
		l.queue.onBlocked(l.name, l.blockedSince, time.Now())
	}
}

func (l *line) status() Status {
	s := Status{
		Sink: l.name, Alerts: l.size(), MaxAlerts: l.config.MaxAlerts, Bytes: l.bytes, MaxBytes: l.config.MaxBytes,
		Blocking: l.blocked > 0, Failure: l.failure, FailingSince: l.failingSince,
	}
	if len(l.current) > 0 {
		s.Age = time.Since(l.current[0].at)
	} else if len(l.pending) > 0 {
		s.Age = time.Since(l.pending[0].at)
	}
	for _, c := range l.cursors {
		s.Spilled += c.unread()
	}
	return s
}

// run delivers until ctx is done and then closes the sink.
func (l *line) run(ctx context.Context) {
	for {
		batch := l.next(ctx)
		if batch == nil || !l.settle(ctx, batch) {
			break
		}
		l.finish()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	if err := l.sink.Close(grace); err != nil {
		l.closeErr = fmt.Errorf("close sink %s: %w", l.name, err)
	}
}

// next waits for a batch that is full or has waited long enough. It returns nil when ctx is done.
func (l *line) next(ctx context.Context) []*item {
	for ctx.Err() == nil {
		l.note()
		l.refill()
		batch, wait := l.batch()
		if batch != nil {
			return batch
		}
		var ripe <-chan time.Time
		if wait > 0 {
			ripe = time.After(wait)
		}
		select {
		case <-l.wake:
		case <-ripe:
		case <-ctx.Done():
		}
	}
	return nil
}

// batch moves the beginning of pending to current if it is to be delivered now, or returns nil and how long to wait; 0 means
// until something comes.
func (l *line) batch() ([]*item, time.Duration) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	wait := l.untilDue()
	if len(l.pending) == 0 {
		return nil, wait
	}
	n, full := l.cut()
	if !full && l.queue.draining == 0 {
		if ripe := l.config.BatchDelay - time.Since(l.pending[0].at); ripe > 0 {
			if wait == 0 || ripe < wait {
				wait = ripe
			}
			return nil, wait
		}
	}
	l.current = append([]*item(nil), l.pending[:n]...)
	clear(l.pending[:n]) // the array lives on
	l.pending = l.pending[n:]
	return l.current, 0
}

// cut returns how many records make the next batch, and whether no more can join it. A batch holds alerts or blind spots. It
// ends before a second version of one of its alerts, because a sink that takes a batch in parts could otherwise take them in
// the wrong order.
func (l *line) cut() (n int, full bool) {
	bytes, ids := 0, make(map[string]bool)
	blind := l.pending[0].record.BlindSpot != nil
	for _, it := range l.pending {
		bytes += it.size
		id, _ := it.record.name()
		if n == l.config.BatchAlerts || n > 0 && bytes > l.config.BatchBytes || ids[id] || blind != (it.record.BlindSpot != nil) {
			return n, true
		}
		ids[id] = true
		n++
	}
	return n, n == l.config.BatchAlerts || bytes >= l.config.BatchBytes
}

// finish forgets the batch under way, which is settled, and makes room.
func (l *line) finish() {
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range l.current {
		l.bytes -= it.size
	}
	l.current = nil
	l.saturated = l.saturated && len(l.pending) > l.config.MaxAlerts/2
	q.changed()
}
