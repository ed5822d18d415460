package detector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

const takeover = `rules:
  - id: takeover
    detect: sequence
    by: subject
    window: 10m
    steps:
      - {name: reset, where: {route: /reset}}
      - {name: guess, times: 2, where: {route: /guess}}
      - {name: transfer, where: {route: /transfer}}
    until: {route: /logout}
`

// sequenceAlerts runs one subject's calls, one a second.
func sequenceAlerts(t *testing.T, text string, paths ...string) []*alert.Alert {
	t.Helper()
	e := New(parseRules(t, []byte(text)), Options{Lanes: 1, Workers: 1})
	var events []event.Event
	for i, path := range paths {
		events = append(events, event.Event{Offset: int64(i), Time: event.Time(1000 * (i + 1)), Subject: "ann", ClientID: fmt.Sprint("app-", i),
			Method: "POST", Path: path, Route: path, Status: 200, UserAgent: strings.Repeat("x", 1000),
			Geo: &event.Geo{Country: "GB"}, RequestID: fmt.Sprint("r-", i)})
	}
	e.Push(e.NewPreparer().Prepare(&event.Batch{Partition: event.Partition{Topic: "test"}, Next: int64(len(events)), Events: events}))
	return e.Flush()
}

func TestSequenceEvidence(t *testing.T) {
	alerts := sequenceAlerts(t, takeover, "/reset", "/guess", "/reset", "/guess", "/other", "/guess", "/transfer", "/end")
	if len(alerts) != 2 {
		t.Fatalf("%d alerts", len(alerts))
	}
	a := alerts[0]
	var paths []string
	for _, ev := range a.Evidence {
		paths = append(paths, fmt.Sprint(ev.Path, " ", ev.ClientID, " ", ev.Country, " ", ev.RequestID, " ", ev.Source.Offset))
		if len(ev.UserAgent) != 259 || ev.Subject != "ann" || ev.Method != "POST" || ev.Status != 200 || ev.Source.Topic != "test" {
			t.Errorf("evidence %+v", ev)
		}
	}
	if diff := cmp.Diff([]string{"/reset app-2 GB r-2 2", "/guess app-5 GB r-5 5", "/transfer app-6 GB r-6 6"}, paths); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if a.FirstSeen != 3000 || a.LastSeen != 7000 || a.DetectedAt != 7000 {
		t.Errorf("seen from %d to %d, found at %d", a.FirstSeen, a.LastSeen, a.DetectedAt)
	}
	want := map[string]any{"started": alert.Time(3000), "order": "strict", "steps": []map[string]any{
		{"step": "reset", "time": alert.Time(3000)}, {"step": "guess", "time": alert.Time(6000), "times": 2}, {"step": "transfer", "time": alert.Time(7000)},
	}}
	if diff := cmp.Diff(want, a.Observed.Detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
	if got := a.Related["client_id"]; len(got) != 3 {
		t.Errorf("related clients %v", got)
	}
	if diff := cmp.Diff(a.Observed, alerts[1].Observed); diff != "" {
		t.Errorf("the closed alert observed something else: %s", diff)
	}
}

// TestSequenceFindsAbsenceLater holds what is told of a step that did not come: when the time was over, with the steps that did.
func TestSequenceFindsAbsenceLater(t *testing.T) {
	alerts := sequenceAlerts(t, strings.Replace(takeover, "    until", "      - {name: recall, absent: true, where: {route: /recall}}\n    until", 1),
		"/reset", "/guess", "/guess", "/transfer", "/other")
	if len(alerts) != 2 {
		t.Fatalf("%d alerts", len(alerts))
	}
	a := alerts[0]
	if a.FirstSeen != 1000 || a.LastSeen != 604_000 || a.DetectedAt != 604_000 || len(a.Evidence) != 3 {
		t.Errorf("seen from %d to %d, found at %d, %d pieces of evidence", a.FirstSeen, a.LastSeen, a.DetectedAt, len(a.Evidence))
	}
	if want := "ann did reset → guess ×2 → transfer within 3 seconds, and then no recall for 10 minutes (known-bad sequence in at most 10 minutes)"; a.Summary != want {
		t.Errorf("summary %q, want %q", a.Summary, want)
	}
}

// TestSequenceSetsOneTimer begins to wait again and again.
func TestSequenceSetsOneTimer(t *testing.T) {
	const text = `rules:
  - {id: a, detect: sequence, by: subject, window: 1h, steps: [{name: a, where: {route: /a}}, {name: b, absent: true, where: {route: /b}}]}`
	e := New(parseRules(t, []byte(text)), Options{Lanes: 1, Workers: 1})
	var events []event.Event
	for i := range 1000 {
		path := []string{"/a", "/b"}[i%2]
		events = append(events, event.Event{Offset: int64(i), Time: event.Time(1000 * (i + 1)), Subject: "ann", Method: "GET", Path: path, Route: path, Status: 200})
	}
	feed(e, events)
	if n := len(e.lanes[0].timers); n != 1 {
		t.Errorf("%d timers", n)
	}
	if alerts := e.Flush(); len(alerts) != 0 {
		t.Errorf("%d alerts", len(alerts))
	}
}

func TestSequenceDoesNotAllocate(t *testing.T) {
	rule := parseRules(t, []byte(takeover)).Rules[0]
	s := newSequence(rule, rule.Detection.(*rules.Sequence)).newState()
	at, e := event.Time(0), &event.Event{Subject: "ann", Method: "GET", Status: 200}
	cycle := func() {
		for _, path := range []string{"/reset", "/guess", "/guess", "/reset", "/guess", "/other", "/logout"} {
			at += 1000
			e.Time, e.Path, e.Route = at, path, path
			s.observe(observation{event: e, now: at, source: event.Partition{Topic: "test"}})
		}
	}
	for range 1000 {
		cycle() // the memory grows to what it takes
	}
	if n := testing.AllocsPerRun(100, cycle); n > 0 {
		t.Errorf("%v allocations for 7 events", n)
	}
}

// TestSequenceEvidenceAtOnce completes a sequence in any order within one millisecond: each request is told once.
func TestSequenceEvidenceAtOnce(t *testing.T) {
	const text = `rules:
  - {id: a, detect: sequence, by: subject, window: 1h, order: any, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]}`
	rule := parseRules(t, []byte(text)).Rules[0]
	s := newSequence(rule, rule.Detection.(*rules.Sequence)).newState()
	var f finding
	for _, path := range []string{"/b", "/a"} {
		f = s.observe(observation{event: &event.Event{Time: 1000, Subject: "ann", Path: path, Route: path}, now: 1000})
	}
	if !f.over || len(f.path) != 1 || f.path[0].Path != "/b" {
		t.Errorf("%+v", f)
	}
}

// TestSequenceNeedsNoStateBeforeItsFirstStep keeps those small who never begin.
func TestSequenceNeedsNoStateBeforeItsFirstStep(t *testing.T) {
	set := parseRules(t, []byte(`rules: [{id: r, detect: sequence, by: client_id, window: 1m, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]}]`))
	for path, want := range map[string]int{"/b": 0, "/a": 1} {
		l, n := New(set, Options{Lanes: 1, Workers: 1}).lanes[0], &entity{}
		e := &event.Event{Time: 1000, ClientID: "c", Method: "GET", Path: path, Route: path, Status: 200}
		l.observe(0, n, l.program.rules[0], observation{event: e, now: e.Time})
		if len(n.cells) != want {
			t.Errorf("after %s the entity has %d states, want %d", path, len(n.cells), want)
		}
	}
}
