package rules

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: sequence.
//
//	steps   1 to 8 steps in a list, each with
//	  name    for people
//	  where   the requests that are this step: matchers, as in the where of a rule. A request that matches several steps is
//	          the one declared first, a request that matches none changes nothing.
//	  times   how many such requests the step takes at least; 1 to 1000, and no more than that in all steps together; default 1
//	  absent  true: the finding is that this step does not happen, see [Sequence]
//	order   strict (default): the steps in the order of the list, with any other requests between them; any: in any order
//	window  from the first request of the sequence to the last; 1s to 31d
//	until   matchers: such a request ends a sequence that has begun. It is no step, even if it matches one.
//
// For example:
//
//	detect: sequence
//	by: subject
//	window: 15m
//	steps:
//	  - {name: reset, where: {route: /password/reset, method: POST, status: 2xx}}
//	  - {name: confirm, absent: true, where: {route: /confirmations, method: POST, status: 2xx}}
//	  - {name: transfer, where: {route: /transfers, method: POST, status: 2xx}, times: 2}
//	until: {route: /logout}
var sequenceKeys = []string{"steps", "order", "window", "until"}

const (
	maxSequence = 8    // steps
	maxTimes    = 1000 // requests that all steps together take
)

// parseSequence reads the keys of detect: sequence. It narrows the rule's filter to events that are a step of it or end it, so
// that nothing is kept for entities that have none.
func parseSequence(r *reader, o object, rule *Rule) Detection {
	since := len(*r.errs)
	d := &Sequence{}
	steps := r.need(o, "detect: sequence", "steps")
	items := r.sequenceSteps(d, steps)
	d.AnyOrder = r.choice(o.get("order"), "order", "strict", "strict", "any") == "any"
	rule.Window = r.window(r.need(o, "detect: sequence", "window"), 0)
	if n := o.get("until"); n != nil {
		d.Until = r.stepFilter(n, "until")
	}
	if r.failed(since) {
		return nil
	}
	r.checkSequence(d, o, steps, items)
	rule.Filter = newFilter(append(slices.Clone(rule.Filter.conditions), d.concerned()))
	return d
}

// sequenceSteps reads the steps. It returns the node of each for later messages.
func (r *reader) sequenceSteps(d *Sequence, n ast.Node) []ast.Node {
	if _, ok := n.(*ast.SequenceNode); n != nil && !ok {
		r.errorf(n, "steps must be a list, each step with a name and where, not %s", kindOf(n))
		return nil
	}
	items := r.items(n, "steps")
	if len(items) > maxSequence {
		r.errorf(n, "there are %d steps, more than %d", len(items), maxSequence)
		items = items[:maxSequence]
	}
	for _, item := range items {
		s := r.sequenceStep(item)
		if s.Name != "" && slices.ContainsFunc(d.Steps, func(other SequenceStep) bool { return other.Name == s.Name }) {
			r.errorf(item, "there are two steps with the name %q", s.Name)
		}
		d.Steps = append(d.Steps, s)
	}
	return items
}

func (r *reader) sequenceStep(n ast.Node) SequenceStep {
	o := r.object(n, "a step", "name", "where", "times", "absent")
	s := SequenceStep{Name: r.text(r.need(o, "a step", "name"), "name", "")}
	if s.Name != "" && (!stepName.MatchString(s.Name) || len(s.Name) > maxID) {
		r.errorf(o.get("name"), "a step's name must be words of a-z and 0-9 joined by _ or -, at most %d long, not %q", maxID, shorten(s.Name))
	}
	s.Filter = r.stepFilter(r.need(o, "a step", "where"), "step "+s.Name)
	s.Times = r.integer(o.get("times"), "times", 1, maxTimes, 1)
	s.Absent = r.boolean(o.get("absent"), "absent", false)
	if s.Absent && o.has("times") {
		r.errorf(o.keys["times"], "times has no meaning for a step that is absent: a single such request is enough to be silent")
	}
	return s
}

