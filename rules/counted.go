package rules

import (
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Counted says whose different values a detection counts, and finds the value in an event.
type Counted struct {
	Count event.Field // whose values are counted
	// Segment is the position, from 1, of the counted value in a plainly spelled path when the rule's own route patterns
	// name the parameter (count: path.id with route: /users/{id}/** gives 2). -1: there is no such position. [Counted.Value]
	// is what finds the value in any path.
	Segment int
	Noun    string // plural, for the summary: "user profiles"; "" gives the field's name

	routes []*pattern // of the rule's filter, that name the counted parameter
	behind []*pattern // the same behind any prefix
}

// counted reads the keys count and noun.
func (r *reader) counted(o object, what string, rule *Rule) Counted {
	d := Counted{Segment: -1, Noun: r.text(o.get("noun"), "noun", "")}
	if f, ok := r.field(r.need(o, what, "count"), "count"); ok {
		d.Count = f
		r.checkCount(o, f, rule.By)
	}
	d.locate(rule.Filter)
	return d
}

func (r *reader) checkCount(o object, f event.Field, by []event.Field) {
	n := o.get("count")
	switch f.Kind() {
	case event.DurationMS, event.RequestBytes, event.ResponseBytes:
		r.errorf(n, "count cannot be %s: it is a measure; detect: rate can sum it", f)
	case event.RequestID:
		r.errorf(n, "count cannot be request_id: every request has its own; detect: rate counts requests")
	}
	for _, entity := range by {
		if entity == f {
			r.errorf(n, "count is %s, which the rule groups by: it would always be 1", f)
		}
	}
}

// locate finds where the rule's own route patterns have the parameter that is counted.
func (d *Counted) locate(f *Filter) {
	if d.Count.Kind() != event.PathParam {
		return
	}
	for _, p := range f.patterns() {
		if p.parameter(d.Count.Name()) >= 0 {
			d.routes = append(d.routes, p)
			d.behind = append(d.behind, p.behindPrefix())
		}
	}
	d.Segment = commonSegment(d.routes, d.Count.Name())
}

// commonSegment returns the position, from 1, at which all patterns have the parameter, or -1.
func commonSegment(patterns []*pattern, name string) int {
	common := -1
	for i, p := range patterns {
		at := p.parameter(name)
		for _, s := range p.segments[:at] {
			if s.kind == manySegments {
				return -1
			}
		}
		if i > 0 && at+1 != common {
			return -1
		}
		common = at + 1
	}
	return common
}

// Value returns the event's value of the counted field, "" when it has none. It does not allocate for text fields.
//
// For count: path.id it is the segment of the path that stands where the rule's own route pattern has {id}, however the
// path is spelled: /users/./42 is user 42 too. It may stand behind a prefix that the gateway has stripped from the route.
// Only when no pattern of the rule names the parameter, the event's route is asked.
func (d *Counted) Value(e *event.Event) string {
	if len(d.routes) > 0 {
		if v := segmentAt(d.routes, e.Path, d.Count.Name()); v != "" {
			return v
		}
		if v := segmentAt(d.behind, e.Path, d.Count.Name()); v != "" {
			return v
		}
	}
	return d.Count.Text(e)
}

// segmentAt returns what stands in path where the first pattern that matches has the parameter.
func segmentAt(patterns []*pattern, path, parameter string) string {
	if !odd(path) {
		end := firstFound(patterns, cursor{text: path}, parameter)
		return path[1+strings.LastIndexByte(path[:end], '/') : end]
	}
	var r room
	s := spell(path, &r)
	if at := firstFound(patterns, cursor{list: s.strict}, parameter); at > 0 {
		return s.strict[at-1]
	}
	if at := firstFound(patterns, cursor{list: s.lenient}, parameter); at > 0 {
		return s.lenient[at-1]
	}
	return ""
}

func firstFound(patterns []*pattern, path cursor, parameter string) int {
	for _, p := range patterns {
		if found, ok := p.match(path, lenient, p.parameter(parameter)); ok {
			return found
		}
	}
	return 0
}
