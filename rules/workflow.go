package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The keys of detect: workflow.
//
//	steps       the calls that workflows are made of: a name and matchers for each, as in where; at most 32. An event that
//	            matches several steps is the one declared first, an event that matches none changes nothing.
//	workflows   the known good ones; at most 16, each with
//	  name          for people
//	  path          what is done, in order: see [reader.part]
//	  timeout       how long after its beginning a workflow can be gone on with; 1s to 31d, default 1h
//	  step_timeouts how long after a step the next one must follow, where that is less: {confirm: 5m}
//	guard       steps that must not be reached on any other path: doing so is the finding
//	grace       how long a finding waits for steps whose logs come late, as those of parallel calls do; 0s to 1m, default 1s
//
// For example:
//
//	detect: workflow
//	by: session_id
//	steps:
//	  cart:     {route: "/carts/**", status: 2xx}
//	  checkout: {route: /checkout, method: POST, status: 2xx}
//	  address:  {route: "/checkout/{id}/address", method: PUT, status: 2xx}
//	  shipping: {route: "/checkout/{id}/shipping", method: PUT, status: 2xx}
//	  coupon:   {route: "/checkout/{id}/coupon", method: POST}
//	  card:     {route: /payments/card, method: POST, status: 2xx}
//	  invoice:  {route: /payments/invoice, method: POST, status: 2xx}
//	workflows:
//	  - name: purchase
//	    timeout: 2h
//	    path:
//	      - cart+
//	      - repeat:                          # a buyer may go back and begin the checkout again
//	          - checkout
//	          - unordered: [address, shipping]
//	          - coupon*
//	      - choice: [card, invoice]
//	    step_timeouts: {checkout: 30m}
//	guard: [checkout, card, invoice]
//	grace: 1s
//
// [Automaton] says exactly what is allowed and what is not.
var workflowKeys = []string{"steps", "workflows", "guard", "grace"}

const (
	maxSteps     = 32
	maxFlows     = 16
	maxUnordered = 6
	maxRepeat    = 50
	maxGrace     = time.Minute

	defaultFlowTimeout = time.Hour
	defaultGrace       = time.Second
)

// parseWorkflow reads the keys of detect: workflow. It narrows the rule's filter to events that are a step of it, so that
// nothing is kept for entities that take none.
func parseWorkflow(r *reader, o object, rule *Rule) Detection {
	since := len(*r.errs)
	s := &workflowSpec{}
	r.steps(s, r.need(o, "detect: workflow", "steps"))
	flows := r.workflows(s, r.need(o, "detect: workflow", "workflows"))
	guard := r.need(o, "detect: workflow", "guard")
	r.guard(s, guard)
	s.grace = r.duration(o.get("grace"), "grace", 0, maxGrace, defaultGrace)
	if r.failed(since) {
		return nil
	}
	for i, f := range s.flows {
		if err := f.compile(len(s.names)); err != nil {
			r.errorf(flows[i], "workflow %q: %s", f.name, complexity(err))
			return nil
		}
	}
	r.checkUse(s, o.get("steps"), guard)
	if r.failed(since) {
		return nil
	}
	a, err := s.compile()
	if err != nil {
		r.errorf(o.get("workflows"), "the workflows together: %s", complexity(err))
		return nil
	}
	rule.Filter = newFilter(append(slices.Clone(rule.Filter.conditions), s.anyStep()))
	return &Workflow{Automaton: a}
}

// complexity says what to do about paths that are too much.
func complexity(err error) string {
	switch {
	case errors.Is(err, errLongPath):
		return fmt.Sprintf("with its repetitions and orders written out the path has more than %d steps; "+
			"lower at_most, or put fewer and shorter parts into unordered", maxPositions)
	case errors.Is(err, errManyStates):
		return fmt.Sprintf("the automaton has more than %d states; put workflows that guard different steps into rules of their own, "+
			"or leave out steps that need not be in order", maxStates)
	}
	return err.Error()
}

// anyStep holds for the events that are a step.
func (s *workflowSpec) anyStep() condition {
	var list []condition
	for _, m := range s.matchers {
		if len(m.conditions) == 1 {
			list = append(list, m.conditions[0])
		} else {
			list = append(list, &all{m.conditions})
		}
	}
	return &anyOf{list}
}

var stepName = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)

