package sinks

import (
	"fmt"
	"slices"
	"time"
)

// outboxRetry is the wait after a call of the outbox that has failed although it may succeed.
const outboxRetry = time.Second

// item is one record in the line of one sink.
type item struct {
	record   Record
	sequence uint64 // of its feed
	size     int
	at       time.Time // when it came into the line
	cursor   *cursor
	done     bool // delivered or in the dead letters; belongs to the goroutine of the line
}

// cursor is how far the records of one feed have come at one sink. Its numbers only rise:
// settled ≤ taken ≤ queued ≤ durable of the feed. Guarded by Queue.mu.
type cursor struct {
	line    *line
	feed    *Feed
	items   []*item // in the line, in order; the first is not done
	queued  uint64  // up to here records are in the line, or were, or are not for this sink
	taken   uint64  // up to here the sink is done with them
	settled uint64  // taken, as far as it is noted in the outbox

	due     time.Time // after a failure: no call of the outbox before
	failure string    // of the outbox; "": none
}

// advance takes up what is done by now.
func (c *cursor) advance() {
	for len(c.items) > 0 && c.items[0].done {
		c.items[0] = nil // the array lives on
		c.items = c.items[1:]
	}
	c.taken = c.queued
	if len(c.items) > 0 {
		c.taken = c.items[0].sequence - 1
	}
	if c.feed.outbox == nil {
		c.settled = c.taken
	}
}

// pass goes by records that are not for this sink, or are gone.
func (c *cursor) pass(through uint64) {
	c.queued = through
	c.advance()
	if c.taken > c.settled {
		c.line.wakeUp()
	}
}

// unread returns how many records the sink has yet to read from the outbox.
func (c *cursor) unread() uint64 {
	if c.feed.outbox == nil || !c.feed.ready || c.feed.stopped {
		return 0
	}
	return c.feed.durable - c.queued
}

// note is that a sink is done with the records of a feed up to a number, on its way to the outbox.
type note struct {
	cursor  *cursor
	through uint64
}

// note tells the outboxes what this sink has taken. What fails is tried again later, and more is delivered meanwhile.
func (l *line) note() {
	for _, n := range l.notes() {
		err := n.cursor.feed.outbox.Settle(n.cursor.feed.ctx, l.name, n.through)
		l.noted(n, err)
	}
}

// notes returns what is to be noted, with a hold on each of the feeds. A feed that was stopped during a delivery is still
// told what came of it.
func (l *line) notes() (all []note) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	now := time.Now()
	for _, c := range l.cursors {
		if c.taken > c.settled && !now.Before(c.due) && (!c.feed.stopped || l.holds(c.feed)) {
			c.feed.holds++
			all = append(all, note{c, c.taken})
		}
	}
	return all
}

func (l *line) noted(n note, err error) {
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	n.cursor.feed.holds--
	if err != nil {
		n.cursor.failed("settle", err)
	} else {
		n.cursor.settled, n.cursor.failure = n.through, ""
	}
	q.changed()
}

// failed sees to it that a failed call of the outbox is repeated later, or ends the feed. Queue.mu is held.
func (c *cursor) failed(what string, err error) {
	c.due = time.Now().Add(outboxRetry)
	if c.feed.stopped {
		return
	}
	if permanent(err) {
		c.feed.fail(fmt.Errorf("%s: %w", what, err))
		return
	}
	if text := err.Error(); text != c.failure {
		c.failure = text
		c.line.log.Warn("outbox failed, will try again", "what", what, "error", err)
	}
}

// untilDue returns how long until the outbox is to be called again; 0: it is not.
func (l *line) untilDue() (wait time.Duration) {
	for _, c := range l.cursors {
		if c.feed.stopped || c.taken == c.settled && c.unread() == 0 {
			continue
		}
		if d := time.Until(c.due); d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	return wait
}

// hold marks the feeds of items as in use by this line's delivery. Queue.mu is held.
func (l *line) hold(items []*item) {
	for _, it := range items {
		if f := it.cursor.feed; !l.holds(f) {
			f.holds++
			l.held = append(l.held, f)
		}
	}
}

func (l *line) holds(f *Feed) bool { return slices.Contains(l.held, f) }

func (l *line) release() {
	for _, f := range l.held {
		f.holds--
	}
	l.held = l.held[:0]
	l.queue.changed()
}
