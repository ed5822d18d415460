package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeKnowsRulesAndMetrics holds the README's tables against what is shipped and registered.
func TestReadmeKnowsRulesAndMetrics(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z0-9_-]+)`").FindAllStringSubmatch(string(text), -1) {
		rows[match[1]] = true
	}
	set, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		if !rows[r.ID] {
			t.Errorf("the README has no row for the rule %s", r.ID)
		}
	}
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	s := startService(t, strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1))
	s.produce(t, call("some-token-of-a-client", 1), []byte("bad"))
	s.await(t, "rejected.jsonl", "not_json", 1)
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	registered := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gatewatch_") {
			continue
		}
		registered++
		if !rows[f.GetName()] {
			t.Errorf("the README has no row for the metric %s", f.GetName())
		}
	}
	if registered < 20 {
		t.Errorf("only %d metrics are registered", registered)
	}
}
