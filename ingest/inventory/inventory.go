package inventory

import (
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Inventory finds operations. It is immutable and shared between goroutines.
type Inventory struct {
	operations []Operation
	tree       *node
	learned    *node // templates that no specification names
	warnings   []string
	specified  bool // there are specifications: what they do not name is unregistered
}

// Operation is one operation as a specification names it.
type Operation struct {
	event.Operation
	Method string // upper case
	File   string // of the specification
	Line   int    // of the path in it
}

// unregistered is what is known of a request that no specification names.
var unregistered = &event.Operation{}

// Operations lists what the specifications name, in their order. The caller must not change it.
func (v *Inventory) Operations() []Operation { return v.operations }

// Warnings says what of the specifications was left out, though it is no error.
func (v *Inventory) Warnings() []string { return v.warnings }

// Specified reports whether there are any specifications. Without them nothing is said of operations: everything would be
// unregistered.
func (v *Inventory) Specified() bool { return v != nil && v.specified }

// Find returns what is known of a request: nil when there are no specifications. logged is the route that the gateway logged, or
// "": a path that the gateway has rewritten is found by it. Find does not allocate, and is safe for concurrent use.
//
// Answers are not remembered: most paths hold an id and never come again, and a look-up costs as much as a cache.
func (v *Inventory) Find(method, path, logged string) *event.Operation {
	if !v.Specified() {
		return nil
	}
	if i := v.find(method, path, logged); i >= 0 {
		return &v.operations[i].Operation
	}
	return unregistered
}

func (v *Inventory) find(method, path, logged string) int {
	var p segments
	if p.read(path) {
		if i := v.tree.find(p.list(), method); i >= 0 {
			return i
		}
	}
	if logged == "" || catchesAll(logged) || !p.read(logged) {
		return -1
	}
	return v.tree.find(p.list(), method)
}

// catchesAll reports whether a route of a gateway stands for more than one segment somewhere: it says nothing about which
// operation was called.
func catchesAll(route string) bool {
	return strings.Contains(route, "*") || strings.Contains(route, "+}")
}

// Route returns the learned template of a path, or "".
func (v *Inventory) Route(path string) string {
	if v == nil || v.learned == nil {
		return ""
	}
	var p segments
	if !p.read(path) {
		return ""
	}
	return v.learned.template(p.list())
}
