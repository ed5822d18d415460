package sinks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// taker is a sink that takes what answer allows and notes it, by origin.
type taker struct {
	name   string
	answer func() error // nil: takes everything
	took   time.Duration

	mu    sync.Mutex
	taken map[string][]int // numbers by origin
	at    map[string][]time.Time
}

func (k *taker) Name() string { return k.name }

func (k *taker) Deliver(ctx context.Context, batch []*alert.Alert) error {
	select {
	case <-time.After(k.took):
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.answer != nil {
		if err := k.answer(); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.taken == nil {
		k.taken, k.at = map[string][]int{}, map[string][]time.Time{}
	}
	for _, a := range batch {
		k.taken[a.ID] = append(k.taken[a.ID], a.Version)
		k.at[a.ID] = append(k.at[a.ID], time.Now())
	}
	return nil
}

func (k *taker) Close(context.Context) error { return nil }

func (k *taker) numbers(origin string) []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]int(nil), k.taken[origin]...)
}

// upTo returns from, from + 1 … to.
func upTo(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// records makes alerts of an origin with ascending numbers.
func records(origin string, from, to int) (all []sinks.Record) {
	for n := from; n <= to; n++ {
		all = append(all, record(origin, n))
	}
	return all
}

func record(origin string, n int) sinks.Record {
	return sinks.Record{Alert: &alert.Alert{Schema: 1, ID: origin, Version: n}}
}

// spread makes alerts of an origin that can be in one batch.
func spread(origin string, from, to int) (all []sinks.Record) {
	for n := from; n <= to; n++ {
		all = append(all, sinks.Record{Alert: &alert.Alert{Schema: 1, ID: fmt.Sprintf("%s %d", origin, n), Version: n}})
	}
	return all
}

type buried struct {
	mu      sync.Mutex
	letters []sinks.Letter
}

func (b *buried) Bury(letters []sinks.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, letters...)
	return nil
}

func config() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchDelay = 0
	return c
}

func newQueue(t *testing.T, o sinks.Options, all ...sinks.Sink) *sinks.Queue {
	t.Helper()
	for _, s := range all {
		o.Destinations = append(o.Destinations, sinks.Destination{Sink: s, Config: config()})
	}
	if o.DeadLetters == nil {
		o.DeadLetters = &buried{}
	}
	q, err := sinks.NewQueue(o)
	must(t, err)
	return q
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func enqueue(t *testing.T, f *sinks.Feed, all []sinks.Record) uint64 {
	t.Helper()
	through, err := f.Enqueue(t.Context(), all)
	must(t, err)
	return through
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func down() error { return errors.New("down") }

// closeAtOnce ends a queue without giving it time.
func closeAtOnce(q *sinks.Queue) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = q.Close(ctx)
}

// An hour in which one sink is dead, at 100 alerts a second: bounded memory, no delay for the other sink, and afterwards
// everything in order and once.
func TestDeadSinkForAnHour(t *testing.T) {
	const group, tick = 10, 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		dead := &hourly{answer: func() error {
			select {
			case <-up:
				return nil
			default:
				return errors.New("down")
			}
		}}
		alive, small := &hourly{}, config()
		small.MaxAlerts = 2000
		q := newQueue(t, sinks.Options{Destinations: []sinks.Destination{
			{Sink: dead, Config: small, Name: "dead"}, {Sink: alive, Config: small, Name: "alive"},
		}})
		o := sinktest.NewOutbox()
		o.Latency = 10 * time.Millisecond
		f, n := q.Attach(o), 0
		batch := make([]sinks.Record, group)
		for range time.Hour / tick {
			for i := range batch {
				batch[i] = sinks.Record{Alert: &alert.Alert{ID: fmt.Sprint(n % 10_000), Version: n + 1, DetectedAt: now()}}
				n++
			}
			enqueue(t, f, batch)
			time.Sleep(tick)
			for _, s := range q.Status() {
				if s.Alerts > s.MaxAlerts || s.Bytes > s.MaxBytes {
					t.Fatalf("status %+v", s)
				}
			}
		}
		expect(t, "yet to read", q.Status()[0].Spilled, uint64(n-2000))
		expect(t, "taken by the sink that lives", alive.next, n)
		if alive.longest > 50 {
			t.Errorf("a dead sink delayed another by %d ms", alive.longest)
		}
		expect(t, "taken by the dead sink", dead.next, 0)
		close(up)
		must(t, f.Drain(t.Context()))
		expect(t, "taken afterwards", dead.next, n)
		expect(t, "settled", o.Settled(), map[string]uint64{"dead": uint64(n), "alive": uint64(n)})
		expect(t, "acknowledged", f.Acknowledged(), uint64(n))
		must(t, q.Close(t.Context()))
	})
}

