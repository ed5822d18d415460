package pack_test

import (
	"testing"

	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

func TestEveryRuleTellsWhatAPersonNeeds(t *testing.T) {
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, r := range set.Rules {
		kinds[r.Detection.Kind()] = true
		if r.Title == r.ID || r.Description == "" || r.FalsePositives == "" || r.Advice == "" || len(r.Tags) == 0 {
			t.Errorf("%s:%d: rule %s lacks a title, description, false_positives, advice or tags", r.File, r.Line, r.ID)
		}
	}
	for _, kind := range rules.Kinds() {
		if !kinds[kind] {
			t.Errorf("no shipped rule of kind %s", kind)
		}
	}
}
