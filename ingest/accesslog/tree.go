package accesslog

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// value is where a value is and the first byte of it, which tells its type. The zero value is absent. In a value that is
// no JSON, first is rawText.
type value struct {
	from, to int32
	first    byte
}

// rawText marks text that stands in the record as it is, without quotes.
const rawText = '='

// rawBytes marks what stands in the record as it is and is no text.
const rawBytes = '#'

func (v value) present() bool { return v.first != 0 }

// tree finds the values of a format's paths in one pass over an object. Nothing is decoded before the whole object has
// been read. It belongs to one decoder: it remembers how the last object was written.
type tree struct {
	root   node
	slots  int32
	values []value // by slot; of duplicates the last, null is absent

	// found is the set of the signatures' parts that the object has.
	found partSet

	// at is where the array of an envelope is, and kind which one; 0: none.
	at   int
	kind envelope

	outer int32  // slots below this one are of what is around the object, and stay when it is read
	name  []byte // scratch: a name with escapes
}

// partSet is a set of parts of signatures.
type partSet [2]uint64

func (b *partSet) add(o partSet)       { b[0] |= o[0]; b[1] |= o[1] }
func (b *partSet) remove(o partSet)    { b[0] &^= o[0]; b[1] &^= o[1] }
func (b partSet) holds(o partSet) bool { return b[0]&o[0] == o[0] && b[1]&o[1] == o[1] }
func bit(i int) (b partSet)            { b[i/64] = 1 << (i % 64); return b }

// node is a place in the object under which there are values to find.
type node struct {
	byName   map[string]int32
	members  []member
	fold     bool // names are compared without regard to case
	order    []remembered
	replaced int // of order, when it was full
}

// member is what to do with the value of a name, or of an element of an array. What is looked at for every value comes first.
type member struct {
	slot     int32 // -1: the value itself is not wanted
	lo, hi   int32 // slots of this value and of everything below
	leaf     bool  // nothing is wanted below
	signs    bool  // part is not empty
	envelope envelope
	element  bool // by index, not by name
	child    *node
	part     partSet // of signatures
	parts    partSet // of this value and of everything below
	name     string
	index    int
	paths    []string // that end here
}

// remembered is a member as objects before have written it: gateways write their members in the same order again and again,
// and comparing with one name is faster than finding it among many.
type remembered struct {
	quoted string  // name, quotes and colon
	member *member // nil: not wanted
}

const (
	maxRemembered     = 64 // members of one object
	maxRememberedName = 64 // bytes
)

// read reads the object at i and returns where it ends, -1 if it is no JSON.
func (t *tree) read(s *scanner, i int) int {
	clear(t.values[t.outer:t.slots])
	t.found, t.kind, t.at = partSet{}, noEnvelope, 0
	return t.object(s, &t.root, i, 1)
}

func (t *tree) object(s *scanner, n *node, i, depth int) int {
	if i = s.space(i + 1); s.buf[i] == '}' {
		return i + 1
	}
	for k := 0; ; k++ {
		m, start := n.expected(s, i, k)
		if start < 0 {
			if m, start, k = t.later(s, n, i, k); start < 0 {
				return -1
			}
		}
		switch {
		case m == nil:
			i = s.value(start, depth)
		case m.leaf && s.buf[start] == '"': // most are, and calls cost
			if i = s.text(start+1) + 1; i == 0 {
				return -1
			}
			if m.slot >= 0 {
				t.values[m.slot] = value{int32(start), int32(i), '"'}
			}
			if m.signs {
				t.found.add(m.part)
			}
		case m.leaf && isDigit(s.buf[start]) && m.slot >= 0:
			if i = s.number(start); i >= 0 {
				t.values[m.slot] = value{int32(start), int32(i), s.buf[start]}
				t.found.add(m.part)
			}
		default:
			i = t.put(s, m, start, depth)
		}
		if i < 0 {
			return -1
		}
		if s.buf[i] != ',' {
			if i = s.space(i); s.buf[i] == '}' {
				return i + 1
			}
			if s.buf[i] != ',' {
				return s.fail(i)
			}
		}
		if i++; s.buf[i] != '"' {
			i = s.space(i)
		}
	}
}

