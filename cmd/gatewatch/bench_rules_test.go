package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/rules"
)

// TestBenchRulesShowsTheDearOne: a rule that keeps something of every request stands above one that matches nothing.
func TestBenchRulesShowsTheDearOne(t *testing.T) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(`rules:
  - {id: idle, title: idle, detect: rate, by: token_id, where: {method: TRACE}, window: 1m, limit: 10}
  - {id: dear, title: dear, detect: distinct, by: token_id, count: path, window: 1h, limit: 2}
`)})
	if err != nil {
		t.Fatal(err)
	}
	decoding := newDecoding(defaultConfig().Ingest.Config, nil, nil)
	decoding.use(set)
	costs, err := benchRules(t.Context(), set, decoding)
	if err != nil {
		t.Fatal(err)
	}
	dear, idle := costs[0], costs[1]
	if dear.Rule != "dear" || dear.NS <= idle.NS || dear.Matched < 0.5 || dear.Entities == 0 || dear.BytesPerEntity < 500 || dear.Entity != "token_id" {
		t.Errorf("%+v", dear)
	}
	if idle.Rule != "idle" || idle.Matched != 0 || idle.NSPerMatch != 0 || idle.Entities != 0 {
		t.Errorf("%+v", idle)
	}
	var table bytes.Buffer
	if writeCosts(&table, costs); !strings.Contains(table.String(), "dear\tdistinct\ttoken_id\t") {
		t.Error(table.String())
	}
}
