package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestBlindSpots rejects a record and then starts the service again on the same state: both are told beside the alerts, each
// with its cause, and the alerts' own file holds none of it.
func TestBlindSpots(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	configuration := strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1) +
		"state: {location: " + filepath.Join(dir, "state") + ", interval: 50ms}\n"
	first := startService(t, configuration)
	first.produce(t, []byte(`{"no":"event"}`))
	for i := range 10 {
		first.produce(t, call("tok", i))
	}
	first.await(t, "alerts.jsonl", `"state":"open"`, 1)
	first.await(t, "rejected.jsonl", `"reason"`, 1)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	told := first.await(t, "alerts-blind-spots.jsonl", `"cause":"decode_errors"`, 1)
	if last := told[len(told)-1]; !strings.Contains(last, `"state":"closed"`) || !strings.Contains(last, `"count":1`) {
		t.Errorf("told of the record that was rejected: %s", last)
	}

	second := startService(t, configuration)
	again := second.await(t, "alerts-blind-spots.jsonl", `"cause":"restart"`, 1)
	if !strings.Contains(again[0], `"state":"closed"`) {
		t.Errorf("told of the restart: %s", again[0])
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	if found := first.await(t, "alerts.jsonl", `"cause"`, 0); len(found) > 0 {
		t.Errorf("alerts.jsonl holds %s", found[0])
	}
}
