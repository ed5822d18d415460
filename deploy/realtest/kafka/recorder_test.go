package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

// recorder is what a source hands its batches to: it keeps what came and complains about what must not come.
type recorder struct {
	mu       sync.Mutex
	requests map[string]int            // how often each request id came
	next     map[event.Partition]int64 // of the assigned partitions: the offset that must come next; -1: any
	highest  map[event.Partition]int64 // of all partitions: behind the last record received
	rejected int
	problems []string
	changed  chan struct{} // closed and replaced with every change
}

func newRecorder() *recorder {
	return &recorder{requests: map[string]int{}, next: map[event.Partition]int64{}, highest: map[event.Partition]int64{}, changed: make(chan struct{})}
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

func (r *recorder) Receive(_ context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	r.change(func() {
		next, ok := r.next[b.Partition]
		switch {
		case !ok:
			r.problem("%v: a batch while not assigned", b.Partition)
		case next >= 0 && b.First != next:
			r.problem("%v: a batch from offset %d, not %d", b.Partition, b.First, next)
		}
		r.next[b.Partition] = b.Next
		r.highest[b.Partition] = max(r.highest[b.Partition], b.Next)
		for i := range b.Events {
			r.requests[strings.Clone(b.Events[i].RequestID)]++ // the batch is released
		}
		r.rejected += len(rejected)
	})
	if b.Release != nil {
		b.Release()
	}
	return nil
}

func (r *recorder) CaughtUp(p event.Partition, _ time.Time) {
	r.change(func() {
		if _, ok := r.next[p]; !ok {
			r.problem("%v caught up while not assigned", p)
		}
	})
}

func (r *recorder) Revoked(_ context.Context, p event.Partition) {
	r.change(func() {
		if _, ok := r.next[p]; !ok {
			r.problem("%v revoked while not assigned", p)
		}
		delete(r.next, p)
	})
}

func (r *recorder) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits until enough, which is called with r locked, returns true.
func (r *recorder) until(t *testing.T, ctx context.Context, what string, enough func() bool) {
	t.Helper()
	for {
		r.mu.Lock()
		done, changed := enough(), r.changed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waiting for %s: %v; %d requests, %d partitions assigned, problems: %v", what, ctx.Err(), len(r.requests), len(r.next), r.problems)
		}
	}
}

// untilRequests waits until n different requests have come.
func (r *recorder) untilRequests(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	r.until(t, ctx, fmt.Sprint(n, " requests"), func() bool { return len(r.requests) >= n })
}

// untilAssigned waits until n partitions are assigned.
func (r *recorder) untilAssigned(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	r.until(t, ctx, fmt.Sprint(n, " partitions"), func() bool { return len(r.next) == n })
}

// positions returns what can be committed.
func (r *recorder) positions() map[event.Partition]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	positions := map[event.Partition]int64{}
	for p := range r.next {
		if n := r.highest[p]; n > 0 {
			positions[p] = n
		}
	}
	return positions
}

// check reports what must not have come, requests that came other than once (unless repeats may come) and rejected records.
func (r *recorder) check(t *testing.T, repeats bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.problems {
		t.Error(p)
	}
	if r.rejected > 0 {
		t.Errorf("%d records rejected", r.rejected)
	}
	for id, n := range r.requests {
		if n != 1 && !repeats {
			t.Errorf("request %s came %d times", id, n)
		}
	}
}
