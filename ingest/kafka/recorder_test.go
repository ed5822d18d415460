package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

// recorder is a receiver that keeps what it is told and complains about what a source must not do.
type recorder struct {
	mu       sync.Mutex
	values   map[string]int            // how often each record came
	next     map[event.Partition]int64 // of assigned partitions: what must come next; negative: any
	high     map[event.Partition]int64 // where to commit
	caughtUp map[event.Partition]time.Time
	rejected []ingest.Rejected
	problems []string
	changed  chan struct{} // closed and replaced with every change
	revoked  int

	stall   map[event.Partition]chan struct{}            // Receive waits for it
	revoker func(ctx context.Context, p event.Partition) // called by Revoked, unlocked
}

func newRecorder() *recorder {
	return &recorder{
		values: map[string]int{}, next: map[event.Partition]int64{}, high: map[event.Partition]int64{},
		caughtUp: map[event.Partition]time.Time{}, changed: make(chan struct{}), stall: map[event.Partition]chan struct{}{},
	}
}

func (r *recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *recorder) Assigned(_ context.Context, next map[event.Partition]int64) error {
	r.change(func() {
		for p, offset := range next {
			if _, ok := r.next[p]; ok {
				r.problem("%v assigned twice", p)
			}
			r.next[p] = offset
		}
	})
	return nil
}

func (r *recorder) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	r.mu.Lock()
	stall := r.stall[b.Partition]
	r.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.change(func() {
		next, ok := r.next[b.Partition]
		switch {
		case !ok:
			r.problem("%v: a batch while not assigned", b.Partition)
		case next >= 0 && b.First != next:
			r.problem("%v: a batch from offset %d, not %d", b.Partition, b.First, next)
		}
		r.next[b.Partition], r.high[b.Partition] = b.Next, b.Next
		for _, e := range b.Events {
			r.values[e.RequestID]++
		}
		r.rejected = append(r.rejected, rejected...)
	})
	if b.Release != nil {
		b.Release()
	}
	return nil
}

func (r *recorder) CaughtUp(p event.Partition, now time.Time) {
	r.change(func() {
		if _, ok := r.next[p]; !ok {
			r.problem("%v caught up while not assigned", p)
		}
		if now.After(time.Now()) || !now.After(r.caughtUp[p]) {
			r.problem("%v caught up at %v after %v", p, now, r.caughtUp[p])
		}
		r.caughtUp[p] = now
	})
}

func (r *recorder) Revoked(ctx context.Context, p event.Partition) {
	if r.revoker != nil {
		r.revoker(ctx, p)
	}
	r.change(func() {
		if _, ok := r.next[p]; !ok {
			r.problem("%v revoked while not assigned", p)
		}
		delete(r.next, p)
		r.revoked++
	})
}

// until waits until enough, called with r locked, returns true.
func (r *recorder) until(t testing.TB, what string, enough func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		done, changed := enough(), r.changed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waiting for %s: %d values, assigned %v, problems %v", what, len(r.values), r.next, r.problems)
		}
	}
}

func (r *recorder) untilValues(t testing.TB, n int) {
	t.Helper()
	r.until(t, fmt.Sprint(n, " values"), func() bool { return len(r.values) >= n })
}

func (r *recorder) untilAssigned(t testing.TB, n int) {
	t.Helper()
	r.until(t, fmt.Sprint(n, " partitions"), func() bool { return len(r.next) == n })
}

// positions are what can be committed.
func (r *recorder) positions() map[event.Partition]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[event.Partition]int64{}
	for p := range r.next {
		if high, ok := r.high[p]; ok {
			all[p] = high
		}
	}
	return all
}

// check fails the test for what must not have happened: above all that a record did not come exactly once.
func (r *recorder) check(t testing.TB, values int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.problems {
		t.Error(p)
	}
	if len(r.values) != values {
		t.Errorf("%d different records came, want %d", len(r.values), values)
	}
	for v, n := range r.values {
		if n != 1 {
			t.Errorf("record %s came %d times", v, n)
		}
	}
}

// plain is a decoder for which a record is the request id of one event.
type plain struct{ batch event.Batch }

func (d *plain) Begin(p event.Partition) { d.batch = event.Batch{Partition: p} }

func (d *plain) Add(offset int64, value []byte) {
	d.batch.Events = append(d.batch.Events, event.Event{Offset: offset, RequestID: string(value)})
}

func (d *plain) Len() (events, bytes int) { return len(d.batch.Events), 0 }

func (d *plain) Take() (*event.Batch, []ingest.Rejected) {
	if len(d.batch.Events) == 0 {
		return nil, nil
	}
	b := d.batch
	d.Begin(b.Partition)
	return &b, nil
}
