package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// recorder is a sink that answers as script says and notes what it was given.
type recorder struct {
	name   string
	script func(attempt int, batch []*alert.Alert) error // nil: takes everything
	took   time.Duration                                 // how long a delivery lasts

	mu       sync.Mutex
	attempts [][]string // ids and versions
	at       []time.Time
	emitted  []alert.Time
	closed   bool
}

func (r *recorder) Name() string { return r.name }

func (r *recorder) Deliver(ctx context.Context, batch []*alert.Alert) error {
	if r.took > 0 {
		select {
		case <-time.After(r.took):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for _, a := range batch {
		keys = append(keys, key(a))
		r.emitted = append(r.emitted, *a.EmittedAt)
	}
	r.attempts = append(r.attempts, keys)
	r.at = append(r.at, time.Now())
	if r.script == nil {
		return nil
	}
	return r.script(len(r.attempts), batch)
}

func (r *recorder) Close(context.Context) error {
	r.closed = true
	return nil
}

func (r *recorder) seen() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]string(nil), r.attempts...)
}

func key(a *alert.Alert) string { return fmt.Sprintf("%s/%d", a.ID, a.Version) }

// alerts makes alerts from words such as a/1.
func alerts(keys ...string) []*alert.Alert {
	var all []*alert.Alert
	for _, k := range keys {
		id, version, _ := strings.Cut(k, "/")
		a := &alert.Alert{Schema: alert.SchemaVersion, ID: id, State: alert.Open}
		fmt.Sscan(version, &a.Version)
		all = append(all, a)
	}
	return all
}

// graveyard keeps dead letters in memory and fails as often as told.
type graveyard struct {
	mu      sync.Mutex
	fail    int
	letters []Letter
}

func (g *graveyard) Bury(letters []Letter) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail > 0 {
		g.fail--
		return errors.New("no space left on device")
	}
	g.letters = append(g.letters, letters...)
	return nil
}

func (g *graveyard) reasons() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := map[string]string{}
	for _, l := range g.letters {
		m[key(l.Alert)] = l.Reason
	}
	return m
}

func testConfig() Config {
	c := DefaultConfig()
	c.BatchDelay = 0
	return c
}

// testQueue is a queue with one feed that is in memory only.
type testQueue struct {
	*Queue
	feed *Feed
}

func (q *testQueue) Enqueue(ctx context.Context, alerts []*alert.Alert) (uint64, error) {
	return q.feed.Enqueue(ctx, Alerts(alerts))
}

func (q *testQueue) Acknowledged() uint64 { return q.feed.Acknowledged() }

func start(t *testing.T, o Options, sinks ...*recorder) *testQueue {
	t.Helper()
	for _, s := range sinks {
		o.Destinations = append(o.Destinations, Destination{Sink: s, Config: testConfig()})
	}
	return startQueue(t, o)
}

func startQueue(t *testing.T, o Options) *testQueue {
	t.Helper()
	if o.DeadLetters == nil {
		o.DeadLetters = &graveyard{}
	}
	q, err := NewQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	return &testQueue{q, q.Attach(nil)}
}

func enqueue(t *testing.T, q *testQueue, keys ...string) uint64 {
	t.Helper()
	through, err := q.Enqueue(t.Context(), alerts(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return through
}

func closeQueue(t *testing.T, q *testQueue) {
	t.Helper()
	if err := q.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestDeliversToEverySinkInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &recorder{name: "one"}, &recorder{name: "two", took: time.Second}
		q := start(t, Options{}, one, two)
		original := alerts("a/1")
		if _, err := q.Enqueue(t.Context(), original); err != nil {
			t.Fatal(err)
		}
		through := enqueue(t, q, "b/1", "c/1")
		closeQueue(t, q)
		for _, r := range []*recorder{one, two} {
			expect(t, r.name, flat(r.seen()), []string{"a/1", "b/1", "c/1"})
			if !r.closed {
				t.Errorf("sink %s was not closed", r.name)
			}
		}
		expect(t, "through", through, 3)
		expect(t, "acknowledged", q.Acknowledged(), 3)
		if original[0].EmittedAt != nil {
			t.Error("the shared alert was changed")
		}
		if two.emitted[0] != alert.Time(two.at[0].Add(-time.Second).UnixMilli()) {
			t.Error("emitted_at is not the time of the delivery")
		}
	})
}