func now() alert.Time { return alert.Time(time.Now().UnixMilli()) }

// hourly is a sink that wants versions in order without gaps and remembers the longest delay in milliseconds.
type hourly struct {
	answer  func() error
	next    int
	longest alert.Time
}

func (h *hourly) Name() string { return "hourly" }

func (h *hourly) Deliver(_ context.Context, batch []*alert.Alert) error {
	if h.answer != nil {
		if err := h.answer(); err != nil {
			return err
		}
	}
	for _, a := range batch {
		if h.next++; a.Version != h.next {
			panic(fmt.Sprintf("alert %d came where %d should be", a.Version, h.next))
		}
		h.longest = max(h.longest, now()-a.DetectedAt)
	}
	return nil
}

func (h *hourly) Close(context.Context) error { return nil }

func TestNothingIsDeliveredBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k"}, sinktest.NewOutbox()
		o.Latency = 2 * time.Second
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		begin := time.Now()
		through := enqueue(t, f, records("a", 1, 3))
		expect(t, "through", through, uint64(3))
		expect(t, "enqueue took", time.Since(begin), time.Duration(0))
		time.Sleep(1900 * time.Millisecond) // the outbox shows the records, but has not said that they are safe
		expect(t, "last", o.Last(), uint64(3))
		expect(t, "too early", k.numbers("a"), []int(nil))
		must(t, f.Durable(t.Context(), through))
		expect(t, "durable after", time.Since(begin), 2*time.Second)
		must(t, f.Drain(t.Context()))
		expect(t, "taken", k.numbers("a"), upTo(1, 3))
		expect(t, "acknowledged", f.Acknowledged(), uint64(3))
		must(t, q.Close(t.Context()))
	})
}

// A line that reads on from the outbox may see records there before Append has returned.
func TestNothingIsReadOnBeforeItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o, small := &taker{name: "k"}, sinktest.NewOutbox(), config()
		small.MaxAlerts = 2
		first := true
		k.answer = func() error {
			if first {
				time.Sleep(6 * time.Second)
			}
			first = false
			return nil
		}
		o.Latency = 10 * time.Second
		q := newQueue(t, sinks.Options{Destinations: []sinks.Destination{{Sink: k, Config: small}}})
		f := q.Attach(o)
		must(t, f.Durable(t.Context(), enqueue(t, f, records("a", 1, 3))))
		enqueue(t, f, records("a", 4, 5))
		time.Sleep(9 * time.Second)
		expect(t, "last", o.Last(), uint64(5))
		expect(t, "taken before the others are durable", k.numbers("a"), upTo(1, 3))
		must(t, f.Drain(t.Context()))
		expect(t, "taken", k.numbers("a"), upTo(1, 5))
		must(t, q.Close(t.Context()))
	})
}

func TestLargeRecordWaitsForAnEmptyLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o, c := &taker{name: "k"}, sinktest.NewOutbox(), config()
		c.BatchDelay, c.MaxBytes = time.Second, 10_000
		large := record("b", 2)
		large.Alert.Summary = strings.Repeat("x", 2*c.MaxBytes)
		must(t, o.Append(t.Context(), []sinks.Record{record("a", 1), large, record("a", 3)}))
		q := newQueue(t, sinks.Options{Destinations: []sinks.Destination{{Sink: k, Config: c}}})
		q.Attach(o)
		time.Sleep(10 * time.Second)
		expect(t, "small", k.numbers("a"), []int{1, 3})
		expect(t, "large", k.numbers("b"), []int{2})
		must(t, q.Close(t.Context()))
	})
}

// fenced is an error that will not pass.
type fenced struct{}

func (fenced) Error() string   { return "fenced" }
func (fenced) Permanent() bool { return true }

func TestFailedAppendEndsTheFeedAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, bad, good := &taker{name: "k"}, sinktest.NewOutbox(), sinktest.NewOutbox()
		bad.Fail = func(call string) error {
			if call == "append" {
				return fenced{}
			}
			return nil
		}
		q := newQueue(t, sinks.Options{}, k)
		f, other := q.Attach(bad), q.Attach(good)
		through := enqueue(t, f, records("bad", 1, 3))
		if err := f.Durable(t.Context(), through); !errors.Is(err, fenced{}) {
			t.Errorf("durable: %v", err)
		}
		if err := f.Err(); !errors.Is(err, fenced{}) {
			t.Errorf("err: %v", err)
		}
		if _, err := f.Enqueue(t.Context(), records("bad", 4, 4)); !errors.Is(err, fenced{}) {
			t.Errorf("enqueue: %v", err)
		}
		if err := f.Drain(t.Context()); !errors.Is(err, fenced{}) {
			t.Errorf("drain: %v", err)
		}
		enqueue(t, other, records("good", 1, 3))
		must(t, other.Drain(t.Context()))
		expect(t, "of the failed feed", k.numbers("bad"), []int(nil))
		expect(t, "of the other", k.numbers("good"), upTo(1, 3))
		must(t, f.Detach(t.Context()))
		must(t, q.Close(t.Context()))
	})
}

