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
	d.fillScopes(e)
	d.list.attributes = d.list.attributes[:0]
	d.fillAttributes()
	if len(query) > 0 {
		d.readQuery(query)
	}
	if len(d.list.attributes) > 0 {
		e.Attributes = d.mem.Attributes(d.list.attributes)
	}
}

// list is scratch for the lists of one event.
type list struct {
	scopes     []string
	attributes []event.Attribute
}

func (d *Decoder) fillScopes(e *event.Event) {
	sources := d.format.fields[fieldScopes]
	for i := range sources {
		s := &sources[i]
		if s.simple && !d.format.tree.values[s.slot].present() {
			continue
		}
		d.list.scopes = d.list.scopes[:0]
		if !d.readScopes(s) {
			d.ignored[fieldScopes]++
		}
		if len(d.list.scopes) > 0 {
			e.Scopes = d.mem.Strings(d.list.scopes)
			return
		}
	}
	if d.jwt == nil {
		return
	}
	d.list.scopes = d.list.scopes[:0]
	d.claimScopes("scope")
	d.claimScopes("scp")
	if len(d.list.scopes) > 0 {
		e.Scopes = d.mem.Strings(d.list.scopes)
	}
}

// claimScopes adds the scopes of a JWT: a text with spaces between (RFC 9068), or a list.
func (d *Decoder) claimScopes(name string) {
	v := payloadMember(d.jwt, name)
	if v.first != '[' {
		text, _ := d.claimOf(d.jwt, name)
		d.splitScopes(arena.String(text))
		return
	}
	s := scanner{buf: d.jwt[:len(d.jwt)+pad], end: len(d.jwt)}
	for i := s.space(int(v.from) + 1); s.buf[i] != ']'; {
		end := s.value(i, 2)
		if s.buf[i] == '"' {
			text := unescape(append(d.mem.Reserve(end-i), s.buf[i+1:end-1]...))
			d.mem.Commit(text)
			d.addScope(arena.String(text))
		}
		if i = s.space(end); s.buf[i] == ',' {
			i = s.space(i + 1)
		}
	}
}

func (d *Decoder) fillAttributes() {
	f := d.format
	if sources := f.fields[fieldAttributes]; len(sources) > 0 && sources[0].slot >= 0 {
		if v := f.tree.values[sources[0].slot]; v.present() && !d.readAttributes(v) {
			d.ignored[fieldAttributes]++
		}
	}
	if d.jwt != nil {
		if jti, _ := d.claimOf(d.jwt, "jti"); len(jti) > 0 {
			d.setAttribute("jti", arena.String(jti))
		}
	}
	for i := range f.attributes {
		a := &f.attributes[i]
		if text, found := d.first(a.sources); found == usable {
			if d.setAttribute(a.key, arena.String(text)) < 0 {
				d.ignored[fieldAttributes]++
			}
		} else if found == unusable {
			d.ignored[fieldAttributes]++
		}
	}
}

// readScopes reads a list of strings, or one string with spaces between as OAuth writes it; other formats than the
// canonical one may have commas too.
func (d *Decoder) readScopes(from *source) bool {
	v := value{}
	if from.simple {
		v = d.format.tree.values[from.slot]
	}
	if v.first != '[' {
		if from.simple && v.first != '"' && v.first != rawText {
			return false
		}
		text, found := d.resolve(from)
		return found == absent || found == usable && d.splitScopes(arena.String(text))
	}
	s, complete := &d.scan, true
	for i := s.space(int(v.from) + 1); s.buf[i] != ']'; {
		end := s.value(i, 2)
		if text, ok := d.scalarOf(value{int32(i), int32(end), s.buf[i]}); ok && s.buf[i] == '"' {
			complete = d.addScope(text) && complete
		} else {
			complete = false
		}
		i = d.next(end)
	}
	return complete
}

func (d *Decoder) splitScopes(text string) bool {
	complete := true
	for scope := range strings.FieldsSeq(text) {
		if d.format.strict {
			complete = d.addScope(scope) && complete
			continue
		}
		for part := range strings.SplitSeq(scope, ",") {
			complete = d.addScope(part) && complete
		}
	}
	return complete
}

func (d *Decoder) addScope(scope string) bool {
	if scope == "" {
		return true
	}
	if len(d.list.scopes) == maxScopes {
		return false
	}
	d.list.scopes = append(d.list.scopes, scope)
	return true
}

// readAttributes reads an object of scalars; of duplicates the last counts, and empty ones are absent.
func (d *Decoder) readAttributes(v value) bool {
	if v.first != '{' {
		return false
	}
	s, complete := &d.scan, true
	bad := uint64(0) // which of those kept have a value that cannot be used
	for i := s.space(int(v.from) + 1); s.buf[i] != '}'; {
		from, to, start := s.key(i)
		end := s.value(start, 2)
		key := d.content(value{int32(from - 1), int32(to + 1), '"'})
		text, ok := d.attributeText(value{int32(start), int32(end), s.buf[start]})
		if at := d.setAttribute(arena.String(key), text); at < 0 {
			complete = false
		} else if bad &^= 1 << at; !ok {
			bad |= 1 << at
		}
		i = d.next(end)
	}
	kept := d.list.attributes[:0]
	for _, a := range d.list.attributes {
		if a.Value != "" {
			kept = append(kept, a)
		}
	}
	d.list.attributes = kept
	return complete && bad == 0
}

// attributeText returns the text of a member of attributes; ok is false for what is neither scalar nor null.
func (d *Decoder) attributeText(v value) (text string, ok bool) {
	switch v.first {
	case 't':
		return "true", true
	case 'f':
		return "false", true
	case 'n':
		return "", true
	}
	return d.scalarOf(v)
}

// setAttribute returns where the attribute is among those of the event, -1 when it has too many.
func (d *Decoder) setAttribute(key, text string) int {
	for i := range d.list.attributes {
		if d.list.attributes[i].Key == key {
			d.list.attributes[i].Value = text
			return i
		}
	}
	if len(d.list.attributes) == maxAttributes {
		return -1
	}
	d.list.attributes = append(d.list.attributes, event.Attribute{Key: key, Value: text})
	return len(d.list.attributes) - 1
}

// next goes from the end of one item or member to the start of the next, or to the closing bracket.
func (d *Decoder) next(end int) int {
	s := &d.scan
	if end = s.space(end); s.buf[end] == ',' {
		return s.space(end + 1)
	}
	return end
}