// steps reads the named steps and their matchers.
func (r *reader) steps(s *workflowSpec, n ast.Node) {
	entries := r.entries(n, "steps")
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 0 {
		r.errorf(n, "steps must have at least one step")
	}
	if len(entries) > maxSteps {
		r.errorf(n, "there are %d steps, more than %d", len(entries), maxSteps)
		entries = entries[:maxSteps]
	}
	for _, e := range entries {
		if !stepName.MatchString(e.name) || len(e.name) > maxID {
			r.errorf(e.key, "a step's name must be words of a-z and 0-9 joined by _ or -, at most %d long, not %q", maxID, shorten(e.name))
		}
		list := r.conditions(e.value, "step "+e.name, true)
		if e.value != nil && len(r.entriesOf(e.value)) == 0 {
			r.errorf(e.value, "step %s matches everything: give it at least a route", e.name)
		}
		if count := leaves(list); count > maxConditions {
			r.errorf(e.value, "step %s has %d conditions, more than %d", e.name, count, maxConditions)
		}
		s.names = append(s.names, e.name)
		s.matchers = append(s.matchers, newFilter(list))
	}
	s.guarded = make([]bool, len(s.names))
}

// workflows reads the paths. It returns the node of each for later messages.
func (r *reader) workflows(s *workflowSpec, n ast.Node) []ast.Node {
	items := r.items(n, "workflows")
	if len(items) > maxFlows {
		r.errorf(n, "there are %d workflows, more than %d", len(items), maxFlows)
		items = items[:maxFlows]
	}
	for _, item := range items {
		f := r.workflow(s, item)
		if slices.ContainsFunc(s.flows, func(other *flow) bool { return other.name == f.name && f.name != "" }) {
			r.errorf(item, "there are two workflows with the name %q", f.name)
		}
		s.flows = append(s.flows, f)
	}
	return items
}

func (r *reader) workflow(s *workflowSpec, n ast.Node) *flow {
	o := r.object(n, "a workflow", "name", "path", "timeout", "step_timeouts")
	f := &flow{steps: map[uint8]time.Duration{}}
	f.name = r.text(r.need(o, "a workflow", "name"), "name", "")
	if len(f.name) > maxID {
		r.errorf(o.get("name"), "name is longer than %d", maxID)
	}
	f.timeout = r.duration(o.get("timeout"), "timeout", MinWindow, MaxWindow, defaultFlowTimeout)
	path := r.need(o, "a workflow", "path")
	f.path = r.part(s, path)
	for _, e := range r.entries(o.get("step_timeouts"), "step_timeouts") {
		sym, ok := r.symbol(s, e.key, e.name, "step_timeouts")
		if ok && f.path != nil && !mentions(f.path, sym) {
			r.errorf(e.key, "step_timeouts: step %s is not in the path of workflow %q", e.name, f.name)
		}
		f.steps[sym] = r.duration(e.value, "the timeout of "+e.name, MinWindow, f.timeout, f.timeout)
	}
	return f
}

// symbol looks a step up. When there are no steps at all, that is what has been reported.
func (r *reader) symbol(s *workflowSpec, n ast.Node, name, what string) (uint8, bool) {
	i := slices.Index(s.names, name)
	if i < 0 && len(s.names) > 0 {
		r.errorf(n, "%s: unknown step %q%s", what, shorten(name), nearestOr(name, s.names))
	}
	return uint8(max(i, 0)), i >= 0
}

// guard reads the steps whose misuse is the finding.
func (r *reader) guard(s *workflowSpec, n ast.Node) {
	for _, item := range r.items(n, "guard") {
		name := r.text(item, "guard", "")
		if name == "" {
			continue
		}
		sym, ok := r.symbol(s, item, name, "guard")
		if ok && s.guarded[sym] {
			r.errorf(item, "guard names %s twice", name)
		}
		if ok {
			s.guarded[sym] = true
		}
	}
}

// checkUse reports steps that are in no path, and guards that could never find anything or would always do.
func (r *reader) checkUse(s *workflowSpec, steps, guard ast.Node) {
	for _, e := range r.entriesOf(steps) {
		sym := uint8(slices.Index(s.names, e.name))
		if !s.guarded[sym] && !slices.ContainsFunc(s.flows, func(f *flow) bool { return mentions(f.path, sym) }) {
			r.errorf(e.key, "step %s is in no path: remove it, or exclude its route with not: in the step that it should not match", e.name)
		}
	}
	for _, item := range r.items(guard, "guard") {
		name, _ := scalar(item)
		sym := uint8(slices.Index(s.names, name))
		used := false
		for _, f := range s.flows {
			used = used || mentions(f.path, sym)
			if f.next[0][sym] != none {
				r.errorf(item, "guard: %s can never be out of place, because workflow %q may begin with it", name, f.name)
			}
		}
		if !used {
			r.errorf(item, "guard: %s is in no path, so that every call of it would be a finding", name)
		}
	}
}

// entriesOf reads a mapping that has been checked before, without reporting anything again.
func (r *reader) entriesOf(n ast.Node) []entry {
	var unheard Errors
	quiet := reader{file: r.file, rule: r.rule, errs: &unheard}
	return quiet.entries(n, "")
}