// What cannot be kept must not end the feed: it would be raised again after the next start, and again.
func TestRecordWithoutJSONFormIsBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o, dead := &taker{name: "k"}, sinktest.NewOutbox(), &buried{}
		q := newQueue(t, sinks.Options{DeadLetters: dead}, k)
		f, bad := q.Attach(o), record("a", 2)
		bad.Alert.Observed.Value = math.NaN()
		expect(t, "through", enqueue(t, f, []sinks.Record{record("a", 1), bad, record("a", 3)}), uint64(2))
		must(t, f.Drain(t.Context()))
		expect(t, "taken", k.numbers("a"), []int{1, 3})
		if len(dead.letters) != 1 || dead.letters[0].Alert.Version != 2 || dead.letters[0].Sink != "outbox" {
			t.Errorf("dead letters: %+v", dead.letters)
		}
		must(t, q.Close(t.Context()))
	})
}

func TestSettleIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o, failures := &taker{name: "k"}, sinktest.NewOutbox(), 0
		var log bytes.Buffer
		q := newQueue(t, sinks.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, k)
		must(t, o.Settle(t.Context(), "k", 0))
		o.Fail = func(call string) error {
			if call == "settle" && failures < 5 {
				failures++
				return errors.New("busy")
			}
			return nil
		}
		f := q.Attach(o)
		enqueue(t, f, records("a", 1, 1))
		time.Sleep(1500 * time.Millisecond)
		enqueue(t, f, records("a", 2, 2))
		synctest.Wait()
		expect(t, "taken meanwhile", k.numbers("a"), upTo(1, 2))
		expect(t, "acknowledged meanwhile", f.Acknowledged(), uint64(0))
		must(t, f.Drain(t.Context()))
		expect(t, "taken", k.numbers("a"), upTo(1, 2))
		expect(t, "settled", o.Settled(), map[string]uint64{"k": 2})
		expect(t, "logged", strings.Count(log.String(), "busy"), 1)
		must(t, q.Close(t.Context()))
	})
}

func TestSettleThatFailsForGoodEndsTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k"}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		enqueue(t, f, records("a", 1, 1))
		must(t, f.Drain(t.Context()))
		o.Fail = func(call string) error {
			if call == "settle" {
				return fmt.Errorf("write: %w", fenced{})
			}
			return nil
		}
		enqueue(t, f, records("a", 2, 5)) // versions of one alert: four batches
		synctest.Wait()
		expect(t, "taken", k.numbers("a"), upTo(1, 2))
		if err := f.Err(); !errors.Is(err, fenced{}) {
			t.Errorf("err: %v", err)
		}
		must(t, q.Close(t.Context()))
	})
}

func TestWhoGetsWhatIsLeft(t *testing.T) {
	tests := map[string]struct {
		settled map[string]uint64
		trimmed uint64
		want    []int
	}{
		"no sink is known":               {nil, 0, upTo(1, 11)},
		"the sink has taken some":        {map[string]uint64{"k": 4}, 0, upTo(5, 11)},
		"the sink has taken all":         {map[string]uint64{"k": 10, "other": 3}, 0, upTo(11, 11)},
		"a sink that was added":          {map[string]uint64{"other": 3}, 0, upTo(11, 11)},
		"a sink that was away too long":  {map[string]uint64{"k": 2, "other": 8}, 6, upTo(7, 11)},
		"everything is gone meanwhile":   {map[string]uint64{"k": 2, "other": 10}, 10, upTo(11, 11)},
		"it has settled what never came": {map[string]uint64{"k": 99}, 0, upTo(11, 11)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := sinktest.NewOutbox()
				must(t, o.Append(t.Context(), records("a", 1, 10)))
				for sink, through := range tt.settled {
					must(t, o.Settle(t.Context(), sink, through))
				}
				o.Trim(tt.trimmed)
				k := &taker{name: "k"}
				q := newQueue(t, sinks.Options{}, k)
				f := q.Attach(o)
				must(t, f.Drain(t.Context()))
				expect(t, "acknowledged", f.Acknowledged(), uint64(10))
				enqueue(t, f, records("a", 11, 11))
				must(t, f.Drain(t.Context()))
				expect(t, "taken", k.numbers("a"), tt.want)
				expect(t, "settled", o.Settled()["k"], uint64(11))
				must(t, q.Close(t.Context()))
			})
		})
	}
}

