package accesslog

import (
	"bytes"

	"github.com/gatewatch/gatewatch/ingest/arena"
)

// finding is what a source turned out to hold.
type finding uint8

const (
	absent   finding = iota
	unusable         // something, but of the wrong type
	usable
)

// resolve returns the text that a source stands for: of a string its content, of a number its digits.
func (d *Decoder) resolve(s *source) ([]byte, finding) {
	if !s.simple {
		return d.worked(s)
	}
	v := &d.format.tree.values[s.slot]
	if v.first == 0 {
		return nil, absent
	}
	if v.first == '"' && !d.scan.escaped && v.to-v.from > 3 { // neither empty nor a dash
		return d.scan.buf[v.from+1 : v.to-1 : v.to-1], usable
	}
	return d.scalar(s.slot)
}

// worked is resolve for sources that are more than a path.
func (d *Decoder) worked(s *source) ([]byte, finding) {
	text, found := d.made(s)
	if found == usable && s.claim != "" {
		text, found = d.claim(text, s.claim)
	}
	if found == usable && s.part != "" {
		text, found = d.nameAttribute(text, s.part)
	}
	if found == usable && s.values != nil {
		text = s.replaced(text)
	}
	if found != usable && s.constant != nil {
		return s.constant, usable
	}
	return text, found
}

// made returns what path or template give.
func (d *Decoder) made(s *source) ([]byte, finding) {
	if s.slot >= 0 {
		return d.scalar(s.slot)
	}
	if len(s.template) > 0 {
		return d.expand(s.template)
	}
	return nil, absent
}

// replaced returns what the source has in place of a value.
func (s *source) replaced(text []byte) []byte {
	if to, ok := s.values[string(text)]; ok {
		return to
	}
	if to, ok := s.values["*"]; ok {
		return to
	}
	return text
}

// expand puts the parts of a template together; without one of them there is nothing.
func (d *Decoder) expand(parts []compiledPart) ([]byte, finding) {
	d.scratch = d.scratch[:0]
	for i := range parts {
		d.scratch = append(d.scratch, parts[i].text...)
		if parts[i].slot < 0 {
			continue
		}
		text, found := d.scalar(parts[i].slot)
		if found != usable || len(text) == 0 {
			return nil, min(found, unusable)
		}
		d.scratch = append(d.scratch, text...)
	}
	return d.mem.Copy(d.scratch, 0), usable
}

// scalar returns the text in a slot. Outside of the canonical format a list stands for its first element, and "-" for
// nothing.
func (d *Decoder) scalar(slot int32) ([]byte, finding) {
	v := d.format.tree.values[slot]
	if v.first == '[' && !d.format.strict {
		v = d.firstElement(v)
	}
	switch v.first {
	case 0:
		return nil, absent
	case '"':
		text := d.content(v)
		if d.format.strict {
			return text, usable
		}
		return dashed(text)
	case rawText:
		return dashed(d.scan.buf[v.from:v.to])
	case 't', 'f':
		if d.format.strict {
			return nil, unusable
		}
	case '{', '[', rawBytes:
		return nil, unusable
	}
	return d.scan.buf[v.from:v.to], usable
}

func dashed(text []byte) ([]byte, finding) {
	if len(text) == 0 || len(text) == 1 && text[0] == '-' {
		return nil, absent
	}
	return text, usable
}

func (d *Decoder) firstElement(v value) value {
	s := &d.scan
	i := s.space(int(v.from) + 1)
	if s.buf[i] == ']' || s.buf[i] == 'n' {
		return value{}
	}
	return value{int32(i), int32(s.value(i, maxDepth-1)), s.buf[i]}
}

// content returns a string's decoded content. The canonical format, which reads every value once, decodes in place; a
// mapping can read one twice.
func (d *Decoder) content(v value) []byte {
	b := d.scan.buf[v.from+1 : v.to-1 : v.to-1]
	if !d.scan.escaped || bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	if d.format.strict {
		return unescape(b)
	}
	copied := append(d.mem.Reserve(len(b)), b...)
	copied = unescape(copied)
	d.mem.Commit(copied)
	return copied
}

// scalarOf returns the text of an element of a list or a member of an object.
func (d *Decoder) scalarOf(v value) (string, bool) {
	switch v.first {
	case '"':
		return arena.String(d.content(v)), true
	case '{', '[', 't', 'f':
		return "", false
	}
	return arena.String(d.scan.buf[v.from:v.to]), true
}
