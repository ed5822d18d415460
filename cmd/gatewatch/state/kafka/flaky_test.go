package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

// flaky makes listeners whose connections break: before a request is read, or after it was done and before the answer is
// sent.
type flaky struct {
	mu     sync.Mutex
	random *rand.Rand
	on     atomic.Bool
	broken atomic.Int64
}

func (f *flaky) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &flakyListener{l, f}, err
}

type flakyListener struct {
	net.Listener
	flaky *flaky
}

func (l *flakyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &flakyConn{c, l.flaky}, nil
}

type flakyConn struct {
	net.Conn
	flaky *flaky
}

var errBroken = errors.New("broken on purpose")

func (c *flakyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.flaky.breaks() {
		c.Conn.Close()
		return 0, errBroken
	}
	return n, err
}

func (c *flakyConn) Write(b []byte) (int, error) {
	if c.flaky.breaks() {
		c.Conn.Close()
		return 0, errBroken
	}
	return c.Conn.Write(b)
}

func (f *flaky) breaks() bool {
	if !f.on.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.IntN(60) > 0 {
		return false
	}
	f.broken.Add(1)
	return true
}

// Whatever answers are lost: each step is done once when its call returns, and calls do not fail.
func TestLostAnswers(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			fl := &flaky{random: rand.New(rand.NewPCG(seed, 0))}
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(fl.listen))
			must(t, err)
			t.Cleanup(c.Close)
			f := &fake{c, &logs{}}
			s := f.open(t)
			fl.on.Store(true)
			work(t, s)
			fl.on.Store(false)
			t.Logf("%d connections broken", fl.broken.Load())
			check(t, s)
			check(t, f.open(t))
			if t.Failed() {
				t.Log(f.log)
			}
		})
	}
}

const steps = 40

// work appends and makes checkpoints at the same time.
func work(t *testing.T, s *Store) {
	ctx := limited(t)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range steps {
			if err := s.Append(ctx, entries(2*i+1, 2)); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for n := uint64(1); n <= steps; n++ {
			err := s.Stage(ctx, state.Chunk{Lane: int(n % 2), Base: n%8 < 2, Data: []byte{byte(n)}})
			m := state.Manifest{Number: n, Lanes: 2}
			if n%8 < 2 {
				m.Bases = []int{int(n % 2)}
			}
			if err := errors.Join(err, s.Commit(ctx, m)); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for i := range uint64(steps) {
			if err := errors.Join(s.Settle(ctx, "sink", i), s.Trim(ctx, min(i, s.Last()))); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
}

func check(t *testing.T, s *Store) {
	t.Helper()
	if got := s.Settled()["sink"]; got != steps-1 {
		t.Errorf("settled %d", got)
	}
	var chunks string
	m, ok, err := state.Read(limited(t), s, func(c state.Chunk) error {
		chunks += fmt.Sprint(c.Lane, c.Base, c.Data, " ")
		return nil
	})
	if want := "1 false [35] 1 false [37] 1 false [39] 0 true [40] "; err != nil || !ok || m.Number != steps || chunks != "1 true [33] "+want {
		t.Errorf("checkpoint %d, %v, %v: %s", m.Number, ok, err, chunks)
	}
	checkOutbox(t, s)
}

func checkOutbox(t *testing.T, s *Store) {
	t.Helper()
	got, err := s.After(limited(t), 0, 1<<20)
	must(t, err)
	first := 2*steps + 1 - len(got)
	for i, e := range got {
		if e.Sequence != uint64(first+i) || e.Data[0] != byte(first+i) {
			t.Fatalf("entry %d is %d %v", i, e.Sequence, e.Data)
		}
	}
	if len(got) < 2*steps-steps || s.Last() != 2*steps {
		t.Fatalf("%d entries, the last is %d", len(got), s.Last())
	}
}

// What a store that was followed sends late is seen by nobody.
func TestLateChunks(t *testing.T) {
	f := newFake(t)
	old := f.open(t)
	must(t, old.Stage(t.Context(), state.Chunk{Base: true, Data: []byte("a")}))
	must(t, old.Commit(t.Context(), statetest.Manifest(1, 1, 0)))
	must(t, old.Stage(t.Context(), state.Chunk{Data: []byte("staged before")}))
	next := f.open(t)
	must(t, old.Stage(t.Context(), state.Chunk{Data: []byte("staged after")})) // it cannot know yet
	must(t, old.stage.flush(limited(t)))
	must(t, next.Stage(t.Context(), state.Chunk{Data: []byte("b")}))
	must(t, next.Commit(t.Context(), statetest.Manifest(2, 1)))
	must(t, old.stage.add(t.Context(), 2, state.Chunk{Data: []byte("staged after the commit")}))
	must(t, old.stage.flush(limited(t)))
	if err := old.Commit(limited(t), statetest.Manifest(2, 1)); !errors.Is(err, state.ErrFenced) {
		t.Fatalf("commit of the one before: %v", err)
	}
	if err := old.Stage(t.Context(), state.Chunk{}); !errors.Is(err, state.ErrFenced) {
		t.Fatalf("stage after that: %v", err)
	}
	third := f.open(t)
	for _, s := range []*Store{next, third} {
		var got string
		m, _, err := state.Read(limited(t), s, func(c state.Chunk) error { got += string(c.Data) + " "; return nil })
		if s == third && (err != nil || m.Number != 2 || got != "a b ") {
			t.Fatalf("checkpoint %d, %v: %s", m.Number, err, got)
		}
	}
	must(t, third.Commit(limited(t), statetest.Manifest(3, 1)))
	if n := len(third.index.chunks); n != 2 {
		t.Errorf("%d chunks are kept, want 2: the rest is of no use", n)
	}
}

// A store that a broker takes for fenced although nobody followed goes on: so it is after the transaction timeout.
func TestFencedByMistake(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	s.possession.grace = 10 * time.Millisecond
	must(t, s.Append(limited(t), entries(1, 1)))
	p, err := s.topic.newProducer(limited(t), s.possession.transactionalID())
	must(t, err)
	p.close()
	must(t, s.Append(limited(t), entries(2, 1)))
	p, err = s.topic.newProducer(limited(t), s.possession.transactionalID())
	must(t, err)
	p.close()
	must(t, s.Commit(limited(t), statetest.Manifest(1, 1)))
	again := f.open(t)
	if again.Last() != 2 || again.number() != 1 {
		t.Errorf("last %d, checkpoint %d", again.Last(), again.number())
	}
}
