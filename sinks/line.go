package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gatewatch/gatewatch/detector/alert"
)

// maxRetryAfter bounds how long a destination can ask to be left alone.
const maxRetryAfter = 10 * time.Minute

// item is one alert in the queue of one sink.
type item struct {
	alert    *alert.Alert
	sequence uint64
	size     int
	at       time.Time // when it was enqueued
}

// line is the queue of one sink and the goroutine that empties it. Everything enqueued and not yet settled is in pending,
// in order; a batch under way is its beginning. Because a line settles strictly in order, one number says what is settled.
type line struct {
	queue   *Queue
	name    string
	sink    Sink
	config  Config
	letters DeadLetters
	metrics lineMetrics
	log     *slog.Logger

	// Owned by the line's goroutine.
	backoff  *backoff.ExponentialBackOff
	closeErr error // read after the goroutine has ended

	// Guarded by Queue.mu.
	pending      []item
	bytes        int
	settled      uint64
	wake         chan struct{} // holds one: something changed for the goroutine
	room         chan struct{} // closed and renewed when pending has become shorter
	blocked      int           // callers of Enqueue that wait for room
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
	name := d.name()
	return &line{
		queue: q, name: name, sink: d.Sink, config: d.Config, letters: o.DeadLetters, metrics: m,
		log: o.Logger.With("sink", name), backoff: b, settled: max(o.Settled[name], o.Sequence),
		wake: make(chan struct{}, 1), room: make(chan struct{}),
	}
}

// hasRoom reports whether it fits. An alert larger than the whole bound fits into an empty queue. Queue.mu is held.
func (l *line) hasRoom(it item) bool {
	return len(l.pending) == 0 || len(l.pending) < l.config.MaxAlerts && l.bytes+it.size <= l.config.MaxBytes
}

// push appends it unless an earlier life of the sink has settled it. Queue.mu is held.
func (l *line) push(it item) {
	if it.sequence <= l.settled {
		return
	}
	l.pending = append(l.pending, it)
	l.bytes += it.size
	l.metrics.enqueued.Inc()
	if n := len(l.pending); n == 1 || n >= l.config.BatchAlerts || l.bytes >= l.config.BatchBytes || l.queue.draining > 0 {
		l.wakeUp()
	}
}

func (l *line) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) block() {
	if l.blocked++; l.blocked == 1 {
		l.blockedSince = time.Now()
	}
	if !l.saturated {
		l.saturated = true
		l.log.Warn("alert queue is full, detection waits", "alerts", len(l.pending), "bytes", l.bytes)
	}
}

func (l *line) unblock() {
	if l.blocked--; l.blocked == 0 && l.queue.onBlocked != nil {
		l.queue.onBlocked(l.name, l.blockedSince, time.Now())
	}
}

