package ruletest

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/rules"
)

var update = flag.Bool("update", false, "write how the tests of testdata end into their files")

// TestOutcomes runs the tests of testdata/*.txtar and compares what is said of them.
func TestOutcomes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(t, archive.Files[0].Data)
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func outcome(t *testing.T, text []byte) string {
	t.Helper()
	var b strings.Builder
	for _, test := range parse(t, string(text)) {
		r, err := Run(t.Context(), test)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s: passed %v, %d requests, %d alerts\n", test.Name, r.Passed(), r.Events, len(r.Alerts))
		for _, f := range r.Failures {
			fmt.Fprintf(&b, "  %d: %s\n", f.Line, strings.ReplaceAll(f.Text, "\n", "\n  "))
		}
	}
	return b.String()
}

func parse(t *testing.T, text string) []*rules.Test {
	t.Helper()
	_, tests, err := rules.ParseTests(rules.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

const oneRule = "rules: [{id: flood, detect: rate, by: client_id, window: 1m, limit: 5}]\ntests:\n"

// TestRequests holds the notation of traffic against the records that it makes.
func TestRequests(t *testing.T) {
	test := parse(t, oneRule+`
  - name: all fields
    traffic:
      - call: ["get /users/{n}/x-{r+10}?q={n%2} 404", POST /a]
        at: 1s
        times: 3
        over: 1500ms
        repeat: {every: 1s, times: 2}
        client_id: ["c\"{n}", é]
        scopes: a b
        duration_ms: 1.5
        response_bytes: "{n}00"
        route: /users/{n}
        attributes.tier: gold
        attributes.x: "{r}"
        from: [London, Paris, {city: london}]
    expect: []
`)[0]
	w := newWriter(test)
	var got []string
	for _, q := range requests(test) {
		line := w.json(q)
		if !json.Valid(line) {
			t.Errorf("no JSON: %s", line)
		}
		got = append(got, string(line))
	}
	rest := `"scopes":["a","b"],"duration_ms":1.5,`
	line := func(at, call, client, bytes, address, x string) string {
		return `{"time":"2026-11-23T10:00:0` + at + `Z",` + call + `,"client_id":"` + client + `",` + rest + `"response_bytes":` + bytes +
			`,"route":"/users/{n}","source_ip":"198.18.0.` + address + `","attributes":{"tier":"gold","x":"` + x + `"}}`
	}
	want := []string{
		line("1", `"method":"GET","path":"/users/1/x-11?q=1","status":404`, `c\"1`, "100", "1", "1"),
		line("1.5", `"method":"POST","path":"/a","status":200`, "é", "200", "2", "1"),
		line("2", `"method":"GET","path":"/users/3/x-11?q=1","status":404`, `c\"3`, "300", "1", "1"),
		line("2", `"method":"GET","path":"/users/1/x-12?q=1","status":404`, `c\"1`, "100", "1", "2"),
		line("2.5", `"method":"POST","path":"/a","status":200`, "é", "200", "2", "2"),
		line("3", `"method":"GET","path":"/users/3/x-12?q=1","status":404`, `c\"3`, "300", "1", "2"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	test := parse(t, oneRule+"  - {name: long, traffic: {client_id: c, call: GET /, times: 100_000, every: 1s}, expect: []}\n")[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, test); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestUntested(t *testing.T) {
	set, tests, err := rules.ParseTests(rules.File{Name: "rules.yaml", Data: []byte(`
rules:
  - {id: a, detect: rate, by: client_id, window: 1m, limit: 5}
  - {id: b, detect: rate, by: client_id, window: 1m, limit: 5}
  - {id: c, detect: rate, by: client_id, window: 1m, limit: 5}
tests:
  - {name: one, traffic: {client_id: c, call: GET /}, expect: [{rule: a}, {rule: b, count: 0}]}
`)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "c"}, Untested(set, tests)); diff != "" {
		t.Error(diff)
	}
	if !tests[0].Silences("c") || tests[0].Silences("a") {
		t.Error("a test without forbid silences the rules of which it expects nothing")
	}
}

func TestJUnit(t *testing.T) {
	tests := parse(t, oneRule+`
  - {name: "quiet & <small>", traffic: {client_id: c, call: GET /}, expect: []}
  - {name: "fails ]]>", traffic: {client_id: "<c>", call: GET /, times: 9, every: 1s}, expect: []}
`)
	var results []Result
	for _, test := range tests {
		r, err := Run(t.Context(), test)
		if err != nil {
			t.Fatal(err)
		}
		r.Elapsed = 1500e6
		results = append(results, r)
	}
	results[1].Test.File = "other.yaml"
	var b strings.Builder
	if err := WriteJUnit(&b, results); err != nil {
		t.Fatal(err)
	}
	var read junitReport
	if err := xml.Unmarshal([]byte(b.String()), &read); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if read.Tests != 2 || read.Failures != 1 || read.Time != "3.000" || len(read.Suites) != 2 {
		t.Errorf("%+v", read)
	}
	last := read.Suites[len(read.Suites)-1]
	failed := last.Cases[len(last.Cases)-1]
	if failed.Name != "fails ]]>" || failed.Class != "flood" || len(failed.Failures) != 1 || !strings.Contains(failed.Failures[0].Message, "not expected: flood for <c>, 5s") {
		t.Errorf("%+v", failed)
	}
}
