package accesslog

import (
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// Limits on the lists of one event.
const (
	maxScopes     = 256
	maxAttributes = 64
)

func (d *Decoder) fillLists(e *event.Event, query []byte) {
	c := &d.canonical
	if c.has(fieldScopes) {
		c.scopes = c.scopes[:0]
		if !d.readScopes(c.values[fieldScopes]) {
			c.ignored[fieldScopes]++
		}
		if len(c.scopes) > 0 {
			e.Scopes = d.mem.Strings(c.scopes)
		}
	}
	c.attributes = c.attributes[:0]
	if c.has(fieldAttributes) && !d.readAttributes(c.values[fieldAttributes]) {
		c.ignored[fieldAttributes]++
	}
	if len(query) > 0 {
		d.readQuery(query)
	}
	if len(c.attributes) > 0 {
		e.Attributes = d.mem.Attributes(c.attributes)
	}
}

// readScopes reads a list of strings, or one string with spaces between as OAuth writes it.
func (d *Decoder) readScopes(v value) bool {
	switch v.first {
	case '"':
		complete := true
		for scope := range strings.FieldsSeq(arena.String(d.content(v))) {
			complete = d.addScope(scope) && complete
		}
		return complete
	case '[':
	default:
		return false
	}
	s, complete := &d.scan, true
	for i := s.space(int(v.from) + 1); s.buf[i] != ']'; {
		end := s.value(i, 2)
		if text, ok := d.scalar(value{int32(i), int32(end), s.buf[i]}); ok && s.buf[i] == '"' {
			complete = d.addScope(text) && complete
		} else {
			complete = false
		}
		i = d.next(end)
	}
	return complete
}

func (d *Decoder) addScope(scope string) bool {
	c := &d.canonical
	if scope == "" {
		return true
	}
	if len(c.scopes) == maxScopes {
		return false
	}
	c.scopes = append(c.scopes, scope)
	return true
}

// readAttributes reads an object of scalars; of duplicates the last counts, and empty ones are absent.
func (d *Decoder) readAttributes(v value) bool {
	if v.first != '{' {
		return false
	}
	s, complete := &d.scan, true
	for i := s.space(int(v.from) + 1); s.buf[i] != '}'; {
		from, to, start := s.key(i)
		end := s.value(start, 2)
		key := d.content(value{int32(from - 1), int32(to + 1), '"'})
		complete = d.addAttribute(arena.String(key), value{int32(start), int32(end), s.buf[start]}) && complete
		i = d.next(end)
	}
	c := &d.canonical
	kept := c.attributes[:0]
	for _, a := range c.attributes {
		if a.Value != "" {
			kept = append(kept, a)
		}
	}
	c.attributes = kept
	return complete
}

func (d *Decoder) addAttribute(key string, v value) bool {
	text, ok := "", v.first == 'n'
	switch v.first {
	case 't':
		text, ok = "true", true
	case 'f':
		text, ok = "false", true
	case 'n':
	default:
		text, ok = d.scalar(v)
	}
	return d.setAttribute(key, text) && ok
}

func (d *Decoder) setAttribute(key, text string) bool {
	c := &d.canonical
	for i := range c.attributes {
		if c.attributes[i].Key == key {
			c.attributes[i].Value = text
			return true
		}
	}
	if len(c.attributes) == maxAttributes {
		return false
	}
	c.attributes = append(c.attributes, event.Attribute{Key: key, Value: text})
	return true
}

// next goes from the end of one item or member to the start of the next, or to the closing bracket.
func (d *Decoder) next(end int) int {
	s := &d.scan
	if end = s.space(end); s.buf[end] == ',' {
		return s.space(end + 1)
	}
	return end
}