// stepFilter reads matchers that must not match everything.
func (r *reader) stepFilter(n ast.Node, what string) *Filter {
	if n == nil {
		return nil
	}
	list := r.conditions(n, what, true)
	if len(r.entriesOf(n)) == 0 {
		r.errorf(n, "%s matches everything: give it at least a status or a route", what)
	}
	if count := leaves(list); count > maxConditions {
		r.errorf(n, "%s has %d conditions, more than %d", what, count, maxConditions)
	}
	return newFilter(list)
}

// checkSequence reports what could never find anything, or not what it seems to.
func (r *reader) checkSequence(d *Sequence, o object, steps ast.Node, items []ast.Node) {
	present, requests, absent := 0, 0, false
	for i, s := range d.Steps {
		if twin := d.sameAs(i); twin != "" {
			r.errorf(items[i], "step %s can never be reached: %s matches the same requests and comes first", s.Name, twin)
		}
		if s.Absent {
			absent = true
			continue
		}
		present++
		requests += s.Times
	}
	switch {
	case present == 0:
		r.errorf(steps, "every step is absent: at least one step must be what somebody does")
	case requests > maxTimes:
		r.errorf(steps, "the steps take %d requests together, more than %d", requests, maxTimes)
	case absent && d.AnyOrder:
		r.errorf(o.get("order"), "with order: any a step cannot be absent, because it has no place at which it is missing; until is for a request that must not come between the others")
	case requests == 1 && !absent:
		r.errorf(steps, "a single request is no sequence: give it more steps or times; detect: rate counts requests")
	case requests == 1 && d.Until != nil && !d.Steps[len(d.Steps)-1].Absent:
		r.errorf(o.keys["until"], "until has nothing to end: the sequence is over with its first request")
	}
}

// sameAs names what takes every request that step i matches, because it matches the same and goes before it.
func (d *Sequence) sameAs(i int) string {
	form := d.Steps[i].Filter.appendTo(nil)
	if d.Until != nil && bytes.Equal(d.Until.appendTo(nil), form) {
		return "until"
	}
	for _, other := range d.Steps[:i] {
		if bytes.Equal(other.Filter.appendTo(nil), form) {
			return "step " + other.Name + ", which could take several with times,"
		}
	}
	return ""
}

// concerned holds for the events that are a step or end a sequence.
func (d *Sequence) concerned() condition {
	var list []condition
	for _, s := range d.Steps {
		list = append(list, &all{s.Filter.conditions})
	}
	if d.Until != nil {
		list = append(list, &all{d.Until.conditions})
	}
	return &anyOf{list}
}

// Ends reports whether the event ends a sequence that has begun. It is no step then.
func (d *Sequence) Ends(e *event.Event) bool { return d.Until != nil && d.Until.Match(e) }

// Step returns the index of the step that the event is, or -1.
func (d *Sequence) Step(e *event.Event) int {
	for i := range d.Steps {
		if d.Steps[i].Filter.Match(e) {
			return i
		}
	}
	return -1
}

// words writes the steps: login ×3 → no mfa → transfer.
func (d *Sequence) words() string {
	var list []string
	for _, s := range d.Steps {
		list = append(list, s.words())
	}
	if d.AnyOrder {
		return strings.Join(list, " + ")
	}
	return strings.Join(list, " → ")
}

func (s SequenceStep) words() string {
	switch {
	case s.Absent:
		return "no " + s.Name
	case s.Times > 1:
		return s.Name + " ×" + strconv.Itoa(s.Times)
	}
	return s.Name
}

// appendTo leaves the names out, as they change nothing.
func (d *Sequence) appendTo(b []byte) []byte {
	b = appendInt(b, len(d.Steps))
	for _, s := range d.Steps {
		b = appendString(b, string(s.Filter.appendTo(nil)))
		b = appendBool(appendInt(b, s.Times), s.Absent)
	}
	b = appendBool(appendBool(b, d.AnyOrder), d.Until != nil)
	if d.Until != nil {
		b = d.Until.appendTo(b)
	}
	return b
}
