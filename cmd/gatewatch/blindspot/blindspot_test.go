package blindspot

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// TestOrderOfConditionsDoesNotMatter shuffles what is noted within the quiet time: the same records, ids included.
func TestOrderOfConditionsDoesNotMatter(t *testing.T) {
	var conditions []Condition
	for i := range 200 {
		second := alert.Time(i%20) * 1000
		c := Condition{Cause: alert.DecodeErrors, Wall: today + second, Topic: "access", Partition: int32(i % 13), Count: 1}
		if i%3 == 0 {
			c.Detail = fmt.Sprint("detail ", i)
		}
		conditions = append(conditions, c,
			Condition{Cause: alert.LateEvents, Wall: today + second, From: today - 60_000*alert.Time(i%50), Rule: fmt.Sprint("rule-", i%7), Count: 2})
	}
	want := told(conditions)
	if len(want) != 2 {
		t.Fatalf("%d blind spots, want one for each cause", len(want))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(conditions), func(i, j int) { conditions[i], conditions[j] = conditions[j], conditions[i] })
		got := told(conditions)
		if got[0].Cause != want[0].Cause {
			got[0], got[1] = got[1], got[0] // the order in which they began
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
	}
}

func told(conditions []Condition) []*alert.BlindSpot {
	r := New(DefaultOptions())
	for _, c := range conditions {
		r.Note(c)
	}
	return r.Take(today + 3_600_000)
}

