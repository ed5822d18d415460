package rules

import (
	"cmp"
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Filter says which events a rule, a share or a workflow step is about. It is immutable and shared between goroutines; the
// nil Filter and the one without conditions match every event.
type Filter struct {
	conditions []condition // all of them, cheap ones first

	// What a Matcher must test when it knows what the event's combination decides: see [Matcher].
	routes []routeCondition
	late   []condition
}

// routeCondition is a condition on the route that can leave something to the path.
type routeCondition interface {
	condition
	// matchFurther is match for when the route alone has not decided, with the path already taken apart.
	matchFurther(e *event.Event, path *spelling) bool
}

// newFilter orders the conditions by what they cost: those that a few instructions decide first.
func newFilter(list []condition) *Filter {
	f := &Filter{conditions: slices.Clone(list)}
	slices.SortStableFunc(f.conditions, func(a, b condition) int { return cmp.Compare(cost(a), cost(b)) })
	for _, c := range f.conditions {
		if route, ok := isRoute(c); ok {
			f.routes = append(f.routes, route)
		} else if !decided(c) {
			f.late = append(f.late, c)
		}
	}
	return f
}

func isRoute(c condition) (routeCondition, bool) {
	switch c := c.(type) {
	case *routeIs:
		return c, !c.pathOnly
	case *routeIsNot:
		return c, !c.pathOnly
	}
	return nil, false
}

// decided reports whether every combination of environment, api, method, route and status decides the condition.
func decided(c condition) bool {
	switch c := c.(type) {
	case *statusIs, *methodIs:
		return true
	case *textIs:
		return c.field.Kind() == event.Environment || c.field.Kind() == event.API
	case *not:
		return c.known == (event.Field{}) && decided(c.inner)
	case *all:
		return !slices.ContainsFunc(c.list, func(c condition) bool { return !decided(c) })
	case *anyOf:
		return !slices.ContainsFunc(c.list, func(c condition) bool { return !decided(c) })
	}
	return false
}

// decide says what the event's combination decides, about the filter without its routes and about these.
func (f *Filter) decide(e *event.Event, path *template) (rest, routes verdict) {
	rest, routes = always, always
	for _, c := range f.conditions {
		v := c.decide(e, path)
		if _, ok := isRoute(c); ok {
			routes = both(routes, v)
		} else {
			rest = both(rest, v)
		}
	}
	return rest, routes
}

// both is the outcome of two conditions that must both hold.
func both(a, b verdict) verdict {
	switch {
	case a == never || b == never:
		return never
	case a == unknown || b == unknown:
		return unknown
	}
	return always
}

func cost(c condition) int {
	switch c := c.(type) {
	case *statusIs, *methodIs, *numberIs, *exists:
		return 0
	case *not:
		return cost(c.inner)
	case *routeIs, *routeIsNot:
		return 2
	case *all, *anyOf, *expression, *deviating:
		return 3
	}
	return 1
}

// Match reports whether the event is one that the filter is about. It cannot fail and does not allocate.
func (f *Filter) Match(e *event.Event) bool {
	if f == nil {
		return true
	}
	for _, c := range f.conditions {
		if !c.match(e) {
			return false
		}
	}
	return true
}

// Fields lists the fields that the filter looks at, each once.
func (f *Filter) Fields() []event.Field {
	if f == nil {
		return nil
	}
	return fieldsOf(f.conditions)
}

// String says what the filter wants, in the order in which it is tested.
func (f *Filter) String() string {
	if f == nil || len(f.conditions) == 0 {
		return "every event"
	}
	s := joined(f.conditions, " and ")
	return s[1 : len(s)-1]
}

// appendTo appends the canonical form: equal for filters that are written differently and test the same.
func (f *Filter) appendTo(b []byte) []byte {
	if f == nil {
		return appendSet(b, nil)
	}
	return appendSet(b, f.conditions)
}

// patterns returns the route patterns of the filter that match, not exclude, outside of any, all and not: those in which
// parameters are named.
func (f *Filter) patterns() []*pattern {
	var found []*pattern
	for _, c := range f.conditions {
		if r, ok := c.(*routeIs); ok {
			found = append(found, r.patterns...)
		}
	}
	return found
}
