package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// reader turns YAML nodes into values and collects what is wrong with them, so that all defects are reported at once.
//
// Its methods take the node, what the value is called in messages, and bounds. A nil node is an absent value: it gives the
// default and no error. After an error they return the default too, so that reading can go on.
type reader struct {
	file string
	rule string // id of the rule being read, "" outside of rules
	errs *Errors

	lacks bool // a needed value of the rule being read is missing, which has been reported
}

// errorf reports a defect at the node.
func (r *reader) errorf(n ast.Node, format string, args ...any) {
	line, column := position(n)
	*r.errs = append(*r.errs, Error{r.file, line, column, r.rule, fmt.Sprintf(format, args...)})
}

// failed reports whether anything was wrong since the given number of errors, or a needed value is missing: that may have
// been reported before, as a key without a value or a misspelt one.
func (r *reader) failed(since int) bool { return len(*r.errs) > since || r.lacks }

// position returns where a reader of the file sees the node begin. The parser's own answer for a mapping is its first
// colon.
func position(n ast.Node) (line, column int) {
	switch n := n.(type) {
	case nil:
		return 0, 0
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0])
		}
	case *ast.MappingValueNode:
		if n.Key != nil {
			return position(n.Key)
		}
	}
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return 0, 0
	}
	return tk.Position.Line, max(1, tk.Position.Column)
}

// entry is one key of a mapping and its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node // nil when the file gives none
}

// entries reads any mapping, in file order. Duplicate keys and keys without a value are reported, the latter have a nil
// value.
func (r *reader) entries(n ast.Node, what string) []entry {
	if n == nil {
		return nil
	}
	pairs, ok := mapping(n)
	if !ok {
		r.errorf(n, "%s must be a mapping (key: value), not %s", what, kindOf(n))
	}
	var all []entry
	seen := make(map[string]int, len(pairs))
	for _, p := range pairs {
		name, ok := scalar(p.Key)
		if !ok {
			r.errorf(p, "a key of %s must be a word", what)
			continue
		}
		if line, twice := seen[name]; twice {
			r.errorf(p, "key %q is given twice, first in line %d", name, line)
			continue
		}
		seen[name], _ = position(p)
		value := p.Value
		if value == nil || value.Type() == ast.NullType {
			r.errorf(p, "key %q has no value", name)
			value = nil
		}
		all = append(all, entry{name, p.Key, value})
	}
	return all
}

// mapping returns the pairs of a mapping; ok is false for any other node.
func mapping(n ast.Node) (pairs []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// object is a mapping with known keys.
type object struct {
	node   ast.Node
	fields map[string]ast.Node
	keys   map[string]ast.Node
}

// object reads a mapping whose keys must be among the known ones.
func (r *reader) object(n ast.Node, what string, known ...string) object {
	o := object{node: n, fields: map[string]ast.Node{}, keys: map[string]ast.Node{}}
	for _, e := range r.entries(n, what) {
		if !slices.Contains(known, e.name) {
			r.errorf(e.key, "unknown key %q in %s%s", e.name, what, nearestOr(e.name, known))
			o.misspelt(e, known)
			continue
		}
		o.fields[e.name], o.keys[e.name] = e.value, e.key
	}
	return o
}

// misspelt notes that the key which was probably meant stands in the file, without a value that can be used: one mistake is
// one error.
func (o object) misspelt(e entry, known []string) {
	if key := meant(e.name, known); key != "" && !o.has(key) {
		o.keys[key] = e.key
	}
}

// nearestOr suggests the nearest known name, or lists all when none is near.
func nearestOr(s string, known []string) string {
	if hint := nearest(s, known); hint != "" {
		return hint
	}
	return "; known are " + strings.Join(known, ", ")
}

// get returns the value of a key, nil when absent.
func (o object) get(key string) ast.Node { return o.fields[key] }

// has reports whether the key stands in the file, with or without a value.
func (o object) has(key string) bool { return o.keys[key] != nil }

// need returns the value of a key and reports when the key is missing.
func (r *reader) need(o object, what, key string) ast.Node {
	if !o.has(key) && o.node != nil {
		r.errorf(o.node, "%s needs the key %q", what, key)
	}
	value := o.get(key)
	r.lacks = r.lacks || value == nil
	return value
}

// items returns the items of a list, or the node alone when it is no list: one value is a list of one.
func (r *reader) items(n ast.Node, what string) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	switch {
	case n == nil:
		return nil
	case !ok:
		return []ast.Node{n}
	case len(s.Values) == 0:
		r.errorf(n, "%s is an empty list", what)
	}
	items := make([]ast.Node, 0, len(s.Values))
	for _, v := range s.Values {
		if v == nil || v.Type() == ast.NullType {
			r.errorf(n, "%s has an empty item", what)
			continue
		}
		items = append(items, v)
	}
	return items
}