// TestFloodIsBounded notes more distinct topics, partitions, rules, kinds and event times than are kept. Nothing is lost: all
// is counted somewhere.
func TestFloodIsBounded(t *testing.T) {
	r := New(DefaultOptions())
	const n = 5000
	for i := range n {
		wall := today + alert.Time(i)
		r.Note(Condition{Cause: alert.DecodeErrors, Wall: wall, Topic: "access", Partition: int32(i), Count: 1})
		r.Note(Condition{Cause: alert.Lag, Wall: wall, Topic: fmt.Sprint("topic-", i), Count: 1, Detail: strings.Repeat("ä", n)})
		r.Note(Condition{Cause: alert.Eviction, Wall: wall, Kind: fmt.Sprint("kind-", i), Count: 1})
		r.Note(Condition{Cause: alert.LateEvents, Wall: wall, From: today + alert.Time(i)*86_400_000, Rule: fmt.Sprint("rule-", i), Count: 1})
	}
	if open := len(r.Open()); open > MaxOpen+MaxApart*len(alert.Causes()) {
		t.Errorf("%d intervals in progress", open)
	}
	counts := map[alert.Cause]uint64{}
	for _, b := range r.Take(today + 60_000) {
		counts[b.Cause] += b.Count
		if len(b.Partitions) > MaxPartitions || len(b.Rules) > MaxNames || len(b.Kinds) > MaxNames || len(b.Detail) > MaxDetail+500 {
			t.Errorf("%s names %d partitions, %d rules, %d kinds in %d bytes of detail", b.Cause, len(b.Partitions), len(b.Rules), len(b.Kinds), len(b.Detail))
		}
		if b.Cause == alert.DecodeErrors && b.Partitions != nil {
			t.Errorf("%d of %d partitions are named, which claims that the others were read", len(b.Partitions), n)
		}
	}
	want := map[alert.Cause]uint64{alert.DecodeErrors: n, alert.Lag: n, alert.Eviction: n, alert.LateEvents: n}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// TestNobodyTakes keeps what has ended within its bound; beyond, an interval goes on.
func TestNobodyTakes(t *testing.T) {
	r := New(DefaultOptions())
	const n = 2 * MaxEnded
	for i := range n {
		r.Note(Condition{Cause: alert.Eviction, Wall: today + alert.Time(i)*60_000, From: today, Count: 1})
	}
	if len(r.ended) > MaxEnded || len(r.open) != 1 {
		t.Fatalf("%d ended, %d in progress", len(r.ended), len(r.open))
	}
	var count uint64
	for _, b := range append(r.Take(today+n*60_000), r.Close()...) {
		if b.State == alert.Closed {
			count += b.Count
		}
	}
	if count != n {
		t.Errorf("%d of %d were told", count, n)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMetrics(registry); err == nil {
		t.Error("the metrics were registered twice")
	}
	o := DefaultOptions()
	o.Metrics = m
	r, other := New(o), New(o)
	for _, second := range []alert.Time{0, 5, 12} {
		r.Note(Condition{Cause: alert.Lag, Wall: today + 1000*second, Topic: "access"})
		other.Note(Condition{Cause: alert.Lag, Wall: today + 1000*second, Topic: "access", Partition: 1})
	}
	r.Restart(today-30_500, today+13_000)
	other.Take(today + 60_000)
	const want = `
# HELP gatewatch_blind_seconds_total Time that blind spots cover.
# TYPE gatewatch_blind_seconds_total counter
gatewatch_blind_seconds_total{cause="back_pressure"} 0
gatewatch_blind_seconds_total{cause="decode_errors"} 0
gatewatch_blind_seconds_total{cause="eviction"} 0
gatewatch_blind_seconds_total{cause="lag"} 24
gatewatch_blind_seconds_total{cause="late_events"} 0
gatewatch_blind_seconds_total{cause="restart"} 43.5
gatewatch_blind_seconds_total{cause="retention"} 0
# HELP gatewatch_blind_spots Blind spots in progress.
# TYPE gatewatch_blind_spots gauge
gatewatch_blind_spots{cause="back_pressure"} 0
gatewatch_blind_spots{cause="decode_errors"} 0
gatewatch_blind_spots{cause="eviction"} 0
gatewatch_blind_spots{cause="lag"} 1
gatewatch_blind_spots{cause="late_events"} 0
gatewatch_blind_spots{cause="restart"} 0
gatewatch_blind_spots{cause="retention"} 0
# HELP gatewatch_blind_spots_total Blind spots that have begun.
# TYPE gatewatch_blind_spots_total counter
gatewatch_blind_spots_total{cause="back_pressure"} 0
gatewatch_blind_spots_total{cause="decode_errors"} 0
gatewatch_blind_spots_total{cause="eviction"} 0
gatewatch_blind_spots_total{cause="lag"} 2
gatewatch_blind_spots_total{cause="late_events"} 0
gatewatch_blind_spots_total{cause="restart"} 1
gatewatch_blind_spots_total{cause="retention"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestEveryCauseHasAdvice(t *testing.T) {
	for _, cause := range alert.Causes() {
		if Advice(cause) == "" {
			t.Errorf("nothing is said about %s", cause)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Lag: 25 * time.Hour}.Validate()
	if err == nil || !strings.Contains(err.Error(), "lag is 25h") || !strings.Contains(err.Error(), "quiet is 0s") {
		t.Errorf("both options are wrong: %v", err)
	}
	if o := (Config{Lag: time.Minute, Quiet: time.Hour}).Options(nil); o.Quiet != time.Hour || o.Announce == 0 || o.Update == 0 {
		t.Errorf("options %+v", o)
	}
}

func TestLagWatch(t *testing.T) {
	w := NewLagWatch(time.Minute)
	p := func(topic string, id int32, unread int64, behind time.Duration, known bool) Progress {
		return Progress{Partition: event.Partition{Topic: topic, ID: id}, Unread: unread, Behind: behind, Known: known}
	}
	for _, step := range []struct {
		name     string
		second   alert.Time
		progress []Progress
		want     []string
	}{
		{"in time", 0, []Progress{p("a", 0, 5, time.Minute, true)}, nil},
		{"shipped late, read at once", 1, []Progress{p("a", 0, 0, time.Hour, true)}, nil},
		{"unread, no lag known", 2, []Progress{p("a", 0, -1, time.Hour, true)}, nil},
		{"late, the worst last", 3, []Progress{
			p("b", 7, 3, 61*time.Second, true), p("a", 2, 5, 3*time.Minute, true), p("a", 1, 9, 2*time.Minute, true), p("a", 0, 9, time.Second, true)},
			[]string{"a/1", "a/2 At last partition 2 was 3m0s behind, with 5 records unread.", "b/7 At last partition 7 was 1m1s behind, with 3 records unread."}},
		{"no watermark yet", 10, []Progress{p("c", 0, 4, 0, false)}, nil},
		{"no watermark for a minute", 70, []Progress{p("c", 0, 4, 0, false)}, nil},
		{"no watermark for longer", 71, []Progress{p("c", 0, 4, 0, false)}, []string{"c/0 At last partition 0 was 1m1s behind, with 4 records unread."}},
		{"taken away", 72, nil, nil},
		{"back: waits anew", 73, []Progress{p("c", 0, 4, 0, false)}, nil},
	} {
		var got []string
		for _, c := range w.Conditions(today+1000*step.second, step.progress) {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s/%d %s", c.Topic, c.Partition, c.Detail)))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}
