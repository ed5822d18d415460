package rules

import (
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// routeIs tests an event's route and path against patterns.
//
// Routes are matched first. A route can be too general for the pattern (the route /users/{id} for /users/me) or lack its
// shape because an id was not recognised; so where the route does not match, the path is matched too. An exclusion (not:)
// must not be open to what a caller writes into the path, see [odd].
type routeIs struct {
	patterns []*pattern
	pathOnly bool // the field is path: routes are not looked at
}

func (c *routeIs) match(e *event.Event) bool {
	return !c.pathOnly && matchAny(c.patterns, e.Route, lenient) || c.matchPath(e.Path)
}

func (c *routeIs) matchPath(path string) bool {
	if !odd(path) {
		return matchAny(c.patterns, path, lenient)
	}
	var r room
	s := spell(path, &r)
	return c.matchSpelled(&s)
}

func (c *routeIs) matchSpelled(s *spelling) bool {
	return matchList(c.patterns, s.strict, lenient) || s.odd && matchList(c.patterns, s.lenient, lenient)
}

// matchFurther is match for a route that is known not to match.
func (c *routeIs) matchFurther(e *event.Event, s *spelling) bool {
	return e.Path != "" && c.matchSpelled(s)
}

func matchAny(patterns []*pattern, s string, how comparison) bool {
	if s == "" {
		return false
	}
	for _, p := range patterns {
		if _, ok := p.match(cursor{text: s}, how, -1); ok {
			return true
		}
	}
	return false
}

func matchList(patterns []*pattern, segments []string, how comparison) bool {
	for _, p := range patterns {
		if _, ok := p.match(cursor{list: segments}, how, -1); ok {
			return true
		}
	}
	return false
}

func (c *routeIs) decide(e *event.Event, path *template) verdict {
	switch {
	case !c.pathOnly && matchAny(c.patterns, e.Route, lenient):
		return always
	case path.kind == plainPath && !c.pathOnly && path.text == e.Route:
		return never
	case path.kind == plainPath:
		return verdictOf(matchAny(c.patterns, path.text, lenient))
	case path.kind == instancePath && !c.pathOnly && !matchAny(c.patterns, e.Route, conceivable):
		return never
	}
	return unknown
}

func (c *routeIs) appendTo(b []byte) []byte {
	return appendPatterns(appendBool(append(b, 'r'), c.pathOnly), c.patterns)
}

// appendPatterns keeps the names of parameters: what a rule counts depends on them.
func appendPatterns(b []byte, patterns []*pattern) []byte {
	forms := make([]string, len(patterns))
	for i, p := range patterns {
		forms[i] = p.canonical()
	}
	slices.Sort(forms)
	return appendStrings(b, slices.Compact(forms))
}

func (p *pattern) canonical() string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		switch {
		case s.kind == manySegments:
			b.WriteString("**")
		case s.kind == anySegment:
			b.WriteString("{" + s.name + "}")
		default:
			b.WriteString(s.text)
		}
	}
	return b.String()
}

func (c *routeIs) fields() []event.Field {
	if c.pathOnly {
		return []event.Field{event.FieldOf(event.Path)}
	}
	return []event.Field{event.FieldOf(event.Route), event.FieldOf(event.Path)}
}

func (c *routeIs) String() string {
	name := "route: "
	if c.pathOnly {
		name = "path: "
	}
	return name + patternTexts(c.patterns)
}

func patternTexts(patterns []*pattern) string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.text
	}
	return orList(texts)
}

// routeIsNot excludes routes or paths. It holds unless the path is spelled plainly and the route or the path matches a
// pattern byte by byte.
type routeIsNot struct {
	patterns []*pattern
	pathOnly bool
}

func (c *routeIsNot) match(e *event.Event) bool {
	return odd(e.Path) || !(!c.pathOnly && matchAny(c.patterns, e.Route, exact) || matchAny(c.patterns, e.Path, exact))
}

// matchFurther is match for a path that is taken apart.
func (c *routeIsNot) matchFurther(e *event.Event, s *spelling) bool {
	return s.odd || !(matchAny(c.patterns, e.Route, exact) || e.Path != "" && matchList(c.patterns, s.strict, exact))
}

func (c *routeIsNot) decide(e *event.Event, path *template) verdict {
	switch {
	case path.kind == anyPath:
		return unknown
	case !c.pathOnly && matchAny(c.patterns, e.Route, exact):
		return never
	case path.kind == plainPath:
		return verdictOf(!matchAny(c.patterns, path.text, exact))
	case !c.pathOnly && !matchAny(c.patterns, e.Route, conceivable):
		return always
	}
	return unknown
}

func (c *routeIsNot) appendTo(b []byte) []byte {
	return appendPatterns(appendBool(append(b, 'R'), c.pathOnly), c.patterns)
}

func (c *routeIsNot) fields() []event.Field { return (&routeIs{pathOnly: c.pathOnly}).fields() }

func (c *routeIsNot) String() string {
	name := "route: not "
	if c.pathOnly {
		name = "path: not "
	}
	return name + patternTexts(c.patterns)
}
