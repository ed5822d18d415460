package rules

import (
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestInventoryProblems(t *testing.T) {
	const sunset = 1_000_000
	retired := &event.Operation{Registered: true, Owner: "team", Deprecated: true, Sunset: sunset}
	for _, c := range []struct {
		name string
		e    event.Event
		want InventoryProblems
	}{
		{"no inventory", event.Event{Status: 200}, 0},
		{"unregistered", event.Event{Status: 200, Operation: &event.Operation{}}, InventoryShadow},
		{"unregistered, another success", event.Event{Status: 299, Operation: &event.Operation{}}, InventoryShadow},
		{"unregistered, redirected", event.Event{Status: 300, Operation: &event.Operation{}}, 0},
		{"unregistered, early hints", event.Event{Status: 199, Operation: &event.Operation{}}, 0},
		{"unregistered and not found", event.Event{Status: 404, Operation: &event.Operation{}}, 0},
		{"owned", event.Event{Status: 200, Operation: &event.Operation{Registered: true, Owner: "team"}}, 0},
		{"nobody's", event.Event{Status: 500, Operation: &event.Operation{Registered: true}}, InventoryOwnerless},
		{"deprecated without a date", event.Event{Status: 200, Operation: &event.Operation{Registered: true, Owner: "team", Deprecated: true}}, 0},
		{"to be retired", event.Event{Status: 200, Time: sunset - 1, Operation: retired}, 0},
		{"retired", event.Event{Status: 410, Time: sunset, Operation: retired}, InventoryZombie},
		{"retired and nobody's", event.Event{Time: sunset, Operation: &event.Operation{Registered: true, Deprecated: true, Sunset: sunset}}, InventoryZombie | InventoryOwnerless},
	} {
		if got := ProblemsOf(&c.e); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestInventoryIsExplained(t *testing.T) {
	set := mustParse(t, "rules: [{id: a, detect: inventory, by: client_id, find: shadow, where: {owner: {exists: false}}}]")
	e := &event.Event{ClientID: "c", Method: "GET", Path: "/x", Route: "/x", Status: 200, Operation: &event.Operation{}}
	if x := Explain(set, e)[0]; !x.Matched || x.Value != "endpoint=shadow" || len(x.Notes) != 0 {
		t.Errorf("%+v", x)
	}
	for note, operation := range map[string]*event.Operation{
		"there is no inventory": nil, "a specification names the endpoint: Shop": {Registered: true, API: "Shop"},
	} {
		e.Operation = operation
		x := Explain(set, e)[0]
		if x.Matched || len(x.Notes) != 1 || !strings.Contains(x.Notes[0], note) {
			t.Errorf("%s: %+v", note, x)
		}
	}
	e.Operation, e.Status = &event.Operation{}, 404
	if x := Explain(set, e)[0]; x.Matched || len(x.Notes) != 1 || !strings.Contains(x.Notes[0], "the answer is no success") {
		t.Errorf("%+v", x)
	}
}

func TestOwnerAndClassification(t *testing.T) {
	set := mustParse(t, `rules:
  - {id: a, detect: rate, by: client_id, window: 1m, limit: 1, where: {classification: [pii, "secret*"]}}
  - {id: b, detect: rate, by: client_id, window: 1m, limit: 1, where: {owner: {not: "team-*"}}}
  - {id: c, detect: rate, by: client_id, window: 1m, limit: 1, if: 'classification == "pii" and owner != ""'}
`)
	m := set.NewMatcher()
	for _, c := range []struct {
		operation *event.Operation
		want      uint64
	}{
		{nil, 0b010}, {&event.Operation{}, 0b010},
		{&event.Operation{Registered: true, Classification: "pii", Owner: "team-a"}, 0b101},
		{&event.Operation{Registered: true, Classification: "secret-2", Owner: "somebody"}, 0b011},
	} {
		e := &event.Event{ClientID: "c", Method: "GET", Path: "/x", Route: "/x", Status: 200, Operation: c.operation}
		if got := m.Match(e)[0]; got != c.want {
			t.Errorf("%+v: %03b, want %03b", c.operation, got, c.want)
		}
	}
}
