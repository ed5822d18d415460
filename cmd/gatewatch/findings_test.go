package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/ocsf/ocsftest"
	"github.com/google/go-cmp/cmp"
)

// replayed returns what the shipped rules raise over the telemetry of every scenario.
func replayed(t *testing.T) (alerts []*alert.Alert) {
	t.Helper()
	telemetry := filepath.Join(t.TempDir(), "telemetry.jsonl")
	generate, replay := newGenerateCommand(), newReplayCommand()
	generate.SetArgs([]string{"--seed", "3", "--out", telemetry})
	var out, log bytes.Buffer
	replay.SetArgs([]string{telemetry})
	replay.SetOut(&out)
	replay.SetErr(&log)
	for _, err := range []error{generate.ExecuteContext(t.Context()), replay.ExecuteContext(t.Context())} {
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
	}
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		a := &alert.Alert{}
		if err := json.Unmarshal(lines.Bytes(), a); err != nil {
			t.Fatal(err)
		}
		alerts = append(alerts, a)
	}
	return alerts
}

// TestShippedRulesRaiseFindings holds what really comes out of the engine, incidents included, against the OCSF schema.
func TestShippedRulesRaiseFindings(t *testing.T) {
	alerts, incidents := replayed(t), 0
	for _, a := range alerts {
		var buf bytes.Buffer
		if err := ocsf.Write(&buf, a); err != nil {
			t.Fatal(err)
		}
		got, err := ocsftest.Read(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("the finding stands for another alert:\n%s", diff)
		}
		if strings.Contains(buf.String(), `"related_events_count":`) {
			incidents++
		}
	}
	if len(alerts) < 20 || incidents == 0 {
		t.Errorf("only %d alerts, %d of them incidents", len(alerts), incidents)
	}
}

// TestServiceWritesFindings follows the option format from the configuration to the file.
func TestServiceWritesFindings(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	config := strings.NewReplacer("DIR/alerts.jsonl", "DIR/alerts.jsonl, format: ocsf", "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"))
	s := startService(t, config.Replace(serviceConfig))
	for i := range 10 {
		s.produce(t, call("some-token-of-a-client", i))
	}
	a, err := ocsftest.Read([]byte(s.await(t, "alerts.jsonl", `"activity_id":1`, 1)[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if a.State != alert.Open || len(a.Evidence) == 0 {
		t.Errorf("the finding stands for %+v", a)
	}
}
