package accesslog

import (
	"maps"
	"slices"
	"strings"
)

// definition is a format as its file states it.
type definition struct {
	name string
	// signatures tell the format's objects from others: all parts of one of them are there. A part is a path, which must
	// have a value, or path=text.
	signatures [][]string
	mapping    Mapping
	// skip says that what has the signature is no request, and nothing is lost with it.
	skip bool
	// strict is the canonical format's: a text is not looked for in arrays, and "-" is a text like any other.
	strict bool
	// columns are the names of what cut takes out of a line, for formats that are no JSON.
	columns []string
	cut     func(line []byte, columns []span) bool
	escape  string // what stands before two hexadecimal digits
	// extra are paths of values that code looks at.
	extra []string
	// outer is a member that does not stand in the object, but around several of them.
	outer string
}

// format is a definition that one decoder reads with.
type format struct {
	definition
	tree       tree
	fields     [fieldCount][]source
	attributes []attribute
	kafka      []kafkaSlot
	nested     [len(nested)]int32 // slots of texts that may be records themselves
	parts      []int32            // slots of the parts of signatures
	time       int32              // slot of a member of that name: what has one is no envelope
	lines      []int32            // slots of the columns of a line
	spans      []span             // scratch: the columns
	kind       int32              // slot of messageType
	extra      []int32            // slots
}

type attribute struct {
	key     string
	sources []source
}

// kafkaSlot is a slot that is filled from what Kafka carries beside the record: the key, or the header of that name.
type kafkaSlot struct {
	slot   int32
	header string // empty: the key
}

// source is a [Source] with its paths replaced by slots.
type source struct {
	slot, since int32 // -1: none
	unit        unit
	simple      bool // a slot and nothing else
	claim, part string
	values      map[string][]byte
	constant    []byte // nil: none
	template    []compiledPart
}

type compiledPart struct {
	text string
	slot int32 // -1: text
}

// compiler builds the tree of a format.
type compiler struct {
	format *format
	slots  map[string]int32   // by path
	parts  map[string]partSet // of signatures, by path
}

// compile makes a format of a valid definition. parts are the signatures to look for beside its own values.
func compile(d definition, parts []signaturePart) *format {
	c := &compiler{format: &format{definition: d}, slots: map[string]int32{}, parts: map[string]partSet{}}
	// The slots must be in the order of the tree, so that all below a member are neighbours: first the paths are collected.
	for _, name := range slices.Sorted(maps.Keys(d.mapping)) {
		for _, s := range d.mapping[name] {
			for _, p := range s.paths() {
				c.want(p)
			}
		}
	}
	for _, p := range parts {
		c.want(p.path)
		b := c.parts[p.path]
		b.add(p.bit)
		c.parts[p.path] = b
	}
	for _, name := range nested {
		c.want(name)
	}
	c.want("time")
	c.want("messageType")
	for _, name := range slices.Concat(d.columns, d.extra) {
		c.want(name)
	}
	for _, e := range envelopes {
		c.format.tree.root.child(step{name: e.name}).envelope = e.kind
	}
	c.number()
	c.sources()
	for _, p := range parts {
		c.format.parts = append(c.format.parts, c.slots[p.path])
	}
	for _, name := range d.columns {
		c.format.lines = append(c.format.lines, c.slots[name])
		c.format.spans = append(c.format.spans, span{})
	}
	for _, name := range d.extra {
		c.format.extra = append(c.format.extra, c.slots[name])
	}
	c.format.time, c.format.kind = c.slots["time"], c.slots["messageType"]
	return c.format
}

// want notes that the value of a path is needed.
func (c *compiler) want(path string) {
	if _, ok := c.slots[path]; ok {
		return
	}
	c.slots[path] = -1
	if strings.HasPrefix(path, "$") {
		return
	}
	steps, err := parsePath(path)
	if err != nil {
		panic("accesslog: " + err.Error()) // definitions are checked before
	}
	c.format.tree.root.add(steps, path)
}