// text reads one scalar as text. Numbers and booleans are text too, as they stand in the file.
func (r *reader) text(n ast.Node, what, absent string) string {
	if n == nil {
		return absent
	}
	s, ok := scalar(n)
	switch {
	case !ok:
		r.errorf(n, "%s must be text, not %s", what, kindOf(n))
	case strings.TrimSpace(s) == "":
		r.errorf(n, "%s is empty", what)
	default:
		return s
	}
	return absent
}

// texts reads one text or a list of texts.
func (r *reader) texts(n ast.Node, what string) []string {
	var all []string
	for _, item := range r.items(n, what) {
		if s := r.text(item, what, ""); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// choice reads a text that must be one of the allowed ones.
func (r *reader) choice(n ast.Node, what, absent string, allowed ...string) string {
	s := r.text(n, what, absent)
	if n == nil || slices.Contains(allowed, s) {
		return s
	}
	if _, ok := scalar(n); ok {
		r.errorf(n, "%s must be one of %s, not %q%s", what, strings.Join(allowed, ", "), s, nearest(s, allowed))
	}
	return absent
}

// boolean reads true or false.
func (r *reader) boolean(n ast.Node, what string, absent bool) bool {
	b, ok := n.(*ast.BoolNode)
	switch {
	case n == nil:
		return absent
	case !ok:
		r.errorf(n, "%s must be true or false, not %s", what, kindOf(n))
		return absent
	}
	return b.Value
}

// integer reads a whole number within [low, high]. Underscores may group its digits.
func (r *reader) integer(n ast.Node, what string, low, high, absent int) int {
	if n == nil {
		return absent
	}
	s, _ := scalar(n)
	v, err := parseInteger(s)
	switch {
	case err != nil:
		r.errorf(n, "%s must be a whole number, not %s", what, kindOf(n))
	case v < low || v > high:
		r.errorf(n, "%s must be between %d and %d, not %d", what, low, high, v)
	default:
		return v
	}
	return absent
}

// parseInteger refuses 0x10 and 010 on purpose: what they mean depends on the YAML version.
func parseInteger(s string) (int, error) {
	digits := strings.TrimPrefix(s, "-")
	if strings.HasPrefix(digits, "+") || len(digits) > 1 && digits[0] == '0' {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(strings.ReplaceAll(s, "_", ""))
}

// number reads a number within [low, high].
func (r *reader) number(n ast.Node, what string, low, high, absent float64) float64 {
	if n == nil {
		return absent
	}
	s, _ := scalar(n)
	v, err := parseNumber(s)
	switch {
	case err != nil:
		r.errorf(n, "%s must be a number, not %s", what, kindOf(n))
	case v < low || v > high:
		r.errorf(n, "%s must be between %s and %s, not %s", what, formatNumber(low), formatNumber(high), s)
	default:
		return v
	}
	return absent
}

// duration reads a duration such as 30s, 5m, 1h30m or 7d within [low, high].
func (r *reader) duration(n ast.Node, what string, low, high, absent time.Duration) time.Duration {
	if n == nil {
		return absent
	}
	s, _ := scalar(n)
	v, err := parseDuration(s)
	switch {
	case err != nil:
		r.errorf(n, "%s must be a duration such as 30s, 5m, 1h30m or 7d, not %s", what, kindOf(n))
	case v < low || v > high:
		r.errorf(n, "%s must be between %s and %s, not %s", what, formatDuration(low), formatDuration(high), s)
	default:
		return v
	}
	return absent
}

// scalar returns the text of a scalar node as it stands in the file, without quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", false
		}
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// kindOf describes a node in an error message.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	}
	if _, ok := mapping(n); ok {
		return "a mapping"
	}
	if s, ok := scalar(n); ok {
		return strconv.Quote(shorten(s))
	}
	return "this"
}

// shorten cuts text that is quoted in a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