func flat(batches [][]string) (all []string) {
	for _, b := range batches {
		all = append(all, b...)
	}
	return all
}

func TestBatches(t *testing.T) {
	size, _ := Alerts(alerts("a/1"))[0].size()
	tests := map[string]struct {
		config func(*Config)
		keys   []string
		want   [][]string
		after  time.Duration // of the first delivery; -1: whenever it is noticed
	}{
		"full by count": {
			config: func(c *Config) { c.BatchAlerts, c.BatchDelay = 2, time.Hour },
			keys:   []string{"a/1", "b/1", "c/1", "d/1"},
			want:   [][]string{{"a/1", "b/1"}, {"c/1", "d/1"}},
		},
		"full by size": {
			config: func(c *Config) { c.BatchBytes, c.BatchDelay = 2*size, time.Hour },
			keys:   []string{"a/1", "b/1", "c/1", "d/1"},
			want:   [][]string{{"a/1", "b/1"}, {"c/1", "d/1"}},
		},
		"each larger than a batch": {
			config: func(c *Config) { c.BatchBytes, c.BatchDelay = 1, time.Hour },
			keys:   []string{"a/1", "b/1"},
			want:   [][]string{{"a/1"}, {"b/1"}},
		},
		"waited long enough": {
			config: func(c *Config) { c.BatchDelay = 3 * time.Second },
			keys:   []string{"a/1", "b/1"},
			want:   [][]string{{"a/1", "b/1"}},
			after:  3 * time.Second,
		},
		"one version of an alert in a batch": {
			config: func(c *Config) { c.BatchDelay = 2 * time.Second },
			keys:   []string{"a/1", "b/1", "a/2", "b/2", "b/3"},
			want:   [][]string{{"a/1", "b/1"}, {"a/2", "b/2"}, {"b/3"}},
			after:  -1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, c := &recorder{name: "r"}, testConfig()
				tt.config(&c)
				q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: c}}})
				begin := time.Now()
				enqueue(t, q, tt.keys...)
				time.Sleep(time.Hour / 2)
				synctest.Wait()
				expect(t, "batches", r.seen(), tt.want)
				if tt.after >= 0 {
					expect(t, "first after", r.at[0].Sub(begin), tt.after)
				}
				closeQueue(t, q)
			})
		})
	}
}

func TestDrainDoesNotWaitForABatchToFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := &recorder{name: "r"}, testConfig()
		c.BatchDelay = time.Hour
		q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: c}}})
		enqueue(t, q, "a/1", "a/2")
		begin := time.Now()
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, "drained after", time.Since(begin), 0)
		expect(t, "batches", r.seen(), [][]string{{"a/1"}, {"a/2"}})
		closeQueue(t, q)
	})
}

func TestRetriesUntilDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{name: "r", script: func(attempt int, _ []*alert.Alert) error {
			if attempt <= 20 {
				return errors.New("connection refused")
			}
			return nil
		}}
		var log bytes.Buffer
		q := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, r)
		enqueue(t, q, "a/1")
		time.Sleep(time.Minute)
		if s := q.Status()[0]; s.Failure != "connection refused" || s.Alerts != 1 || s.Age != time.Minute {
			t.Errorf("status %+v", s)
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, "attempts", len(r.seen()), 21)
		c := testConfig()
		for i := range 20 {
			wait, ideal := r.at[i+1].Sub(r.at[i]), min(c.RetryMin<<i, c.RetryMax)
			if wait < ideal/2 || wait > ideal*3/2 {
				t.Errorf("wait %d was %v, want %v ± half", i, wait, ideal)
			}
		}
		if s := q.Status()[0]; s.Failure != "" || s.Alerts != 0 || s.Bytes != 0 {
			t.Errorf("status at the end %+v", s)
		}
		if n := strings.Count(log.String(), "connection refused"); n != 1 {
			t.Errorf("the repeated error was logged %d times:\n%s", n, log.String())
		}
		closeQueue(t, q)
	})
}

func TestJitterDiffersBetweenSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 10 {
			r := &recorder{name: "r", script: func(n int, _ []*alert.Alert) error {
				if n == 1 {
					return errors.New("down")
				}
				return nil
			}}
			q := start(t, Options{}, r)
			enqueue(t, q, "a/1")
			closeQueue(t, q)
			waits[r.at[1].Sub(r.at[0])] = true
		}
		if len(waits) < 2 {
			t.Errorf("all sinks retried after %v", waits)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 24 * time.Hour: maxRetryAfter} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{name: "r", script: func(n int, _ []*alert.Alert) error {
				if n == 1 {
					return fmt.Errorf("post: %w", &RetryError{After: asked, Err: errors.New("429 Too Many Requests")})
				}
				return nil
			}}
			q := start(t, Options{}, r)
			enqueue(t, q, "a/1")
			closeQueue(t, q)
			expect(t, "wait", r.at[1].Sub(r.at[0]), want)
		})
	}
}

func TestDeadSinkDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &recorder{name: "dead", script: func(int, []*alert.Alert) error { return errors.New("down") }}
		alive := &recorder{name: "alive"}
		q := start(t, Options{}, dead, alive)
		enqueue(t, q, "a/1", "b/1", "c/1")
		synctest.Wait()
		expect(t, "alive", flat(alive.seen()), []string{"a/1", "b/1", "c/1"})
		expect(t, "acknowledged", q.Acknowledged(), 0)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		err := q.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 alerts not delivered to dead") {
			t.Errorf("close: %v", err)
		}
		expect(t, "closed after", time.Since(begin), time.Minute)
		if !dead.closed {
			t.Error("the dead sink was not closed")
		}
	})
}

func TestFullQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		dead := &recorder{name: "dead", script: func(int, []*alert.Alert) error {
			select {
			case <-up:
				return nil
			default:
				return errors.New("down")
			}
		}}
		alive, c := &recorder{name: "alive"}, testConfig()
		c.MaxAlerts = 2
		reg := prometheus.NewRegistry()
		var blind time.Duration
		q := startQueue(t, Options{
			Destinations: []Destination{{Sink: alive, Config: testConfig()}, {Sink: dead, Config: c}},
			Registerer:   reg,
			OnBlocked: func(sink string, from, to time.Time) {
				expect(t, "blocking sink", sink, "dead")
				blind += to.Sub(from)
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		through, err := q.Enqueue(ctx, alerts("a/1", "b/1", "c/1"))
		if !errors.Is(err, context.DeadlineExceeded) || through != 2 {
			t.Fatalf("enqueue into a full queue: %d, %v", through, err)
		}
		expect(t, "alive", flat(alive.seen()), []string{"a/1", "b/1"}) // c/1 was accepted by none
		expect(t, "blind", blind, time.Hour)

		go q.Enqueue(context.Background(), alerts("c/1"))
		synctest.Wait()
		expect(t, "blocking", testutil.ToFloat64(only(newDepth(q.Queue).blocking, q.Queue, "dead")), 1)
		close(up)
		time.Sleep(2 * time.Minute)
		expect(t, "dead, back", flat(dead.seen())[len(flat(dead.seen()))-3:], []string{"a/1", "b/1", "c/1"})
		expect(t, "blocking", testutil.ToFloat64(only(newDepth(q.Queue).blocking, q.Queue, "dead")), 0)
		closeQueue(t, q)
	})
}

// only collects one gauge of one sink.
func only(desc *prometheus.Desc, q *Queue, sink string) prometheus.Collector {
	return gauge{desc: desc, queue: q, sink: sink}
}

type gauge struct {
	desc  *prometheus.Desc
	queue *Queue
	sink  string
}

func (g gauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

func (g gauge) Collect(ch chan<- prometheus.Metric) {
	for _, s := range g.queue.Status() {
		if s.Sink == g.sink {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, boolean(s.Blocking), s.Sink)
		}
	}
}

