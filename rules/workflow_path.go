package rules

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// part reads a path or a part of one, nil after an error. Parts nest:
//
//	checkout                               a step, once
//	coupon?   cart+   cart*                at most once; once or more; any number of times
//	[cart, checkout]                       one after the other
//	{optional: [coupon, gift]}             or not at all
//	{choice: [card, invoice]}              one of them
//	{unordered: [address, shipping?]}      each once, in any order; at most 6
//	{repeat: [item, size]}                 once or more
//	{repeat: item, at_least: 2, at_most: 5}
//
// In choice and unordered every item is a part of its own, so that a sequence there is a list within the list.
func (r *reader) part(s *workflowSpec, n ast.Node) part {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.SequenceNode:
		return r.sequence(s, n)
	case *ast.MappingNode, *ast.MappingValueNode:
		return r.compound(s, n)
	}
	word := r.text(n, "a step of the path", "")
	if word == "" {
		return nil
	}
	name := strings.TrimRight(word, "?+*")
	sym, ok := r.symbol(s, n, name, "path")
	if !ok {
		return nil
	}
	switch word[len(name):] {
	case "":
		return pathStep(sym)
	case "?":
		return pathRepeat{pathStep(sym), 0, 1}
	case "+":
		return pathRepeat{pathStep(sym), 1, 0}
	case "*":
		return pathRepeat{pathStep(sym), 0, 0}
	}
	r.errorf(n, "path: a step can be followed by one of ?, + and *, not by %q", word[len(name):])
	return nil
}

// sequence reads a list of parts. After an error it returns nil.
func (r *reader) sequence(s *workflowSpec, n ast.Node) part {
	parts := r.parts(s, n, "path")
	if parts == nil {
		return nil
	}
	return pathSequence(parts)
}

// parts reads every item as a part. After an error, and for an empty list, it returns nil.
func (r *reader) parts(s *workflowSpec, n ast.Node, what string) []part {
	since := len(*r.errs)
	var parts []part
	for _, item := range r.items(n, what) {
		parts = append(parts, r.part(s, item))
	}
	if r.failed(since) {
		return nil
	}
	return parts
}

// compound reads the parts that are written as a mapping.
func (r *reader) compound(s *workflowSpec, n ast.Node) part {
	const what = "a part of the path"
	o := r.object(n, what, "optional", "choice", "unordered", "repeat", "at_least", "at_most")
	var word string
	for _, key := range []string{"optional", "choice", "unordered", "repeat"} {
		if !o.has(key) {
			continue
		}
		if word != "" {
			r.errorf(n, "%s is either %s or %s: write them as two parts", what, word, key)
			return nil
		}
		word = key
	}
	if word != "repeat" && (o.has("at_least") || o.has("at_most")) {
		r.errorf(n, "at_least and at_most belong to repeat")
		return nil
	}
	value := o.get(word)
	switch word {
	case "optional":
		return repeated(r.part(s, value), 0, 1)
	case "repeat":
		return r.repeat(s, o)
	case "choice":
		return choice(r.several(s, value, word))
	case "unordered":
		return r.unordered(s, value)
	}
	if len(o.keys) == 0 && len(r.entriesOf(n)) == 0 {
		r.errorf(n, "%s needs one of the keys optional, choice, unordered and repeat", what)
	}
	return nil
}

func repeated(x part, least, most int) part {
	if x == nil {
		return nil
	}
	return pathRepeat{x, least, most}
}

func choice(parts []part) part {
	if parts == nil {
		return nil
	}
	return pathChoice(parts)
}

func (r *reader) repeat(s *workflowSpec, o object) part {
	least := r.integer(o.get("at_least"), "at_least", 0, maxRepeat, 1)
	most := r.integer(o.get("at_most"), "at_most", 1, maxRepeat, 0)
	if most != 0 && most < least {
		r.errorf(o.get("at_most"), "at_most is %d, less than at_least, which is %d", most, least)
		return nil
	}
	return repeated(r.part(s, o.get("repeat")), least, most)
}

func (r *reader) unordered(s *workflowSpec, n ast.Node) part {
	parts := r.several(s, n, "unordered")
	if len(parts) > maxUnordered {
		r.errorf(n, "unordered has %d parts, more than %d", len(parts), maxUnordered)
		return nil
	}
	if parts == nil {
		return nil
	}
	return pathUnordered(parts)
}

// several reads the parts of a choice or of unordered, of which one makes no sense.
func (r *reader) several(s *workflowSpec, n ast.Node, what string) []part {
	if n == nil {
		return nil // reported
	}
	if list, ok := n.(*ast.SequenceNode); !ok || len(list.Values) == 1 {
		r.errorf(n, "%s needs a list of at least two parts", what)
		return nil
	}
	return r.parts(s, n, what)
}

// mentions reports whether a step stands in a path.
func mentions(p part, sym uint8) bool {
	var list []part
	switch p := p.(type) {
	case pathStep:
		return uint8(p) == sym
	case pathRepeat:
		return mentions(p.part, sym)
	case pathSequence:
		list = p
	case pathChoice:
		list = p
	case pathUnordered:
		list = p
	}
	for _, x := range list {
		if mentions(x, sym) {
			return true
		}
	}
	return false
}