func (l *line) status() Status {
	s := Status{
		Sink: l.name, Settled: l.settled, Alerts: len(l.pending), MaxAlerts: l.config.MaxAlerts,
		Bytes: l.bytes, MaxBytes: l.config.MaxBytes, Blocking: l.blocked > 0,
		Failure: l.failure, FailingSince: l.failingSince,
	}
	if len(l.pending) > 0 {
		s.Age = time.Since(l.pending[0].at)
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
		l.acknowledge(batch)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	if err := l.sink.Close(grace); err != nil {
		l.closeErr = fmt.Errorf("close sink %s: %w", l.name, err)
	}
}

// next waits for a batch that is full or has waited long enough. It returns nil when ctx is done.
func (l *line) next(ctx context.Context) []item {
	for ctx.Err() == nil {
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

// batch returns the beginning of pending if it is to be delivered now, or nil and how long it can still wait; 0 means
// until something comes.
func (l *line) batch() ([]item, time.Duration) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if len(l.pending) == 0 {
		return nil, 0
	}
	n, full := l.cut()
	if !full && l.queue.draining == 0 {
		if wait := l.config.BatchDelay - time.Since(l.pending[0].at); wait > 0 {
			return nil, wait
		}
	}
	return append([]item(nil), l.pending[:n]...), 0
}

// cut returns how many alerts make the next batch, and whether no more can join it. A batch ends before a second version
// of one of its alerts, because a sink that takes a batch in parts could otherwise take them in the wrong order.
func (l *line) cut() (n int, full bool) {
	bytes, ids := 0, make(map[string]bool)
	for _, it := range l.pending {
		bytes += it.size
		if n == l.config.BatchAlerts || n > 0 && bytes > l.config.BatchBytes || ids[it.alert.ID] {
			return n, true
		}
		ids[it.alert.ID] = true
		n++
	}
	return n, n == l.config.BatchAlerts || bytes >= l.config.BatchBytes
}

// settle delivers items, for as long as it takes, and buries those that are refused. It returns false when ctx was done
// before that.
func (l *line) settle(ctx context.Context, items []item) bool {
	for len(items) > 0 {
		o := judge(l.attempt(ctx, items), len(items))
		if o.split {
			l.metrics.splits.Inc()
			half := len(items) / 2
			return l.settle(ctx, items[:half]) && l.settle(ctx, items[half:])
		}
		l.metrics.delivered.Add(float64(len(items) - len(o.refused) - len(o.retry)))
		if !l.bury(ctx, items, o.refused) {
			return false
		}
		if len(o.retry) == 0 {
			l.succeeded()
			return true
		}
		if len(o.retry) < len(items) {
			l.backoff.Reset()
		}
		items = pick(items, o.retry)
		l.metrics.retried.Add(float64(len(items)))
		if !l.failed(ctx, "alerts not delivered, will try again", o.err, o.after) {
			return false
		}
	}
	return true
}

func pick(items []item, indexes []int) []item {
	picked := make([]item, len(indexes))
	for i, index := range indexes {
		picked[i] = items[index]
	}
	return picked
}

// attempt delivers copies of the alerts that carry the time of delivery: the alerts themselves are shared with other sinks.
func (l *line) attempt(ctx context.Context, items []item) error {
	ctx, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	start := time.Now()
	emitted := alert.Time(start.UnixMilli())
	copies := make([]alert.Alert, len(items))
	batch := make([]*alert.Alert, len(items))
	for i, it := range items {
		copies[i] = *it.alert
		copies[i].EmittedAt = &emitted
		batch[i] = &copies[i]
	}
	err := l.sink.Deliver(ctx, batch)
	l.metrics.seconds.Observe(time.Since(start).Seconds())
	return err
}

// bury writes the refused items to the dead letters, for as long as it takes. It returns false when ctx was done before.
func (l *line) bury(ctx context.Context, items []item, refused []Refusal) bool {
	if len(refused) == 0 {
		return true
	}
	letters := make([]Letter, len(refused))
	for i, r := range refused {
		a := items[r.Index].alert
		letters[i] = Letter{At: alert.Time(time.Now().UnixMilli()), Sink: l.name, Reason: r.Err.Error(), Alert: a}
	}
	first := letters[0]
	l.log.Error("alerts refused, kept in the dead letters",
		"alerts", len(letters), "first", first.Alert.ID, "version", first.Alert.Version, "error", first.Reason)
	for {
		err := l.letters.Bury(letters)
		if err == nil {
			break
		}
		l.metrics.unburied.Inc()
		if !l.failed(ctx, "dead letters not written, will try again", err, 0) {
			return false
		}
	}
	l.metrics.refused.Add(float64(len(refused)))
	return true
}

// succeeded ends a row of failures.
func (l *line) succeeded() {
	l.backoff.Reset()
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if l.failure != "" {
		l.log.Info("delivering again", "failures", l.attempts, "after", time.Since(l.failingSince).Round(time.Millisecond))
	}
	l.failure, l.failingSince, l.attempts = "", time.Time{}, 0
}

// failed records a failure, logs it if it is news, and waits before the next attempt: as long as the destination asks, at
// least as long as the backoff. It returns false when ctx is done.
func (l *line) failed(ctx context.Context, message string, err error, after time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := max(l.backoff.NextBackOff(), min(after, maxRetryAfter))
	l.record(message, err, wait)
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *line) record(message string, err error, wait time.Duration) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if l.failure == "" {
		l.failingSince = time.Now()
	}
	l.attempts++
	if text := err.Error(); text != l.failure {
		l.failure = text
		l.log.Warn(message, "error", err, "wait", wait.Round(time.Millisecond), "timeout", errors.Is(err, context.DeadlineExceeded))
	}
}

// acknowledge removes the items of a batch, which are settled, from the beginning of pending.
func (l *line) acknowledge(batch []item) {
	settled := batch[len(batch)-1].sequence
	if l.queue.onAcknowledged != nil {
		l.queue.onAcknowledged(l.name, settled)
	}
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range batch {
		l.bytes -= it.size
	}
	clear(l.pending[:len(batch)]) // the array lives on
	l.pending = l.pending[len(batch):]
	l.settled = settled
	l.saturated = l.saturated && len(l.pending) > l.config.MaxAlerts/2
	close(l.room)
	l.room = make(chan struct{})
	close(q.progress)
	q.progress = make(chan struct{})
}
