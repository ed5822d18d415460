package rules

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

var update = flag.Bool("update", false, "write the errors that the files of testdata/bad give into their first lines")

// wantPrefix begins the first line of a bad file; the one error that it must give follows.
const wantPrefix = "# error:"

// TestBadFiles holds every defect to its message. One file has one defect and gives one error.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("only %d bad files (%v)", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := bytes.Cut(data, []byte("\n"))
			want, ok := strings.CutPrefix(string(first), wantPrefix)
			if !ok {
				t.Fatalf("the first line does not begin with %q", wantPrefix)
			}
			_, _, err = ParseTests(File{filepath.Base(name), data})
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), filepath.Base(name)+":")
			}
			if *update && got != strings.TrimSpace(want) {
				if err := os.WriteFile(name, append([]byte(wantPrefix+" "+strings.TrimSpace(got)+"\n"), rest...), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if strings.TrimSpace(got) != strings.TrimSpace(want) || got == "" {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	set, err := Load("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		if r.ID == "" || len(r.By) == 0 || r.Filter == nil || r.Detection == nil || r.CloseAfter == 0 || r.Fingerprint == [16]byte{} || r.Title == "" || r.Line == 0 {
			t.Errorf("rule %q is incomplete: %+v", r.ID, r)
		}
	}
	if set.Len() != 36 {
		t.Errorf("%d rules, not 36", set.Len())
	}
}

// TestCompiledValues looks at what the first good file says.
func TestCompiledValues(t *testing.T) {
	set, err := Load("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := set.ByID("profile-enumeration")
	d := r.Detection.(*Distinct)
	if r.Window != time.Minute || r.CloseAfter != 90*time.Minute || r.Severity != alert.High || r.Mode != Shadow || len(r.Tags) != 2 ||
		r.Title != "One client reads many user profiles" || r.FalsePositives != "A back end that serves many users through one client." ||
		r.Description != "A client that reads the profiles of many users." {
		t.Errorf("%+v", r)
	}
	if d.Count.String() != "path.id" || d.Limit != 1000 || d.Segment != 2 || d.Noun != "user profiles" {
		t.Errorf("%+v", d)
	}
	if r := set.ByID("all-matchers"); r.Window != 180*time.Hour || r.EntityKind() != "token_id+attributes.tenant" || r.Severity != alert.Medium || r.CloseAfter != r.Window {
		t.Errorf("%+v", r)
	}
	for id, want := range map[string]Rate{
		"flood":            {Limit: 10000},
		"download":         {Limit: 1.5 * (1 << 30), Sum: event.FieldOf(event.ResponseBytes)},
		"slow":             {Limit: 90000, Sum: event.FieldOf(event.DurationMS)},
		"slow-plain":       {Limit: 90000, Sum: event.FieldOf(event.DurationMS)},
		"refused":          {Limit: 0.6, Min: 30},
		"refused-fraction": {Limit: 0.5, Min: 20},
	} {
		got := *set.ByID(id).Detection.(*Rate)
		if (got.Share != nil) != (want.Min > 0) {
			t.Errorf("%s: share is %v", id, got.Share)
		}
		got.Share = nil
		if got != want {
			t.Errorf("%s: got %+v, want %+v", id, got, want)
		}
	}
	if set.ByID("flood").CloseAfter != 5*time.Minute || set.ByID("travel-defaults").CloseAfter != 15*time.Minute {
		t.Error("close_after has another default than the documented one")
	}
	checkGeography(t, set)
}

func checkGeography(t *testing.T, set *Set) {
	d := set.ByID("travel-defaults").Detection.(*Travel)
	if d.SpeedKMH != 900 || d.MinDistance != 300 || d.Places != 4 || d.Discount.Anonymous != everyAnonymity&^event.AnonymousHosting || d.Discount.Networks != nil {
		t.Errorf("%+v", d)
	}
	d = set.ByID("travel-all").Detection.(*Travel)
	if d.SpeedKMH != 250.5 || d.MinDistance != 50 || d.Places != 16 || d.Discount.Anonymous != event.AnonymousVPN|event.AnonymousHosting ||
		d.Discount.Networks == nil || fmt.Sprint(d.Discount.ASNs) != "[64500 64501]" {
		t.Errorf("%+v", d)
	}
	if d := set.ByID("travel-no-anonymisers").Detection.(*Travel); d.Discount.Anonymous != 0 {
		t.Errorf("%+v", d)
	}
	r := set.ByID("simultaneous-defaults")
	s := r.Detection.(*Simultaneous)
	if s.Across != event.Continent || r.Window != 10*time.Minute || s.Limit != 1 || s.Alternations != 2 {
		t.Errorf("%+v", s)
	}
	s = set.ByID("simultaneous-all").Detection.(*Simultaneous)
	if s.Across != event.ASN || s.Limit != 3 || s.Alternations != 5 || s.Discount.Anonymous != everyAnonymity {
		t.Errorf("%+v", s)
	}
	o := set.ByID("night-defaults").Detection.(*OffHours)
	if o.Declared != nil || o.Learn != (Learning{50, 7}) || o.NewPlace != event.NoField || o.Location != time.UTC {
		t.Errorf("%+v", o)
	}
	o = set.ByID("night-learned").Detection.(*OffHours)
	if o.Learn != (Learning{10, 3}) || o.NewPlace != event.ASN || o.Location.String() != "Asia/Tokyo" {
		t.Errorf("%+v", o)
	}
	e := set.ByID("enumeration-all").Detection.(*Enumeration)
	if e.Found != 30 || e.Newcomer != 200 || e.NewShare != 0.8 || e.Denied != 20 || e.Sequential != 8 || e.Step != 10 || e.Learn != (Learning{5, 2}) || e.Remember != 65536 || e.Segment != 2 {
		t.Errorf("%+v", e)
	}
	e = set.ByID("walks-defaults").Detection.(*Enumeration)
	if e.Found != 0 || e.Denied != 0 || e.Sequential != 40 || e.Step != 3 || e.Remember != 0 {
		t.Errorf("%+v", e)
	}
	o = set.ByID("night-declared").Detection.(*OffHours)
	if fmt.Sprint(o.Declared.Spans) != "[{94 480 720} {94 780 1440}]" {
		t.Errorf("%+v", o.Declared.Spans)
	}
	o = set.ByID("night-over-midnight").Detection.(*OffHours)
	if fmt.Sprint(o.Declared.Spans) != "[{99 1320 360}]" || o.Learn != (Learning{50, 2}) {
		t.Errorf("%+v", o.Declared.Spans)
	}
}

// TestAllErrorsAtOnce gives several files with several defects each.
func TestAllErrorsAtOnce(t *testing.T) {
	_, err := Parse(
		File{"b.yaml", []byte("rules:\n  - {id: one, detect: rate, by: client, window: 1m, limit: x}\n  - {id: two, detect: travel, by: subject}\n")},
		File{"a.yaml", []byte("rules:\n  - {id: two, detect: travel, by: subject}\n  - {detect: travle, by: subject, if: 1}\n")},
		File{"c.yaml", []byte("rules: [\n")},
		File{"d.yaml", []byte("rules:\n  - {id: fine, detect: travel, by: subject}\n")},
	)
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %T: %v", err, err)
	}
	want := []string{
		`a.yaml:2:5: rule "two": the id "two" is taken by the rule at b.yaml:3`,
		`a.yaml:3:5: a rule needs the key "id"`,
		`a.yaml:3:14: detect must be one of distinct, rate, travel, simultaneous, off_hours, new_value, workflow, sequence, enumeration, inventory, contract, risk, not "travle" (did you mean "travel"?)`,
		`a.yaml:3:39: if: the expression gives a number, not true or false`,
		`b.yaml:2:33: rule "one": by: unknown field "client" (did you mean "client_id"?)`,
		`b.yaml:2:60: rule "one": limit must be a whole number, not "x"`,
		`c.yaml:1:8: sequence end token ']' not found`,
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if errs[4].Line != 2 || errs[4].Column != 33 || errs[4].Rule != "one" || errs[4].File != "b.yaml" {
		t.Errorf("%+v", errs[4])
	}
}

// TestHostileFiles holds the bounds: none of these may take long, and all must give an error that says what is wrong.
func TestHostileFiles(t *testing.T) {
	for name, data := range map[string]string{
		"long":         "rules: [" + strings.Repeat(" ", MaxFileBytes) + "]",
		"flow":         strings.Repeat("[", 200_000),
		"braces":       strings.Repeat("{a: ", 50_000),
		"dashes":       strings.Repeat("- ", 200_000),
		"questions":    strings.Repeat("? ", 200_000),
		"colons":       strings.Repeat("a: ", 50_000),
		"keys":         strings.Repeat("a: b\n", 50_000),
		"quotes":       strings.Repeat("'", 400_001),
		"tags":         strings.Repeat("!a ", 50_000),
		"anchors":      "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nrules: *c\n",
		"brackets":     strings.Repeat("]", 200_000),
		"documents":    strings.Repeat("---\n", 50_000),
		"indentation":  strings.Repeat(" ", 200_000) + "x",
		"deep":         deepBlocks(700),
		"nul":          "rules:\x00",
		"binary":       "\x1f\x8b\x08\x00",
		"carriage":     strings.Repeat("\r", 100_000) + "x: y",
		"folded":       "rules: >\n" + strings.Repeat(" x\n", 100_000),
		"many-rules":   "rules:\n" + strings.Repeat("  - x\n", 15_000),
		"nested-where": "rules:\n  - {id: a, detect: travel, by: subject, where: " + strings.Repeat("{not: ", 60) + "{method: 1}" + strings.Repeat("}", 60) + "}",
	} {
		start := time.Now()
		_, err := Parse(File{name, []byte(data)})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
		if len(err.Error()) > 4<<20 {
			t.Errorf("%s: %d bytes of errors", name, len(err.Error()))
		}
	}
}

// deepBlocks nests mappings by indentation, which costs the file quadratic space.
func deepBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "pack/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("rules:\n- {id: a, detect: workflow, by: session_id, stepz: {a: {route: /a}}, workflows: {name: x, path: a}, guard: a}"))
	f.Add([]byte("rules:\n- {id: a, detect: workflow, by: session_id, steps: , workflows: , guard: }"))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		set, tests, err := ParseTests(File{"f.yaml", data})
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("took %s", took)
		}
		if err == nil {
			events := traffic(20)
			m := set.NewMatcher()
			for i := range events {
				m.Match(&events[i])
			}
			Explain(set, &events[0])
			for _, test := range tests {
				if test.Events() < 1 || test.Events() > MaxTestEvents || len(test.Rules) == 0 {
					t.Errorf("%s makes %d requests for %d rules", test, test.Events(), len(test.Rules))
				}
			}
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		lines := 1 + bytes.Count(data, []byte("\n"))
		for _, e := range errs {
			if e.Line < 1 || e.Column < 1 || e.Line > lines || e.File == "" || e.Message == "" {
				if !strings.Contains(e.Message, "split it") {
					t.Errorf("no position: %+v", e)
				}
			}
		}
	})
}

// TestTagsNeedNoQuotes reads a list in a rule of one line as in one of several.
func TestTagsNeedNoQuotes(t *testing.T) {
	set, err := Parse(File{"a.yaml", []byte("rules:\n  - {id: one, detect: travel, by: subject, tags: [owasp:API1:2023, attack:T1078]}\n")})
	if err != nil {
		t.Fatal(err)
	}
	if tags := set.Rules[0].Tags; !slices.Equal(tags, []string{"owasp:API1:2023", "attack:T1078"}) {
		t.Errorf("tags %q", tags)
	}
}
