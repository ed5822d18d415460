package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// crowded returns a configuration in which lines are always about to be full.
func crowded(random *rand.Rand) sinks.Config {
	c := config()
	c.MaxAlerts, c.BatchAlerts = 1+random.IntN(40), 1+random.IntN(20)
	c.BatchDelay = time.Duration(random.IntN(300)) * time.Millisecond
	c.RetryMax = 5 * time.Second
	return c
}

// sometimes fails one of n times.
func sometimes(random *rand.Rand, n int) func() error {
	var mu sync.Mutex
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(n) == 0 {
			return errors.New("503")
		}
		return nil
	}
}

// A process that is killed at random moments, over and over. Each life raises again what the outbox does not have, as the
// engine does from its last checkpoint. No sink misses an alert, and none gets one again that it had settled.
func TestKilledAtAnyMoment(t *testing.T) {
	const total = 400
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			o, seen := sinktest.NewOutbox(), map[string]map[int]bool{"a": {}, "b": {}}
			lives := 0
			for settledAll := false; !settledAll; lives++ {
				o.Latency = time.Duration(random.IntN(100)) * time.Millisecond
				settled := o.Settled()
				sink := map[string]*taker{}
				var options sinks.Options
				for name := range seen {
					sink[name] = &taker{
						name: name, answer: sometimes(rand.New(rand.NewPCG(seed, uint64(lives))), 3),
						took: time.Duration(random.IntN(200)) * time.Millisecond,
					}
					options.Destinations = append(options.Destinations, sinks.Destination{Sink: sink[name], Config: crowded(random)})
				}
				q := newQueue(t, options)
				raising, stop := context.WithTimeout(context.Background(), time.Duration(random.IntN(8000))*time.Millisecond)
				live(raising, q.Attach(o), int(o.Last()), total, random)
				o = o.Kill()
				stop()
				closeAtOnce(q)
				settledAll = o.Settled()["a"] == total && o.Settled()["b"] == total
				for name, k := range sink {
					numbers := k.numbers("x")
					if !slices.IsSorted(numbers) || len(numbers) > 0 && numbers[0] != int(settled[name])+1 {
						t.Errorf("seed %d: sink %s, settled through %d, got %v", seed, name, settled[name], numbers)
					}
					for _, n := range numbers {
						seen[name][n] = true
					}
				}
			}
			if lives < 3 {
				t.Errorf("seed %d: only %d lives", seed, lives)
			}
			for name, numbers := range seen {
				if len(numbers) != total {
					t.Errorf("seed %d: sink %s got %d of %d alerts", seed, name, len(numbers), total)
				}
			}
		})
	}
}

