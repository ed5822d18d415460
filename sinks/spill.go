package sinks

import (
	"slices"
	"time"
)

// readBytes is how much of an outbox is read at once.
const readBytes = 1 << 20

// A line that is full leaves further records of an outbox where they are: it has spilled. When it is half empty, it reads
// on from there, until it has caught up and gets new records at once again.

// reading is one look into an outbox.
type reading struct {
	cursor   *cursor
	after    uint64
	through  uint64 // what was durable when it began
	maxBytes int
}

// refill reads from the outboxes until a batch is there or nothing is left. Feeds take turns.
func (l *line) refill() {
	for {
		r, ok := l.hungry()
		if !ok {
			return
		}
		records, last, err := r.cursor.feed.outbox.After(r.cursor.feed.ctx, r.after, r.maxBytes)
		if !l.refilled(r, records, last, err) {
			return
		}
	}
}

// hungry returns what to read next, with a hold on its feed; ok is false when the line has enough or everything.
func (l *line) hungry() (r reading, ok bool) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if l.hasEnough() {
		return r, false
	}
	now := time.Now()
	i := slices.IndexFunc(l.cursors, func(c *cursor) bool { return c.unread() > 0 && !now.Before(c.due) })
	if i < 0 {
		return r, false
	}
	c := l.cursors[i]
	l.cursors = append(slices.Delete(l.cursors, i, i+1), c)
	c.feed.holds++
	return reading{c, c.queued, c.feed.durable, max(1, min(readBytes, l.config.MaxBytes-l.bytes))}, true
}

// hasEnough reports that the line is half full or can make a batch.
func (l *line) hasEnough() bool {
	n, c := len(l.pending), l.config
	return n > 0 && (n >= c.BatchAlerts || l.bytes >= c.BatchBytes || 2*n >= c.MaxAlerts || 2*l.bytes >= c.MaxBytes)
}

// refilled takes into the line what was read, as far as there is room. It returns false when there was none.
func (l *line) refilled(r reading, records []Record, last uint64, err error) bool {
	sizes := make([]int, len(records))
	for i, record := range records {
		sizes[i], _ = record.size()
	}
	c, q := r.cursor, l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.changed()
	c.feed.holds--
	switch {
	case err != nil:
		c.failed("read", err)
	case c.feed.stopped:
	case len(records) == 0:
		l.log.Error("records are missing in the outbox", "after", r.after, "through", r.through)
		c.pass(r.through)
	default:
		l.takeIn(c, records, sizes, last-uint64(len(records))+1)
		return c.queued > r.after
	}
	return true
}

// takeIn adds records whose sequence numbers begin with first. What the outbox shows before Append has returned is left for
// later.
func (l *line) takeIn(c *cursor, records []Record, sizes []int, first uint64) {
	for i, record := range records {
		sequence := first + uint64(i)
		if sequence > c.feed.durable || l.takes(record) && !l.hasRoom(sizes[i]) {
			return
		}
		if sequence > c.queued {
			l.add(c, record, sequence, sizes[i])
		}
	}
}