// put reads the value at i, which belongs to m.
func (t *tree) put(s *scanner, m *member, i, depth int) (end int) {
	t.forget(m)
	first := s.buf[i]
	switch {
	case m.envelope != noEnvelope && first == '[':
		t.at, t.kind = i, m.envelope // noticed before it is read, so that what is good in a truncated one can be kept
		end = s.value(i, depth)
	case m.child == nil || first != '{' && first != '[':
		end = s.value(i, depth)
	case depth >= maxDepth:
		return s.fail(i)
	case first == '{':
		end = t.object(s, m.child, i, depth+1)
	default:
		end = t.array(s, m.child, i, depth+1)
	}
	if end < 0 || first == 'n' {
		return end
	}
	t.found.add(m.part)
	if m.slot >= 0 {
		t.values[m.slot] = value{int32(i), int32(end), first}
	}
	return end
}

// forget drops what an earlier member of the same name gave.
func (t *tree) forget(m *member) {
	for k := m.lo; k < m.hi; k++ {
		t.values[k] = value{}
	}
	t.found.remove(m.parts)
	if m.envelope != noEnvelope && m.envelope == t.kind {
		t.kind = noEnvelope
	}
}

// expected reads the name at i when it is that of the remembered nth member; start is -1 if it is not.
func (n *node) expected(s *scanner, i, nth int) (m *member, start int) {
	if nth >= len(n.order) {
		return nil, -1
	}
	r := &n.order[nth]
	if start = i + len(r.quoted); start > s.end || string(s.buf[i:start]) != r.quoted {
		return nil, -1
	}
	if s.buf[start] <= ' ' {
		start = s.space(start)
	}
	return r.member, start
}

// ahead is how many members that are missing now and then can follow each other without a slower look-up.
const ahead = 3

// later reads the name at i, which is not that of the nth member, and returns which one it is.
func (t *tree) later(s *scanner, n *node, i, nth int) (m *member, start, at int) {
	for at = nth + 1; at < nth+ahead; at++ {
		if m, start = n.expected(s, i, at); start >= 0 {
			return m, start, at
		}
	}
	return t.find(s, n, i, nth)
}

// find reads any name and remembers it.
func (t *tree) find(s *scanner, n *node, i, nth int) (m *member, start, at int) {
	from, to, start := s.key(i)
	if start < 0 {
		return nil, -1, nth
	}
	m = n.lookup(t.plain(s, from, to))
	if s.buf[to+1] == ':' {
		nth = n.remember(nth, s.buf[i:to+2], m)
	}
	return m, start, nth
}

// remember returns where a name is among those that are remembered, and puts it at nth if it is not: what is remembered is
// all members in their order, those that some objects lack included. When it is full, new names take the place of others,
// so often that allocations stay bounded.
func (n *node) remember(nth int, quoted []byte, m *member) int {
	for at := range n.order {
		if n.order[at].quoted == string(quoted) {
			return at
		}
	}
	switch nth = min(nth, len(n.order)); {
	case len(quoted) > maxRememberedName || !plainName(quoted):
	case len(n.order) < maxRemembered:
		n.order = slices.Insert(n.order, nth, remembered{string(quoted), m})
	case n.replaced < maxRemembered*16: // names that never come again would cost memory for ever
		n.replaced++
		n.order[min(nth, maxRemembered-1)] = remembered{string(quoted), m}
	}
	return nth
}

