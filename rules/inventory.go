package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: inventory.
//
//	find    one or several of shadow (no specification names the endpoint, and it answers 2xx), zombie (it is deprecated and past
//	        its date) and ownerless (nobody owns it); default all
//	window  1s to 31d, default 1h
//	limit   a finding is more than this many such requests within the window, default 0: the first one
var inventoryKeys = []string{"find", "window", "limit"}

const defaultInventoryWindow = time.Hour

func (r *reader) inventory(o object, rule *Rule) Detection {
	d := &Inventory{}
	for _, n := range r.items(o.get("find"), "find") {
		name := r.choice(n, "find", "", inventoryProblemNames...)
		d.Find |= 1 << max(0, slices.Index(inventoryProblemNames, name))
	}
	if !o.has("find") {
		d.Find = InventoryShadow | InventoryZombie | InventoryOwnerless
	}
	rule.Window = r.window(o.get("window"), defaultInventoryWindow)
	d.Limit = r.integer(o.get("limit"), "limit", 0, maxRequests, 0)
	rule.Filter = newFilter(append(slices.Clone(rule.Filter.conditions), &inventoryIs{d.Find}))
	return d
}

// InventoryProblems is a set of what can be wrong with an endpoint.
type InventoryProblems uint8

// The members of [InventoryProblems].
const (
	InventoryShadow    InventoryProblems = 1 << iota // no specification names it, and it answers 2xx
	InventoryZombie                                  // deprecated, and past its date
	InventoryOwnerless                               // specified, but nobody owns it
)

var inventoryProblemNames = []string{"shadow", "zombie", "ownerless"}

// String lists the members, joined by "or".
func (p InventoryProblems) String() string {
	var names []string
	for i, name := range inventoryProblemNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// ProblemsOf returns what is wrong with the endpoint that an event belongs to. Nothing is, while there is no inventory.
func ProblemsOf(e *event.Event) (p InventoryProblems) {
	o := e.Operation
	switch {
	case o == nil:
		return 0
	case !o.Registered:
		if e.Status >= 200 && e.Status <= 299 {
			p = InventoryShadow
		}
		return p
	}
	if o.Retired(e.Time) {
		p |= InventoryZombie
	}
	if o.Owner == "" {
		p |= InventoryOwnerless
	}
	return p
}

// inventoryIs tests that one of the problems is there. As part of the filter it keeps the rule from knowing anything about those
// who call what they should.
type inventoryIs struct{ find InventoryProblems }

func (c *inventoryIs) match(e *event.Event) bool            { return ProblemsOf(e)&c.find != 0 }
func (*inventoryIs) decide(*event.Event, *template) verdict { return unknown }
func (c *inventoryIs) appendTo(b []byte) []byte             { return append(b, 'I', byte(c.find)) }
func (c *inventoryIs) String() string                       { return "endpoint: " + c.find.String() }

func (*inventoryIs) fields() []event.Field {
	return []event.Field{event.FieldOf(event.Method), event.FieldOf(event.Route), event.FieldOf(event.Status)}
}

func (d *Inventory) appendTo(b []byte) []byte {
	return appendInt(appendInt(b, int(d.Find)), d.Limit)
}

// problemsText says what is known of the event's endpoint.
func (d *Inventory) problemsText(e *event.Event) string {
	if p := ProblemsOf(e) & d.Find; p != 0 {
		return "endpoint=" + p.String()
	}
	return ""
}

func (d *Inventory) note(e *event.Event) string {
	o := e.Operation
	switch {
	case o == nil:
		return "there is no inventory: the rule is blind to this event"
	case !o.Registered && ProblemsOf(e) == 0:
		return "no specification names the endpoint, but the answer is no success"
	case o.Registered && d.Find == InventoryShadow:
		return "a specification names the endpoint: " + o.API
	}
	return ""
}
