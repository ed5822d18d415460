package router

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// copyOf is one event for one kind of entity.
type copyOf struct {
	partition int32
	offset    int64
	index     int32
	kind      string
}

// consumer reads the keyed topic as an engine would: a chain for each of its partitions.
type consumer struct {
	mu       sync.Mutex
	entities *detector.Entities
	chains   map[event.Partition]*keyed.Chain
	next     map[event.Partition]int64
	copies   map[copyOf]int
	last     map[[2]int32]copyOf // by keyed and raw partition
	caughtUp map[[2]int32]bool
	left     int // records that did not fit
	again    int // events that had come before
	problems []string
	changed  chan struct{} // closed and replaced with every change
}

func consume(t *testing.T, c *kfake.Cluster) *consumer {
	t.Helper()
	r := &consumer{
		entities: detector.NewEntities(parse(t, testRules)), chains: map[event.Partition]*keyed.Chain{}, next: map[event.Partition]int64{},
		copies: map[copyOf]int{}, last: map[[2]int32]copyOf{}, caughtUp: map[[2]int32]bool{}, changed: make(chan struct{}),
	}
	s, err := kafka.New(kafka.Options{
		Config: sourceConfig(c, "engines", keyedTopic), NewKeyed: func() *keyed.Decoder { return keyed.NewDecoder(keyed.Options{}) },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.RunKeyed(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *consumer) Assigned(_ context.Context, next map[event.Partition]int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, offset := range next {
		if r.chains[p] == nil {
			r.chains[p], r.next[p] = &keyed.Chain{}, offset
		}
	}
	return nil
}

func (r *consumer) CaughtUp(event.Partition, time.Time)      {}
func (r *consumer) Revoked(context.Context, event.Partition) {}

func (r *consumer) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *consumer) Receive(_ context.Context, p *keyed.Portion) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next := r.next[p.Partition]; next >= 0 && p.First != next {
		r.problem("a portion from %d, want %d", p.First, next)
	}
	r.next[p.Partition] = p.Next
	if len(p.Rejected) > 0 {
		r.problem("rejected %+v", p.Rejected)
	}
	for _, run := range p.Runs {
		r.take(p.Partition, run)
		run.Batch.Release()
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

func (r *consumer) take(p event.Partition, run *keyed.Run) {
	v := r.chains[p].Take(&run.Header)
	if !v.Take {
		r.left++
		return
	}
	if v.Gap != 0 {
		r.problem("a gap of %d in front of %+v", v.Gap, run.Header)
	}
	way := [2]int32{p.ID, run.Partition.ID}
	r.caughtUp[way] = run.CaughtUp != 0
	if run.Header.Partitions != 4 || len(run.Inputs) != 1 || run.Inputs[0] != (keyed.Input{Topic: rawTopic, Partitions: 3}) {
		r.problem("shape %+v", run.Shape)
	}
	for i := range run.Batch.Events {
		e := &run.Batch.Events[i]
		if e.Offset < v.Known {
			r.again++
			continue
		}
		r.event(p.ID, way, run, e, run.Kinds[i])
	}
}

func (r *consumer) event(keyedID int32, way [2]int32, run *keyed.Run, e *event.Event, kinds uint64) {
	if e.Offset >= run.Next || e.Offset < run.From || run.Progress != 0 && e.Time > run.Progress {
		r.problem("event %d at %v is not of its record %+v", e.Offset, e.Time, run.Header)
	}
	if last, ok := r.last[way]; ok && (last.offset > e.Offset || last.offset == e.Offset && last.index >= e.Index) {
		r.problem("event %d %d after %+v", e.Offset, e.Index, last)
	}
	r.last[way] = copyOf{offset: e.Offset, index: e.Index}
	r.entities.Of(e, func(kind int, name string) {
		name = run.Header.Kinds[kind] + " " + name
		here := keyed.Partition(run.Header.Kinds[kind], name[len(run.Header.Kinds[kind])+1:], 4) == keyedID
		if here != (kinds>>kind&1 != 0) {
			r.problem("event %d of %s: in partition %d with kinds %b", e.Offset, name, keyedID, kinds)
		}
		if here {
			r.copies[copyOf{run.Partition.ID, e.Offset, e.Index, run.Header.Kinds[kind]}]++
		}
	})
}

// until waits until enough, called with r locked, returns true.
func (r *consumer) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
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
			t.Fatalf("waiting for %s: %d copies, %d records left out, problems %v", what, len(r.copies), r.left, r.problems)
		}
	}
}

// check compares with what should have come.
func (r *consumer) check(t *testing.T, want map[copyOf]bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.problems {
		t.Error(p)
	}
	for c, n := range r.copies {
		if n != 1 || !want[c] {
			t.Errorf("%+v came %d times, expected: %v", c, n, want[c])
		}
	}
	for c := range want {
		if r.copies[c] == 0 {
			t.Errorf("%+v is lost", c)
		}
	}
}
