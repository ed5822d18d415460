package sinks

import (
	"context"
	"errors"
	"slices"
	"time"
)

// maxRetryAfter bounds how long a destination can ask to be left alone.
const maxRetryAfter = 10 * time.Minute

// failure is what went wrong and how long the destination asks to be left alone.
type failure struct {
	message string
	err     error
	after   time.Duration
}

// permanent reports an error that will not pass, as its chain says.
func permanent(err error) bool {
	p, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err)
	return ok && p.Permanent()
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
func (l *line) failed(ctx context.Context, items []*item, f failure) bool {
	if ctx.Err() != nil {
		return false
	}
	wait := max(l.backoff.NextBackOff(), min(f.after, maxRetryAfter))
	l.record(f, wait)
	return l.pause(ctx, items, wait)
}

// pause waits, at most until the feeds of all items are stopped.
func (l *line) pause(ctx context.Context, items []*item, wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for l.matter(items) {
		select {
		case <-over.C:
			return true
		case <-l.dropped:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// matter reports whether any item belongs to a feed that goes on.
func (l *line) matter(items []*item) bool {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return slices.ContainsFunc(items, func(it *item) bool { return !it.cursor.feed.stopped })
}

func (l *line) record(f failure, wait time.Duration) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if l.failure == "" {
		l.failingSince = time.Now()
	}
	l.attempts++
	if text := f.err.Error(); text != l.failure {
		l.failure = text
		l.log.Warn(f.message, "error", f.err, "wait", wait.Round(time.Millisecond), "timeout", errors.Is(f.err, context.DeadlineExceeded))
	}
}