// add makes the nodes of a path.
func (n *node) add(steps []step, path string) {
	m := n.child(steps[0])
	if len(steps) == 1 {
		m.paths = append(m.paths, path)
		return
	}
	if m.child == nil {
		m.child = &node{byName: map[string]int32{}, fold: strings.HasSuffix(strings.ToLower(steps[0].name), "headers")}
	}
	m.child.add(steps[1:], path)
}

func (n *node) child(s step) *member {
	if n.byName == nil {
		n.byName = map[string]int32{}
	}
	for i := range n.members {
		if m := &n.members[i]; m.element == s.element && (m.element && m.index == s.index || !m.element && m.name == n.cased(s.name)) {
			return m
		}
	}
	m := member{name: n.cased(s.name), index: s.index, element: s.element, slot: -1}
	if !s.element {
		n.byName[m.name] = int32(len(n.members))
	}
	n.members = append(n.members, m)
	return &n.members[len(n.members)-1]
}

// cased returns the name as it is compared.
func (n *node) cased(name string) string {
	if n.fold {
		return strings.ToLower(name)
	}
	return name
}

// number gives slots to all members, depth first.
func (c *compiler) number() {
	t := &c.format.tree
	for _, outer := range []bool{true, false} {
		for i := range t.root.members {
			if m := &t.root.members[i]; (m.name == c.format.outer) == outer {
				c.numberMember(m)
			}
		}
		if outer {
			t.outer = t.slots
		}
	}
	next := t.slots
	for _, path := range slices.Sorted(maps.Keys(c.slots)) {
		if strings.HasPrefix(path, "$") {
			c.slots[path] = next
			c.format.kafka = append(c.format.kafka, kafkaSlot{next, strings.TrimPrefix(strings.TrimPrefix(path, keyPath), headerPath)})
			next++
		}
	}
	t.values = make([]value, next)
}

func (c *compiler) numberMember(m *member) {
	t := &c.format.tree
	m.lo = t.slots
	for _, path := range m.paths {
		if m.slot < 0 {
			m.slot = t.slots
			t.slots++
		}
		c.slots[path] = m.slot
		m.part.add(c.parts[path])
	}
	m.parts = m.part
	if m.child != nil {
		for i := range m.child.members {
			below := &m.child.members[i]
			c.numberMember(below)
			m.parts.add(below.parts)
		}
	}
	m.hi = t.slots
}

// sources replaces the paths of the mapping by slots.
func (c *compiler) sources() {
	f := c.format
	for _, name := range slices.Sorted(maps.Keys(f.mapping)) {
		var sources []source
		for _, s := range f.mapping[name] {
			sources = append(sources, c.source(name, s))
		}
		if key, ok := strings.CutPrefix(name, attributePrefix); ok {
			f.attributes = append(f.attributes, attribute{key, sources})
		} else {
			f.fields[fieldOf(name)] = sources
		}
	}
	for i, name := range nested {
		f.nested[i] = c.slots[name]
	}
}

func (c *compiler) source(name string, s Source) source {
	u, _ := unitOf(name, s) // definitions are checked before
	out := source{slot: -1, since: -1, unit: u, claim: s.Claim, part: s.Part}
	if s.Default != "" {
		out.constant = []byte(s.Default)
	}
	if len(s.Values) > 0 {
		out.values = map[string][]byte{}
		for from, to := range s.Values {
			out.values[from] = []byte(to)
		}
	}
	if s.Path != "" {
		out.slot = c.slots[s.Path]
	}
	if s.Since != "" {
		out.since = c.slots[s.Since]
	}
	parts, _ := parseTemplate(s.Template)
	for _, p := range parts {
		slot := int32(-1)
		if p.path != "" {
			slot = c.slots[p.path]
		}
		out.template = append(out.template, compiledPart{p.text, slot})
	}
	out.simple = out.slot >= 0 && s.Claim == "" && s.Part == "" && out.values == nil && out.constant == nil
	return out
}