func TestFullBySizeBlocksButOneLargeAlertPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := &recorder{name: "r", took: time.Second}, testConfig()
		c.MaxBytes = 1
		q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: c}}})
		begin := time.Now()
		enqueue(t, q, "a/1", "b/1", "c/1")
		expect(t, "blocked", time.Since(begin), 2*time.Second)
		closeQueue(t, q)
		expect(t, "batches", r.seen(), [][]string{{"a/1"}, {"b/1"}, {"c/1"}})
	})
}

func TestRefusals(t *testing.T) {
	refuse := func(ids ...string) func(int, []*alert.Alert) error {
		return func(_ int, batch []*alert.Alert) error {
			for _, a := range batch {
				for _, id := range ids {
					if a.ID == id {
						return &RefusedError{Err: errors.New("400 bad " + id)}
					}
				}
			}
			return nil
		}
	}
	tests := map[string]struct {
		script   func(int, []*alert.Alert) error
		attempts [][]string
		dead     map[string]string
	}{
		"one of a batch refused as a whole": {
			script:   refuse("c"),
			attempts: [][]string{{"a/1", "b/1", "c/1", "d/1"}, {"a/1", "b/1"}, {"c/1", "d/1"}, {"c/1"}, {"d/1"}},
			dead:     map[string]string{"c/1": "400 bad c"},
		},
		"everything": {
			script: refuse("a", "b", "c", "d"),
			attempts: [][]string{{"a/1", "b/1", "c/1", "d/1"}, {"a/1", "b/1"}, {"a/1"}, {"b/1"},
				{"c/1", "d/1"}, {"c/1"}, {"d/1"}},
			dead: map[string]string{"a/1": "400 bad a", "b/1": "400 bad b", "c/1": "400 bad c", "d/1": "400 bad d"},
		},
		"item by item": {
			script: func(attempt int, _ []*alert.Alert) error {
				if attempt > 1 {
					return nil
				}
				return &PartialError{
					Refused: []Refusal{{1, errors.New("mapping")}},
					Retry:   []int{0, 3}, Err: errors.New("busy"),
				}
			},
			attempts: [][]string{{"a/1", "b/1", "c/1", "d/1"}, {"a/1", "d/1"}},
			dead:     map[string]string{"b/1": "mapping"},
		},
		"a sink that contradicts itself": {
			script: func(attempt int, _ []*alert.Alert) error {
				if attempt > 1 {
					return nil
				}
				return &PartialError{
					Refused: []Refusal{{1, errors.New("mapping")}, {1, errors.New("again")}, {7, errors.New("none")}},
					Retry:   []int{3, 0, 0, -1, 9, 1},
				}
			},
			attempts: [][]string{{"a/1", "b/1", "c/1", "d/1"}, {"a/1", "d/1"}},
			dead:     map[string]string{"b/1": "mapping"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, c := &recorder{name: "r", script: tt.script}, testConfig()
				c.BatchDelay = time.Second
				dead := &graveyard{fail: 2}
				reg := prometheus.NewRegistry()
				q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: c}}, DeadLetters: dead, Registerer: reg})
				through := enqueue(t, q, "a/1", "b/1", "c/1", "d/1")
				closeQueue(t, q)
				expect(t, "attempts", r.seen(), tt.attempts)
				expect(t, "dead letters", dead.reasons(), tt.dead)
				expect(t, "acknowledged", q.Acknowledged(), through)
				expect(t, "settled", counter(t, reg, "delivered_total")+counter(t, reg, "refused_total"), 4)
				expect(t, "refused", counter(t, reg, "refused_total"), float64(len(tt.dead)))
				expect(t, "unburied", counter(t, reg, "dead_letter_errors_total"), 2)
			})
		})
	}
}

