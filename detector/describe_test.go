package detector

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// described is everything that an engine knows, in words and as JSON.
func described(t *testing.T, e *Engine) (words, objects []string) {
	t.Helper()
	e.EachEntity(func(d Description) bool {
		words = append(words, fmt.Sprintf("%s %s, last seen %s", d.Kind, d.ID, d.LastSeen))
		for _, k := range d.Rules {
			words = append(words, fmt.Sprintf("  %s: %s", k.Rule, k.Summary))
			switch {
			case k.Suspicion != nil:
				words = append(words, fmt.Sprintf("    suspicious since %s, %d pieces of evidence", k.Suspicion.Since, k.Suspicion.Evidence))
			case k.Alert != nil:
				words = append(words, fmt.Sprintf("    open alert, version %d: %s; %d pieces of evidence", k.Alert.Version, k.Alert.Summary, k.Alert.Evidence))
			}
		}
		d.Bytes = 0 // of this machine
		object, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, string(object))
		return true
	})
	return words, objects
}

// fedEngine is an engine that has seen the scenario's traffic and nothing after it.
func fedEngine(t *testing.T, s *scenario, lanes int) *Engine {
	t.Helper()
	e := New(parseRules(t, s.rules), Options{Lanes: lanes, Workers: 1})
	feed(e, s.events)
	return e
}

// feed shows the events to the engine, the last of which only makes the others count.
func feed(e *Engine, events []event.Event) {
	input := event.Partition{Topic: "test"}
	e.Push(e.NewPreparer().Prepare(&event.Batch{Partition: input, Next: int64(len(events)), Events: events}))
	e.Progress(input, events[len(events)-1].Time)
	e.Advance()
}

// TestDescribe holds what is said of each kind of state, against testdata/describe; -update writes it there. A checkpoint and
// the number of lanes change nothing.
func TestDescribe(t *testing.T) {
	files, err := filepath.Glob("testdata/describe/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := &scenario{rules: archive.Files[0].Data, events: parseTraffic(t, string(archive.Files[1].Data))}
		e := fedEngine(t, s, 8)
		words, objects := described(t, e)
		if *update {
			archive.Files = append(archive.Files[:2], part("words", words), part("objects", objects))
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for i, got := range [][]string{words, objects} {
			if diff := cmp.Diff(string(archive.Files[2+i].Data), string(part("", got).Data)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
		if got, _ := described(t, fedEngine(t, s, 1)); !slices.Equal(got, words) {
			t.Errorf("one lane: %s", cmp.Diff(words, got))
		}
		restored, _ := keptWhole(t, e).restore(t, parseRules(t, s.rules), Options{Lanes: 16, Workers: 1})
		if got, _ := described(t, restored); !slices.Equal(got, words) {
			t.Errorf("restored: %s", cmp.Diff(words, got))
		}
	}
}

func part(name string, lines []string) txtar.File {
	return txtar.File{Name: name, Data: []byte(strings.Join(lines, "\n") + "\n")}
}

// keptWhole makes a checkpoint.
func keptWhole(t *testing.T, e *Engine) *keptCheckpoint {
	t.Helper()
	k := &keptCheckpoint{cut: e.Cut()}
	for {
		chunks, finished, err := e.Save(100)
		if err != nil {
			t.Fatal(err)
		}
		k.chunks = append(k.chunks, chunks...)
		if finished {
			return k
		}
	}
}

func TestDescribeFinds(t *testing.T) {
	e := New(parseRules(t, []byte(everyKind)), Options{Lanes: 4, Workers: 1})
	var events []event.Event
	for i, name := range []string{"mobile-app", "web-app", "batch"} {
		events = append(events, event.Event{Offset: int64(i), Time: 1_000_000, ClientID: name, Method: "GET", Path: "/", Route: "/", Status: 200})
	}
	events = append(events, event.Event{Offset: 3, Time: 1_005_000, Subject: "end", Method: "GET", Path: "/", Route: "/", Status: 200})
	feed(e, events)
	if d, ok := e.Describe("client_id", "web-app"); !ok || d.ID != "web-app" || len(d.Rules) == 0 {
		t.Errorf("%v %+v", ok, d)
	}
	for _, c := range [][2]string{{"client_id", "nobody"}, {"token_id", "web-app"}} {
		if d, ok := e.Describe(c[0], c[1]); ok {
			t.Errorf("%v: %+v", c, d)
		}
	}
	if got := e.Similar("client_id", "APP", 5); !slices.Equal(got, []string{"mobile-app", "web-app"}) {
		t.Errorf("similar: %v", got)
	}
	if got := e.Similar("client_id", "a", 1); len(got) != 1 {
		t.Errorf("similar: %v", got)
	}
	n := 0
	e.EachEntity(func(Description) bool { n++; return false })
	if n != 1 {
		t.Errorf("EachEntity went on: %d", n)
	}
}

func TestKnownRules(t *testing.T) {
	const text = `
rules:
  - {id: kept, title: Kept, detect: rate, by: client_id, window: 1m, limit: 20}
  - {id: %s, title: t, detect: rate, by: client_id, window: 2m, limit: %d}
  - {id: other, title: t, detect: rate, by: subject, window: 1m, limit: %d}
`
	e := New(parseRules(t, fmt.Appendf(nil, text, "old", 3, 20)), Options{Lanes: 1, Workers: 1})
	set := parseRules(t, fmt.Appendf(nil, text, "fresh", 4, 21))
	got, err := KnownRules(set, e.Cut().Meta)
	want := []KnownRule{
		{ID: "fresh", Title: "t", Kind: "client_id", Status: RuleNew},
		{ID: "kept", Title: "Kept", Kind: "client_id", Status: RuleKept},
		{ID: "old", Title: "t", Kind: "client_id", Status: RuleRemoved},
		{ID: "other", Title: "t", Kind: "subject", Status: RuleChanged},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := KnownRules(set, []byte("nonsense")); err == nil {
		t.Error("nonsense is read")
	}
}

// TestExplainAnything explains states after random traffic, new ones and those decoded from what was encoded: words, never a
// panic.
func TestExplainAnything(t *testing.T) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(everyKind)})
	if err != nil {
		t.Fatal(err)
	}
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	for _, w := range p.rules {
		s := w.detection.newState()
		for _, n := range []int{0, 1, 7, 300} {
			var now event.Time
			for _, o := range randomEvents(uint64(n), n) {
				s.observe(o)
				now = o.now
			}
			for _, at := range []event.Time{now, now + 1<<40} {
				x := w.detection.explain(s, at)
				if _, err := json.Marshal(x.Detail); err != nil || x.Summary == "" {
					t.Errorf("%s after %d events: %v %+v", w.rule.ID, n, err, x)
				}
			}
		}
	}
}
