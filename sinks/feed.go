package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrDetached is returned by the methods of a [Feed] after [Feed.Detach].
var ErrDetached = errors.New("feed is detached")

// Feed is one origin of records, with sequence numbers of its own: a process, or one partition of a shared topic. Its
// methods may be called by any goroutine.
type Feed struct {
	queue  *Queue
	outbox Outbox          // nil: records are in memory only
	ctx    context.Context // of the calls of the outbox
	cancel context.CancelFunc
	wake   chan struct{} // holds one: something changed for the writer

	// Guarded by Queue.mu.
	cursors []*cursor // in the order of Queue.lines
	staging
	last    uint64 // sequence number of the latest record
	durable uint64 // of the latest that the outbox has; without an outbox equal to last
	ready   bool   // the outbox knows all sinks
	stopped bool   // nothing more of it is begun
	err     error  // why it is stopped
	holds   int    // deliveries and calls of the outbox that are under way
}

// Attach makes a feed that belongs to the outbox, or, if that is nil, one whose records are in memory only.
//
// What an outbox still has is delivered again to each sink that has not settled it. A sink that the outbox has never heard
// of, while it knows others, begins with the records that are appended from now on: it does not get what the others already
// took and the outbox still keeps for other reasons. If the outbox knows no sink at all, each gets everything.
//
// The outbox is called until [Feed.Detach] or [Queue.Close] has returned.
func (q *Queue) Attach(o Outbox) *Feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Feed{queue: q, outbox: o, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), ready: o == nil}
	settled := map[string]uint64{}
	if o != nil {
		settled, f.last = o.Settled(), o.Last()
		f.durable = f.last
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		f.stop(ErrClosed)
		return f
	}
	f.addCursors(settled)
	q.feeds = append(q.feeds, f)
	if o != nil {
		f.holds++
		q.work.Go(func() { f.write(settled) })
	}
	return f
}

func (f *Feed) addCursors(settled map[string]uint64) {
	for _, l := range f.queue.lines {
		begin, known := settled[l.name]
		if !known && len(settled) > 0 {
			begin = f.last
		}
		begin = min(begin, f.last)
		c := &cursor{line: l, feed: f, queued: begin, taken: begin, settled: begin}
		f.cursors = append(f.cursors, c)
		l.cursors = append(l.cursors, c)
	}
}

// Enqueue hands records to every sink in the order given and returns the sequence number of the last one that was accepted;
// with an error that may be before the end, and everything accepted will be delivered all the same. When
// [Feed.Acknowledged] has reached that number, all sinks are done with these records. They are shared from now on and must
// not change.
//
// With an outbox Enqueue returns before the records are durable, see [Feed.Durable], and blocks only while too many wait
// for that. What has no JSON form cannot be kept and goes to the dead letters at once. Without an outbox Enqueue
// blocks while the queue of a sink is full.
func (f *Feed) Enqueue(ctx context.Context, records []Record) (through uint64, err error) {
	if f.outbox != nil {
		return f.stage(ctx, records)
	}
	sizes := make([]int, len(records))
	for i, r := range records {
		sizes[i], _ = r.size()
	}
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	for i, r := range records {
		if err := f.hand(ctx, r, sizes[i]); err != nil {
			id, version := r.name()
			return f.last, fmt.Errorf("enqueue alert %s version %d: %w", id, version, err)
		}
	}
	return f.last, nil
}

// closed returns why nothing more is accepted.
func (f *Feed) closed() error {
	switch {
	case f.err != nil:
		return f.err
	case f.queue.closed:
		return ErrClosed
	}
	return nil
}

// hand gives one record to all lines when they have room.
func (f *Feed) hand(ctx context.Context, r Record, size int) error {
	for {
		if err := f.closed(); err != nil {
			return err
		}
		i := slices.IndexFunc(f.queue.lines, func(l *line) bool { return l.takes(r) && !l.hasRoom(size) })
		if i < 0 {
			break
		}
		if err := f.awaitRoom(ctx, f.queue.lines[i], size); err != nil {
			return err
		}
	}
	f.last++
	f.durable = f.last
	for _, c := range f.cursors {
		c.line.add(c, r, f.last, size)
	}
	return nil
}

func (f *Feed) awaitRoom(ctx context.Context, l *line, size int) error {
	l.block()
	defer l.unblock()
	return f.queue.await(ctx, func() bool { return f.closed() != nil || l.hasRoom(size) })
}

// Durable waits until the outbox has everything up to a sequence number. An error says that this will not happen, or not
// before ctx was done.
func (f *Feed) Durable(ctx context.Context, through uint64) error {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	if err := f.queue.await(ctx, func() bool { return f.stopped || f.durable >= through }); err != nil {
		return fmt.Errorf("wait for the outbox: %w", err)
	}
	if f.durable < through {
		return fmt.Errorf("wait for the outbox: %w", f.err)
	}
	return nil
}

// Acknowledged returns the sequence number up to which every sink has settled, that is delivered or dead-lettered, all
// records, as far as the outbox has noted it.
func (f *Feed) Acknowledged() uint64 {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	return f.acknowledged()
}

func (f *Feed) acknowledged() uint64 {
	low := f.durable
	for _, c := range f.cursors {
		low = min(low, c.settled)
	}
	return low
}

// Err returns why the feed was stopped: [ErrDetached], [ErrClosed], or what its outbox answered. nil: it was not.
func (f *Feed) Err() error {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	return f.err
}

// Drain delivers without waiting for batches to fill and returns when everything enqueued before the call is settled.
func (f *Feed) Drain(ctx context.Context) error {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	goal := f.last
	if err := f.queue.drain(ctx, []*Feed{f}); err != nil {
		return err
	}
	if f.acknowledged() < goal {
		return fmt.Errorf("drain delivery: %w", f.err)
	}
	return nil
}

// Detach accepts no more records, waits for the delivery under way and drops the rest from the queues, for a successor that
// attaches to the same outbox; without an outbox it is lost. Other feeds go on. When ctx is done before, Detach cancels what
// the outbox is doing and returns an error if anything is still under way one second later; it is not noted any more then.
func (f *Feed) Detach(ctx context.Context) error {
	q := f.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	f.stop(ErrDetached)
	idle := func() bool { return f.holds == 0 }
	err := q.await(ctx, idle)
	f.cancel()
	if err != nil {
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), outboxGrace)
		defer done()
		err = q.await(grace, idle)
	}
	f.remove()
	if err != nil {
		return errors.New("detach feed: a delivery is still under way")
	}
	return nil
}

// stop begins nothing more and drops what is waiting; the first reason counts. Queue.mu is held.
func (f *Feed) stop(reason error) {
	if f.stopped {
		return
	}
	f.stopped, f.err = true, reason
	f.staged, f.count, f.bytes = nil, 0, 0
	for _, c := range f.cursors {
		c.line.drop(c)
	}
	signal(f.wake)
	f.queue.changed()
}

// fail stops the feed because of its outbox. Queue.mu is held.
func (f *Feed) fail(err error) {
	if !f.stopped {
		f.queue.log.Error("outbox failed for good, nothing more is delivered from it", "error", err)
	}
	f.stop(err)
	f.cancel()
}

func (f *Feed) remove() {
	q := f.queue
	q.feeds = slices.DeleteFunc(q.feeds, func(other *Feed) bool { return other == f })
	for _, c := range f.cursors {
		c.line.cursors = slices.DeleteFunc(c.line.cursors, func(other *cursor) bool { return other == c })
	}
	q.changed()
}