func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "gatewatch_sink_"+name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAcknowledgedIsTheSlowestSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := &recorder{name: "fast"}, &recorder{name: "slow", took: 20 * time.Second}
		q := start(t, Options{}, fast, slow)
		enqueue(t, q, "a/1", "a/2")
		time.Sleep(10 * time.Second)
		expect(t, "at first", q.Acknowledged(), 0)
		time.Sleep(20 * time.Second)
		expect(t, "between", q.Acknowledged(), 1)
		if err := q.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, "in the end", q.Acknowledged(), 2)
		closeQueue(t, q)
	})
}

func TestDeliveryThatHangsIsCutAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{name: "r", took: time.Hour}
		q := start(t, Options{}, r)
		enqueue(t, q, "a/1")
		time.Sleep(45 * time.Second)
		if s := q.Status()[0]; s.Failure != context.DeadlineExceeded.Error() {
			t.Errorf("status %+v", s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		q.Close(ctx)
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		deaf := &recorder{name: "deaf", script: func(int, []*alert.Alert) error { <-release; return nil }}
		q := start(t, Options{}, deaf)
		enqueue(t, q, "a/1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := q.Close(ctx); err == nil || !strings.Contains(err.Error(), "does not stop") {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(begin); took > 7*time.Second {
			t.Errorf("close took %v", took)
		}
		if _, err := q.Enqueue(t.Context(), alerts("b/1")); !errors.Is(err, ErrClosed) {
			t.Errorf("enqueue after close: %v", err)
		}
		close(release)
	})
}

func TestCloseWakesBlockedEnqueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := &recorder{name: "r", script: func(int, []*alert.Alert) error { return errors.New("down") }}, testConfig()
		c.MaxAlerts = 1
		q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: c}}})
		enqueue(t, q, "a/1")
		result := make(chan error, 1)
		go func() {
			_, err := q.Enqueue(context.Background(), alerts("b/1"))
			result <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		q.Close(ctx)
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("blocked enqueue: %v", err)
		}
	})
}

func TestTwoSinksOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &recorder{name: "kafka"}, &recorder{name: "kafka"}
		q := startQueue(t, Options{Destinations: []Destination{
			{Sink: one, Config: testConfig()}, {Sink: two, Config: testConfig(), Name: "audit"},
		}})
		enqueue(t, q, "a/1")
		closeQueue(t, q)
		expect(t, "names", []string{q.Status()[0].Sink, q.Status()[1].Sink}, []string{"kafka", "audit"})
		expect(t, "batches", [][][]string{one.seen(), two.seen()}, [][][]string{{{"a/1"}}, {{"a/1"}}})
	})
}

func TestNoSinks(t *testing.T) {
	q := start(t, Options{})
	expect(t, "through", enqueue(t, q, "a/1"), 1)
	expect(t, "acknowledged", q.Acknowledged(), 1)
	closeQueue(t, q)
}

func TestWrongOptions(t *testing.T) {
	bad := testConfig()
	bad.RetryMax = 0
	for want, o := range map[string]Options{
		"dead letters":      {},
		`two sinks`:         {DeadLetters: &graveyard{}, Destinations: []Destination{{Sink: &recorder{name: "x"}, Config: testConfig()}, {Sink: &recorder{name: "x"}, Config: testConfig()}}},
		"sink x: retry_min": {DeadLetters: &graveyard{}, Destinations: []Destination{{Sink: &recorder{name: "x"}, Config: bad}}},
	} {
		if _, err := NewQueue(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMetricsStartAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	q := start(t, Options{Registerer: reg}, &recorder{name: "r"})
	defer closeQueue(t, q)
	n, err := testutil.GatherAndCount(reg)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "series", n, 19)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestDeadLetterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	d := NewDeadLetterFile(path)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("an empty file was made")
	}
	bad := alerts("b/2")[0]
	bad.Observed.Value = math.NaN()
	for _, a := range []*alert.Alert{alerts("a/1")[0], bad} {
		if err := d.Bury([]Letter{{At: 1, Sink: "s", Reason: "no", Alert: a}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"alert":{"schema":1,"id":"a","version":1`) ||
		!strings.Contains(lines[1], `"id":"b","version":2`) {
		t.Errorf("dead letters:\n%s", text)
	}
}