// live raises alerts from what is last known to total, now and then some, until ctx is done.
func live(ctx context.Context, f *sinks.Feed, last, total int, random *rand.Rand) {
	for ctx.Err() == nil {
		n := min(last+random.IntN(30), total)
		if n > last {
			_, _ = f.Enqueue(ctx, oneOrigin(last+1, n))
			last = n
		}
		select {
		case <-time.After(time.Duration(random.IntN(500)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func oneOrigin(from, to int) []sinks.Record { return records("x", from, to) }

// Feeds come and go between two queues under load, as partitions do between two instances. A feed that is detached in time
// leaves nothing that comes twice, and the others go on.
func TestFeedsMoveUnderLoad(t *testing.T) {
	for seed := range uint64(15) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			both := &taker{name: "k", answer: sometimes(rand.New(rand.NewPCG(seed, 4)), 4), took: 50 * time.Millisecond}
			var queues []*sinks.Queue
			for range 2 {
				queues = append(queues, newQueue(t, sinks.Options{Destinations: []sinks.Destination{{Sink: both, Config: crowded(random)}}}))
			}
			parts := make([]*part, 4)
			for i := range parts {
				parts[i] = &part{origin: fmt.Sprint(i), outbox: sinktest.NewOutbox()}
				parts[i].attach(queues[i%2])
			}
			for range 200 {
				p := parts[random.IntN(len(parts))]
				enqueue(t, p.feed, records(p.origin, p.raised+1, p.raised+5))
				p.raised += 5
				if random.IntN(10) == 0 {
					p.move(t, queues[random.IntN(2)])
				}
				time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
			}
			for _, p := range parts {
				must(t, p.feed.Drain(t.Context()))
				expect(t, "taken of "+p.origin, both.numbers(p.origin), upTo(1, p.raised))
				expect(t, "settled of "+p.origin, p.outbox.Settled(), map[string]uint64{"k": uint64(p.raised)})
			}
			for _, q := range queues {
				must(t, q.Close(t.Context()))
			}
		})
	}
}

// part is one partition: where its feed is, and what was raised.
type part struct {
	origin string
	outbox *sinktest.Outbox
	feed   *sinks.Feed
	raised int
}

func (p *part) attach(q *sinks.Queue) { p.feed = q.Attach(p.outbox) }

// move detaches the feed and attaches a successor. What was not appended is raised again. The old life's outbox is killed, so
// that a call after Detach would hang and fail the test.
func (p *part) move(t *testing.T, q *sinks.Queue) {
	t.Helper()
	must(t, p.feed.Detach(t.Context()))
	if _, err := p.feed.Enqueue(t.Context(), records(p.origin, 1, 1)); !errors.Is(err, sinks.ErrDetached) {
		t.Errorf("enqueue after detach: %v", err)
	}
	p.outbox = p.outbox.Kill()
	p.attach(q)
	p.raised = int(p.outbox.Last())
}

func TestDetachInterruptsTheWaitForADeadSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alive := false
		k := &taker{name: "k", answer: func() error {
			if !alive {
				return &sinks.RetryError{After: 10 * time.Minute, Err: errors.New("429")}
			}
			return nil
		}}
		q := newQueue(t, sinks.Options{}, k)
		one, other := sinktest.NewOutbox(), sinktest.NewOutbox()
		f, g := q.Attach(one), q.Attach(other)
		must(t, f.Durable(t.Context(), enqueue(t, f, spread("one", 1, 3))))
		synctest.Wait()
		enqueue(t, g, records("other", 1, 1))
		synctest.Wait()
		alive = true
		begin := time.Now()
		must(t, f.Detach(t.Context()))
		must(t, g.Drain(t.Context()))
		expect(t, "the other's turn came after", time.Since(begin), time.Duration(0))
		expect(t, "other", k.numbers("other"), []int{1})
		expect(t, "one", k.numbers("one 1"), []int(nil))
		expect(t, "left for the successor", one.Settled(), map[string]uint64{"k": 0})
		must(t, q.Close(t.Context()))
	})
}

func TestDetachMakesRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &taker{name: "k", took: time.Second}
		q := newQueue(t, sinks.Options{}, k)
		f, g := q.Attach(sinktest.NewOutbox()), q.Attach(sinktest.NewOutbox())
		enqueue(t, f, records("busy", 1, 1))
		synctest.Wait()
		enqueue(t, g, records("gone", 1, 5))
		synctest.Wait()
		before := q.Status()[0]
		must(t, g.Detach(t.Context()))
		after := q.Status()[0]
		expect(t, "alerts in the line", []int{before.Alerts, after.Alerts}, []int{6, 1})
		expect(t, "bytes", after.Bytes < before.Bytes/2, true)
		must(t, q.Close(t.Context()))
		expect(t, "taken", k.numbers("gone"), []int(nil))
		if s := q.Status()[0]; s.Alerts != 0 || s.Bytes != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// The delivery under way is waited for and noted; the rest of a batch that was taken in part is left to the successor.
func TestDetachNotesWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &partly{}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		enqueue(t, f, spread("a", 1, 5))
		synctest.Wait()
		begin := time.Now()
		must(t, f.Detach(t.Context()))
		expect(t, "detached after", time.Since(begin), 10*time.Second)
		expect(t, "settled", o.Settled(), map[string]uint64{"partly": 2})
		time.Sleep(time.Hour)
		expect(t, "deliveries", k.deliveries, 1)
		must(t, q.Close(t.Context()))
	})
}

// partly takes ten seconds and leaves the third and later alerts, but for the fourth, for another time.
type partly struct{ deliveries int }

func (p *partly) Name() string { return "partly" }

