package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// node is a prefix of templates. A node of depth n belongs to one run of n segments, so that a search visits each node once
// at most.
type node struct {
	literals map[string]*node
	partials []partial // by how specific they are, then by their text
	any      *node     // a parameter

	methods []method
	route   string // of a learned template that ends here
}

// maxSegment is the longest segment of a template, in bytes.
const maxSegment = 128

// method is an operation of a template that ends at a node.
type method struct {
	name      string
	operation int
}

// insert adds the template's nodes and returns the last one.
func (n *node) insert(template string) (*node, error) {
	depth := 0
	for rest := template; rest != ""; {
		var segment string
		if segment, rest = cut(rest); segment == "" {
			continue
		}
		if depth++; depth > maxSegments {
			return nil, fmt.Errorf("has more than %d segments", maxSegments)
		}
		literals, ok := parseSegment(segment)
		switch {
		case len(segment) > maxSegment:
			return nil, fmt.Errorf("has a segment of more than %d bytes", maxSegment)
		case !ok:
			return nil, fmt.Errorf("has the segment %q: a parameter is written {name}", shorten(segment))
		case dots(segment) > 0:
			return nil, errors.New("has a segment of dots, which no server is asked for")
		}
		n = n.child(literals)
	}
	return n, nil
}

func (n *node) child(literals []string) *node {
	switch {
	case len(literals) == 1:
		if n.literals == nil {
			n.literals = map[string]*node{}
		}
		next := n.literals[literals[0]]
		if next == nil {
			next = &node{}
			n.literals[literals[0]] = next
		}
		return next
	case len(literals) == 2 && literals[0] == "" && literals[1] == "":
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	return n.partial(literals)
}

func (n *node) partial(literals []string) *node {
	text := strings.Join(literals, "{}")
	at, found := slices.BinarySearchFunc(n.partials, text, func(p partial, text string) int { return compare(p.text, text) })
	if !found {
		n.partials = slices.Insert(n.partials, at, partial{text, literals, &node{}})
	}
	return n.partials[at].next
}

// compare puts the one with more literal text first.
func compare(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}

// add makes the node answer for an operation and returns the one that it already answers for, -1 when there was none.
func (n *node) add(name string, operation int) int {
	for _, m := range n.methods {
		if m.name == name {
			return m.operation
		}
	}
	n.methods = append(n.methods, method{name, operation})
	return -1
}

// find returns the operation of a path, -1 when there is none.
func (n *node) find(path []string, method string) int {
	if i := n.search(path, method); i >= 0 {
		return i
	}
	if method == "HEAD" {
		return n.search(path, "GET")
	}
	return -1
}

// search tries what is most concrete first, and goes back when it leads nowhere.
func (n *node) search(path []string, method string) int {
	if len(path) == 0 {
		return n.operation(method)
	}
	segment, rest := path[0], path[1:]
	if next := n.literal(segment); next != nil {
		if i := next.search(rest, method); i >= 0 {
			return i
		}
	}
	for k := range n.partials {
		if p := &n.partials[k]; p.match(segment) {
			if i := p.next.search(rest, method); i >= 0 {
				return i
			}
		}
	}
	if n.any != nil {
		return n.any.search(rest, method)
	}
	return -1
}

// operation returns that of the method. OPTIONS, which asks what may be called, belongs to whatever may be.
func (n *node) operation(method string) int {
	for _, m := range n.methods {
		if m.name == method {
			return m.operation
		}
	}
	if method == "OPTIONS" && len(n.methods) > 0 {
		return n.methods[0].operation
	}
	return -1
}

// literal returns the child of a literal segment, or nil.
func (n *node) literal(segment string) *node {
	if n.literals == nil {
		return nil
	}
	if next := n.literals[segment]; next != nil || strings.IndexByte(segment, '%') < 0 {
		return next
	}
	var buf [maxSegment]byte
	b := buf[:0]
	for i := 0; i < len(segment); {
		if len(b) == len(buf) {
			return nil // no template has so long a segment
		}
		c, size := decode(segment[i:])
		b = append(b, c)
		i += size
	}
	return n.literals[string(b)]
}

// template returns the learned template of a path, or "".
func (n *node) template(path []string) string {
	if len(path) == 0 {
		return n.route
	}
	if next := n.literal(path[0]); next != nil {
		if route := next.template(path[1:]); route != "" {
			return route
		}
	}
	if n.any != nil {
		return n.any.template(path[1:])
	}
	return ""
}

func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
