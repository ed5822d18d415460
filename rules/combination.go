package rules

import (
	"bytes"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// not turns a condition around. A place that is unknown is neither somewhere nor somewhere else: for a field that comes
// from a GeoIP database, known makes the condition fail when the event has no value.
type not struct {
	inner condition
	known event.Field // the zero Field: absence counts as "not"
}

func (c *not) match(e *event.Event) bool {
	if c.known != (event.Field{}) && !locatable(c.known, e) {
		return false
	}
	return !c.inner.match(e)
}

// locatable reports whether a GeoIP database could say anything about the field. No flag at all is an answer about
// anonymity, once the address was found.
func locatable(f event.Field, e *event.Event) bool {
	if f.Kind() == event.Anonymous {
		return e.Geo != nil
	}
	return present(f, e)
}

func (c *not) decide(e *event.Event, path *template) verdict {
	if c.known != (event.Field{}) {
		return unknown
	}
	return c.inner.decide(e, path).negated()
}

func (c *not) appendTo(b []byte) []byte { return c.inner.appendTo(append(b, '!')) }
func (c *not) fields() []event.Field    { return c.inner.fields() }

func (c *not) String() string {
	if name, rest, ok := strings.Cut(c.inner.String(), ": "); ok && !strings.HasPrefix(name, "(") {
		return name + ": not " + rest
	}
	return "not " + c.inner.String()
}

// all holds when every one of its conditions does. Without conditions it holds.
type all struct{ list []condition }

func (c *all) match(e *event.Event) bool {
	for _, x := range c.list {
		if !x.match(e) {
			return false
		}
	}
	return true
}

func (c *all) decide(e *event.Event, path *template) verdict {
	result := always
	for _, x := range c.list {
		switch x.decide(e, path) {
		case never:
			return never
		case unknown:
			result = unknown
		}
	}
	return result
}

func (c *all) appendTo(b []byte) []byte { return appendSet(append(b, '&'), c.list) }
func (c *all) fields() []event.Field    { return fieldsOf(c.list) }
func (c *all) String() string           { return joined(c.list, " and ") }

// anyOf holds when one of its conditions does.
type anyOf struct{ list []condition }

func (c *anyOf) match(e *event.Event) bool {
	for _, x := range c.list {
		if x.match(e) {
			return true
		}
	}
	return false
}

func (c *anyOf) decide(e *event.Event, path *template) verdict {
	result := never
	for _, x := range c.list {
		switch x.decide(e, path) {
		case always:
			return always
		case unknown:
			result = unknown
		}
	}
	return result
}

func (c *anyOf) appendTo(b []byte) []byte { return appendSet(append(b, '|'), c.list) }
func (c *anyOf) fields() []event.Field    { return fieldsOf(c.list) }
func (c *anyOf) String() string           { return joined(c.list, " or ") }

// appendSet appends conditions whose order means nothing.
func appendSet(b []byte, list []condition) []byte {
	forms := make([][]byte, len(list))
	for i, c := range list {
		forms[i] = c.appendTo(nil)
	}
	slices.SortFunc(forms, bytes.Compare)
	b = appendInt(b, len(forms))
	for _, f := range forms {
		b = appendString(b, string(f))
	}
	return b
}

func fieldsOf(list []condition) []event.Field {
	var all []event.Field
	for _, c := range list {
		for _, f := range c.fields() {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

func joined(list []condition, word string) string {
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = c.String()
	}
	return "(" + strings.Join(texts, word) + ")"
}
