package sinks

import (
	"context"
	"fmt"
	"time"
)

// Bounds of what waits for an outbox. One call of Enqueue may exceed them.
const (
	maxStaged      = 10_000
	maxStagedBytes = 32 << 20
)

// Bounds of what is appended to an outbox at once. One larger record goes alone.
const (
	maxAppend      = 1000
	maxAppendBytes = 4 << 20
)

// staging is what waits for the outbox of a feed.
type staging struct {
	staged  []staged
	count   int       // of staged and of what is being appended
	bytes   int       // of those
	blocked int       // callers of Enqueue that wait
	since   time.Time // of when blocked
}

// staged is a record on its way to the outbox.
type staged struct {
	record Record
	size   int
}

// stage leaves records to the writer.
func (f *Feed) stage(ctx context.Context, records []Record) (through uint64, err error) {
	batch, err := f.measure(records)
	q := f.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil && f.stagingFull() {
		err = f.awaitWriter(ctx)
	}
	if err == nil {
		err = f.closed()
	}
	if err != nil {
		return f.last, fmt.Errorf("enqueue alerts: %w", err)
	}
	f.staged = append(f.staged, batch...)
	for _, s := range batch {
		f.bytes += s.size
	}
	f.count += len(batch)
	f.last += uint64(len(batch))
	signal(f.wake)
	return f.last, nil
}

// measure buries what an outbox cannot keep, and returns the rest.
func (f *Feed) measure(records []Record) (batch []staged, err error) {
	var letters []Letter
	for _, r := range records {
		size, err := r.size()
		if err != nil {
			letters = append(letters, newLetter("outbox", r, err))
			continue
		}
		batch = append(batch, staged{r, size})
	}
	if len(letters) == 0 {
		return batch, nil
	}
	f.queue.log.Error("alerts have no JSON form, kept in the dead letters", "alerts", len(letters), "error", letters[0].Reason)
	if err := f.queue.letters.Bury(letters); err != nil {
		return nil, fmt.Errorf("keep what the outbox cannot take: %w", err)
	}
	f.queue.metrics.unkeepable.Add(float64(len(letters)))
	return batch, nil
}

func (f *Feed) stagingFull() bool { return f.count >= maxStaged || f.bytes >= maxStagedBytes }

func (f *Feed) awaitWriter(ctx context.Context) error {
	if f.blocked++; f.blocked == 1 {
		f.since = time.Now()
		f.queue.log.Warn("outbox is too slow, detection waits", "alerts", f.count, "bytes", f.bytes)
	}
	err := f.queue.await(ctx, func() bool { return f.closed() != nil || !f.stagingFull() })
	if f.blocked--; f.blocked == 0 && f.queue.onBlocked != nil {
		f.queue.onBlocked("", f.since, time.Now())
	}
	return err
}

// write is the goroutine that owns the outbox's end.
func (f *Feed) write(settled map[string]uint64) {
	defer f.leave()
	if !f.introduce(settled) {
		return
	}
	for batch := f.next(); batch != nil; batch = f.next() {
		if !f.keep(batch) {
			return
		}
	}
}

func (f *Feed) leave() {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	f.holds--
	f.queue.changed()
}

// introduce names the sinks that the outbox does not know before anything is appended or settled, so that after a crash none
// of them is taken for one that was added later.
func (f *Feed) introduce(settled map[string]uint64) bool {
	for _, c := range f.cursors {
		if _, known := settled[c.line.name]; known {
			continue
		}
		if err := f.outbox.Settle(f.ctx, c.line.name, c.settled); err != nil {
			f.broken("make the sink "+c.line.name+" known to the outbox", err)
			return false
		}
	}
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	f.ready = true
	if n := f.last - f.acknowledged(); n > 0 {
		f.queue.log.Info("delivering what is left in the outbox", "alerts", n)
	}
	for _, c := range f.cursors {
		c.line.wakeUp()
	}
	return true
}

// next waits for records to append. It returns nil when the feed is stopped.
func (f *Feed) next() []staged {
	for {
		batch, stopped := f.group()
		if batch != nil || stopped {
			return batch
		}
		<-f.wake
	}
}

// group takes what is appended at once.
func (f *Feed) group() (batch []staged, stopped bool) {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	if f.stopped {
		return nil, true
	}
	n, bytes := 0, 0
	for n < min(len(f.staged), maxAppend) {
		if bytes += f.staged[n].size; bytes > maxAppendBytes && n > 0 {
			break
		}
		n++
	}
	if n == 0 {
		return nil, false
	}
	batch = append(batch, f.staged[:n]...)
	clear(f.staged[:n]) // the array lives on
	f.staged = f.staged[n:]
	return batch, false
}

// keep makes a batch durable and only then hands it to the lines.
func (f *Feed) keep(batch []staged) bool {
	records := make([]Record, len(batch))
	for i, s := range batch {
		records[i] = s.record
	}
	start := time.Now()
	err := f.outbox.Append(f.ctx, records)
	f.queue.metrics.append.Observe(time.Since(start).Seconds())
	if err != nil {
		f.broken("append to the outbox", err)
		return false
	}
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	f.appended(batch)
	return true
}

func (f *Feed) appended(batch []staged) {
	first := f.durable + 1
	f.durable += uint64(len(batch))
	defer f.queue.changed()
	if f.stopped {
		return
	}
	for i, s := range batch {
		f.count--
		f.bytes -= s.size
		for _, c := range f.cursors {
			c.line.offer(c, s.record, first+uint64(i), s.size)
		}
	}
}

func (f *Feed) broken(what string, err error) {
	f.queue.mu.Lock()
	defer f.queue.mu.Unlock()
	f.fail(fmt.Errorf("%s: %w", what, err))
}