// A sink is known to the outbox before anything is appended: otherwise one that had not settled anything when the process
// died would be taken for a new one, which begins at the end.
func TestSinkThatNeverSettledIsNotTakenForANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow, o := &taker{name: "fast"}, &taker{name: "slow", answer: down}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, fast, slow)
		enqueue(t, q.Attach(o), records("a", 1, 5))
		synctest.Wait()
		expect(t, "settled", o.Settled(), map[string]uint64{"fast": 5, "slow": 0})
		o = o.Kill()
		closeAtOnce(q)
		fast, slow = &taker{name: "fast"}, &taker{name: "slow"}
		q = newQueue(t, sinks.Options{}, fast, slow)
		must(t, q.Attach(o).Drain(t.Context()))
		expect(t, "fast, again", fast.numbers("a"), []int(nil))
		expect(t, "slow", slow.numbers("a"), upTo(1, 5))
		must(t, q.Close(t.Context()))
	})
}

func TestCloseLeavesTheRestInTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k", answer: down}, sinktest.NewOutbox()
		var log bytes.Buffer
		q := newQueue(t, sinks.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, k)
		enqueue(t, q.Attach(o), records("a", 1, 3))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		must(t, q.Close(ctx))
		if !strings.Contains(log.String(), "3 alerts not delivered to k") {
			t.Errorf("log:\n%s", log.String())
		}
		k = &taker{name: "k"}
		q = newQueue(t, sinks.Options{}, k)
		must(t, q.Attach(o).Drain(t.Context()))
		expect(t, "taken after the next start", k.numbers("a"), upTo(1, 3))
		must(t, q.Close(t.Context()))
	})
}

func TestCloseSaysWhatNoOutboxHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k"}, sinktest.NewOutbox()
		q := newQueue(t, sinks.Options{}, k)
		f := q.Attach(o)
		must(t, f.Drain(t.Context()))
		o.Kill() // its calls hang, like those of a disk that is full
		enqueue(t, f, records("a", 1, 3))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		if err := q.Close(ctx); err == nil || !strings.Contains(err.Error(), "3 alerts not delivered to k") {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("close took %v", took)
		}
		if err := f.Durable(t.Context(), 3); !errors.Is(err, sinks.ErrClosed) {
			t.Errorf("durable: %v", err)
		}
	})
}

func TestSlowOutboxHoldsDetectionUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, o := &taker{name: "k"}, sinktest.NewOutbox()
		o.Latency = time.Minute
		var blocked time.Duration
		reg := prometheus.NewRegistry()
		q := newQueue(t, sinks.Options{Registerer: reg, OnBlocked: func(sink string, from, to time.Time) {
			expect(t, "what blocks", sink, "")
			blocked += to.Sub(from)
		}}, k)
		f := q.Attach(o)
		enqueue(t, f, spread("a", 1, 10_000))
		done := make(chan error)
		go func() {
			_, err := f.Enqueue(t.Context(), spread("a", 10_001, 10_100))
			done <- err
		}()
		synctest.Wait()
		expect(t, "problems", gauges(t, reg, "gatewatch_outbox_blocking 1", "gatewatch_outbox_records 10000"), nil)
		must(t, <-done)
		expect(t, "blocked", blocked, time.Minute)
		must(t, f.Drain(t.Context()))
		expect(t, "problems", gauges(t, reg, "gatewatch_outbox_blocking 0", "gatewatch_outbox_records 0"), nil)
		expect(t, "appends", o.Calls("append"), 11) // groups of 1,000
		must(t, q.Close(t.Context()))
	})
}

// gauges compares gauges without labels.
func gauges(t *testing.T, reg *prometheus.Registry, want ...string) error {
	t.Helper()
	for _, w := range want {
		name, _, _ := strings.Cut(w, " ")
		families, err := reg.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			if got := fmt.Sprintf("%s %v", name, f.GetMetric()[0].GetGauge().GetValue()); got != w {
				return fmt.Errorf("%s, want %s", got, w)
			}
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	if len(problems) > 0 {
		return fmt.Errorf("lint: %v", problems)
	}
	return err
}
