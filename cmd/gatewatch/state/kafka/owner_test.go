package kafka

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// blocked holds the store's next transaction back until release is closed.
func blocked(s *Store) (reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.possession.onAttempt = func(uint64) {
		once.Do(func() {
			close(reached)
			<-release
		})
	}
	return reached, release
}

// A caller that gave up waiting and tries again with other entries must not overwrite those that it left behind.
func TestAbandonedAppend(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	reached, release := blocked(s)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- s.Append(ctx, entries(1, 1)) }()
	<-reached
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() { second <- s.Append(limited(t), []state.Entry{{Sequence: 1, Data: []byte("other")}}) }()
	close(release)
	if err := <-second; err == nil {
		t.Error("sequence 1 was taken twice")
	}
	got, err := f.open(t).After(limited(t), 0, 100)
	if err != nil || len(got) != 1 || string(got[0].Data) == "other" {
		t.Errorf("%v, %v", got, err)
	}
}

// Requests that come while a transaction is under way share the next one.
func TestGroups(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	reached, release := blocked(s)
	before := s.transaction()
	var all sync.WaitGroup
	all.Go(func() { must(t, s.Settle(limited(t), "a", 1)) })
	<-reached
	for _, sink := range []string{"b", "c", "d", "e"} {
		all.Go(func() { must(t, s.Settle(limited(t), sink, 1)) })
	}
	for len(s.possession.requests) < 4 {
		if t.Context().Err() != nil {
			t.Fatal("no requests")
		}
	}
	close(release)
	all.Wait()
	if n := s.transaction() - before; n != 2 {
		t.Errorf("%d transactions for 5 requests", n)
	}
	if n := len(s.Settled()); n != 5 {
		t.Errorf("%d sinks", n)
	}
}

func TestClosed(t *testing.T) {
	s := newFake(t).open(t)
	must(t, s.Close())
	must(t, s.Close())
	if err := s.Append(limited(t), entries(1, 1)); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

// A process that dies within a transaction leaves nothing of it, however long it stays open.
func TestOpenTransaction(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	must(t, s.Append(limited(t), entries(1, 1)))
	p := s.possession.producer.client
	must(t, p.BeginTransaction())
	record, err := s.possession.ownerRecord()
	must(t, err)
	must(t, p.ProduceSync(limited(t), record, &kgo.Record{Key: entryID(2, 0), Value: []byte("\x01never"), Partition: 1}).FirstErr())
	next := f.open(t)
	if last := next.Last(); last != 1 {
		t.Errorf("the last sequence is %d", last)
	}
	if err := p.EndTransaction(limited(t), kgo.TryCommit); err == nil {
		t.Error("the transaction of the one before was committed")
	}
	must(t, next.Append(limited(t), entries(2, 1)))
	if last := f.open(t).Last(); last != 2 {
		t.Errorf("the last sequence is %d", last)
	}
}

// A store that does not look first, as after a broker that did not answer, disturbs its successor, and no more.
func TestFencedUnawares(t *testing.T) {
	f := newFake(t)
	old := f.open(t)
	old.possession.grace = 0
	must(t, old.Append(limited(t), entries(1, 1)))
	next := f.open(t)
	next.possession.grace = 0
	must(t, next.Append(limited(t), entries(2, 1)))
	if err := old.Append(limited(t), entries(2, 1)); !errors.Is(err, state.ErrFenced) {
		t.Fatalf("append of the one before: %v", err)
	}
	must(t, next.Append(limited(t), entries(3, 1)))
	if last := f.open(t).Last(); last != 3 {
		t.Errorf("the last sequence is %d", last)
	}
}
