package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/fixtures/truth"
)

// evalRules raise an alert at the fourth object that a user reads in a minute; in shadow also at the third.
const evalRules = `rules:
  - {id: reads, title: reads, detect: distinct, by: subject, count: path, window: 1m, limit: 3}
  - {id: shy, title: shy, detect: distinct, by: token_id, count: path, window: 1m, limit: 2, mode: shadow}
`

// evalStream is telemetry as somebody else might label it: mallory reads ten objects a second apart, slow reads three, and bob's
// batch, which is no misuse, ten as well. The year lies ahead of any clock.
func evalStream() string {
	var b strings.Builder
	start := time.Date(2190, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 10 {
		for _, who := range []string{"mallory", "bob", "slow"} {
			if who == "slow" && i > 2 {
				continue
			}
			fmt.Fprintf(&b, `{"time":%q,"method":"GET","path":"/things/%d","status":200,"subject":%q,"token_id":"secret-%s"}`+"\n",
				start.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i, who, who)
		}
	}
	return b.String()
}

const evalLabels = `{"kind":"bola","entity":{"kind":"token_id","id":"secret-mallory"},"entities":{"subject":"mallory"},"from":"2190-03-01T12:00:00Z","to":"2190-03-01T12:00:30Z","expected_within":"10s"}
{"kind":"bola","entity":{"kind":"subject","id":"slow"},"entities":{"token_id":"secret-slow"},"from":"2190-03-01T12:00:00Z","to":"2190-03-01T12:00:30Z","ticket":"SEC-17"}
{"kind":"batch","misuse":false,"entity":{"kind":"subject","id":"bob"},"entities":{"token_id":"secret-bob"},"from":"2190-03-01T12:00:00Z","to":"2190-03-01T12:00:30Z"}
{"kind":"bola","entity":{"kind":"subject","id":"ghost"},"from":"2190-03-01T12:00:00Z"}
`

// evaluated runs eval over the stream and labels with changed flags.
func evaluated(t *testing.T, change func(*evalFlags)) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"rules.yaml": evalRules, "labels.jsonl": evalLabels} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := evalFlags{labels: filepath.Join(dir, "labels.jsonl"), output: "json", demands: demands{-1, -1, -1, -1, -1, -1}}
	f.rules = []string{filepath.Join(dir, "rules.yaml")}
	change(&f)
	var out, errs bytes.Buffer
	err = eval(t.Context(), f, []string{"-"}, strings.NewReader(evalStream()), &out, &errs)
	return out.String(), errs.String(), err
}

func TestEval(t *testing.T) {
	stdout, stderr, err := evaluated(t, func(*evalFlags) {})
	if err != nil {
		t.Fatal(err, stderr)
	}
	var r truth.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err, stdout)
	}
	if r.Events != 23 || r.ClientDays != 3 || r.Injected != 3 || r.Found != 1 || r.Late != 0 {
		t.Errorf("%+v", r)
	}
	if k := r.Kinds[0]; len(r.Kinds) != 1 || k.Missed != 2 || k.Shadowed != 1 || *k.Delay != (truth.Delay{Median: 3, P95: 3, Max: 3}) || k.Rules[0].Rule != "reads" {
		t.Errorf("%+v", r.Kinds)
	}
	if f := r.False; f.Count != 1 || f.Rules[0].Rule != "reads" || f.Rules[0].Examples[0].Negative != "batch" || int(f.Per1000ClientDays) != 333 {
		t.Errorf("%+v", f)
	}
	if len(r.Shadow) != 1 || r.Shadow[0].True != 2 || r.Shadow[0].False != 1 {
		t.Errorf("%+v", r.Shadow)
	}
	if len(r.Absent) != 1 || r.Absent[0].Line != 4 {
		t.Errorf("%+v", r.Absent)
	}
	if !strings.Contains(stderr, "23 events in ") || strings.Contains(stderr, "MB") {
		t.Errorf("stderr: %s", stderr)
	}
}

func TestEvalWithShadow(t *testing.T) {
	stdout, _, err := evaluated(t, func(f *evalFlags) { f.shadow, f.output = true, "table" })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"23 events, 3 client-days, 4 labels\n", "misuse found: 2 of 3 (66.7 %), 0 of them later than stated\n",
		"false alerts: 2, 86956.52 per million events, 666.67 per 1,000 client-days\n",
		"bola    2 of 3  1       0     10s     2s      2s   2s   shy 2, reads 1\n",
		"missed bola: subject ghost at 2190-03-01T12:00:00.000Z (label on line 4)\n",
		"batch      1         1        2\n", "2190-03-01T12:00:03.000Z bob used 4 different paths in 1 minute (limit 3) (batch)\n",
		"  bola: subject ghost occurs never (label on line 4)\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

func TestEvalDemands(t *testing.T) {
	for want, change := range map[string]func(*evalFlags){
		"recall is 0.333, below --min-recall 0.5":        func(f *evalFlags) { f.recall = 0.5 },
		"1 false alert, above --max-false-alerts 0":      func(f *evalFlags) { f.falseAlerts = 0 },
		"above --max-false-per-1000-client-days 1":       func(f *evalFlags) { f.falsePerDays = 1 },
		"above --max-false-per-million-events 10":        func(f *evalFlags) { f.falsePerMillion = 10 },
		"1 label of rightful use with alerts, above":     func(f *evalFlags) { f.accusedNegatives = 0 },
		"0.5; 1 false alert, above --max-false-alerts 0": func(f *evalFlags) { f.recall, f.falseAlerts = 0.5, 0 },
		"": func(f *evalFlags) { f.recall, f.falseAlerts, f.late = 0.3, 1, 0 },
	} {
		stdout, _, err := evaluated(t, change)
		var usage usageError
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) || errors.As(err, &usage) {
			t.Errorf("%v, want %q", err, want)
		}
		if !strings.HasPrefix(stdout, "{") {
			t.Errorf("no report with %q", want)
		}
	}
}

func TestEvalUsage(t *testing.T) {
	labels := func(content string) func(*evalFlags) {
		return func(f *evalFlags) {
			f.labels = filepath.Join(t.TempDir(), "labels.jsonl")
			if err := os.WriteFile(f.labels, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for want, change := range map[string]func(*evalFlags){
		"--labels is required":             func(f *evalFlags) { f.labels = "" },
		"no such file":                     func(f *evalFlags) { f.labels = "nowhere.jsonl" },
		"--format must be table or json":   func(f *evalFlags) { f.output = "yaml" },
		"--min-recall is a share":          func(f *evalFlags) { f.recall = 95 },
		"holds no labels":                  labels("\n"),
		"label on line 1: kind is missing": labels("{}"),
	} {
		var usage usageError
		if _, _, err := evaluated(t, change); err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &usage) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