// plainName reports whether a name is ASCII without escapes: the scanner must see all others, for what they hold matters.
func plainName(quoted []byte) bool {
	for _, c := range quoted {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

// lookup returns which member a name is, nil if it is not wanted.
func (n *node) lookup(name []byte) *member {
	if m, ok := n.byName[string(name)]; ok {
		return &n.members[m]
	}
	if n.fold {
		for k := range n.members {
			if m := &n.members[k]; !m.element && len(m.name) == len(name) && foldEqual(name, m.name) {
				return m
			}
		}
	}
	return nil
}

// foldEqual compares ASCII without regard to case.
func foldEqual(name []byte, lower string) bool {
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// array reads an array whose elements, or what they name, are wanted.
func (t *tree) array(s *scanner, n *node, i, depth int) int {
	if i = s.space(i + 1); s.buf[i] == ']' {
		return i + 1
	}
	for index := 0; ; index++ {
		if i = t.item(s, n, i, index, depth); i < 0 {
			return -1
		}
		if i = s.space(i); s.buf[i] == ']' {
			return i + 1
		}
		if s.buf[i] != ',' {
			return s.fail(i)
		}
		i = s.space(i + 1)
	}
}

// item reads one element. One that looks like {"key": …, "value": …} is also a member of that name: OpenTelemetry writes
// attributes so, and others write headers with name in place of key.
func (t *tree) item(s *scanner, n *node, i, index, depth int) int {
	start, end := i, -1
	for k := range n.members {
		if m := &n.members[k]; m.element && (m.index == index || m.index == -1) {
			if end = t.put(s, m, start, depth); end < 0 {
				return -1
			}
		}
	}
	if s.buf[start] == '{' && len(n.byName) > 0 {
		return t.pair(s, n, start, depth)
	}
	if end < 0 {
		return s.value(start, depth)
	}
	return end
}

// pair reads an element that may be the pair of a name and a value.
func (t *tree) pair(s *scanner, n *node, i, depth int) int {
	if depth >= maxDepth {
		return s.fail(i)
	}
	var m *member
	start := -1
	if i = s.space(i + 1); s.buf[i] == '}' {
		return i + 1
	}
	for {
		from, to, v := s.key(i)
		if v < 0 {
			return -1
		}
		next := s.value(v, depth+1)
		if next < 0 {
			return -1
		}
		switch string(t.plain(s, from, to)) {
		case "key", "name", "Name":
			if m = nil; s.buf[v] == '"' {
				m = n.lookup(t.plain(s, v+1, next-1))
			}
		case "value", "Value":
			start = v
		}
		if i = s.space(next); s.buf[i] != ',' {
			break
		}
		i = s.space(i + 1)
	}
	if s.buf[i] != '}' {
		return s.fail(i)
	}
	if m != nil && start >= 0 && t.put(s, m, anyValue(s, start), depth+1) < 0 {
		return -1
	}
	return i + 1
}

// plain returns the content of a string without its escapes, valid until the next call.
func (t *tree) plain(s *scanner, from, to int) []byte {
	b := s.buf[from:to]
	if !s.escaped || bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	t.name = append(t.name[:0], b...)
	return unescape(t.name)
}

// anyValue returns where the value inside an OpenTelemetry AnyValue is, such as {"stringValue": …}; of an array the first
// one. Of other values it returns i. What is at i has been read before.
func anyValue(s *scanner, i int) int {
	for s.buf[i] == '{' {
		k := s.space(i + 1)
		if s.buf[k] != '"' {
			return i
		}
		from, to, v := s.key(k)
		switch string(s.buf[from:to]) {
		case "stringValue", "intValue", "boolValue", "doubleValue":
			return v
		case "arrayValue":
		default:
			return i
		}
		first := firstOf(s, v)
		if first < 0 {
			return i
		}
		i = first
	}
	return i
}

// firstOf returns where the first element of {"values": […]} is, -1 if there is none.
func firstOf(s *scanner, i int) int {
	if s.buf[i] != '{' {
		return -1
	}
	i = s.space(i + 1)
	if s.buf[i] != '"' {
		return -1
	}
	from, to, v := s.key(i)
	if string(s.buf[from:to]) != "values" || s.buf[v] != '[' {
		return -1
	}
	if i = s.space(v + 1); s.buf[i] == ']' {
		return -1
	}
	return i
}