func (p *partly) Deliver(context.Context, []*alert.Alert) error {
	p.deliveries++
	time.Sleep(10 * time.Second)
	return &sinks.PartialError{Retry: []int{2, 4}, Err: errors.New("busy")}
}

func (p *partly) Close(context.Context) error { return nil }

func TestDetachIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		k, o := &taker{name: "k", answer: func() error { <-release; return nil }}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		enqueue(t, f, records("a", 1, 1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if err := f.Detach(ctx); err == nil {
			t.Error("detached although the delivery is under way")
		}
		expect(t, "gave up after", time.Since(begin), 6*time.Second)
		close(release)
		synctest.Wait()
		expect(t, "settled", o.Settled(), map[string]uint64{"k": 0})
		must(t, q.Close(t.Context()))
	})
}

func TestDetachEndsAnAppendThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k"}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		synctest.Wait()
		o.Kill()
		through := enqueue(t, f, records("a", 1, 1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		must(t, f.Detach(ctx))
		if err := f.Durable(t.Context(), through); !errors.Is(err, sinks.ErrDetached) {
			t.Errorf("durable: %v", err)
		}
		must(t, q.Close(t.Context()))
	})
}

// Whatever the sinks answer and however small the lines, over several outboxes: every alert is taken once or buried once, and
// versions never overtake each other.
func TestNothingLostOverOutboxes(t *testing.T) {
	const total = 150
	for seed := range uint64(15) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 5))
			dead, o := &buried{}, sinks.Options{}
			moods := []*moody{{name: "a"}, {name: "b"}}
			for i, m := range moods {
				m.random, m.settled = rand.New(rand.NewPCG(seed, uint64(10+i))), map[string]int{}
				o.Destinations = append(o.Destinations, sinks.Destination{Sink: m, Config: crowded(random)})
			}
			o.DeadLetters = dead
			q := newQueue(t, o)
			var feeds []*sinks.Feed
			for range 3 {
				feeds = append(feeds, q.Attach(sinktest.NewOutbox()))
			}
			for n := range total {
				for i, f := range feeds {
					enqueue(t, f, records(fmt.Sprintf("%d.%d", i, n%7), n/7+1, n/7+1))
				}
			}
			must(t, q.Close(t.Context()))
			for _, l := range dead.letters {
				moods[slices.IndexFunc(moods, func(m *moody) bool { return m.name == l.Sink })].settled[sinktest.Key(l.Alert)]++
			}
			for _, m := range moods {
				expect(t, fmt.Sprintf("seed %d: alerts settled", seed), len(m.settled), total*len(feeds))
				for key, n := range m.settled {
					if n != 1 {
						t.Errorf("seed %d: %s settled %d times", seed, key, n)
					}
				}
				if m.disorder != "" {
					t.Errorf("seed %d: %s", seed, m.disorder)
				}
			}
		})
	}
}

// moody is a sink that answers everything that a sink may answer.
type moody struct {
	name     string
	random   *rand.Rand
	settled  map[string]int
	latest   map[string]int
	disorder string
}

func (m *moody) Name() string                { return m.name }
func (m *moody) Close(context.Context) error { return nil }

func (m *moody) Deliver(_ context.Context, batch []*alert.Alert) error {
	switch m.random.IntN(4) {
	case 0:
		return errors.New("503")
	case 1:
		return &sinks.RefusedError{Err: errors.New("400")}
	}
	partial := &sinks.PartialError{}
	for i, a := range batch {
		switch m.random.IntN(4) {
		case 0:
			partial.Retry = append(partial.Retry, i)
		case 1:
			partial.Refused = append(partial.Refused, sinks.Refusal{Index: i, Err: errors.New("mapping")})
		default:
			m.take(a)
		}
	}
	return partial
}

func (m *moody) take(a *alert.Alert) {
	if m.latest == nil {
		m.latest = map[string]int{}
	}
	m.settled[sinktest.Key(a)]++
	if a.Version <= m.latest[a.ID] {
		m.disorder = fmt.Sprintf("alert %s: version %d came after %d", a.ID, a.Version, m.latest[a.ID])
	}
	m.latest[a.ID] = a.Version
}
