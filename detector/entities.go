package detector

import (
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// Entities finds out which entities an event belongs to, as the engine does, without an engine: for whoever has to bring the
// events of an entity together. One goroutine uses it.
type Entities struct {
	groups  []*group
	matcher *rules.Matcher
	buffer  []byte
}

// NewEntities returns the Entities of a rule set.
func NewEntities(set *rules.Set) *Entities {
	return &Entities{groups: compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{}).groups, matcher: set.NewMatcher()}
}

// Kinds lists the kinds of entities that the rules watch.
func (n *Entities) Kinds() []string {
	kinds := make([]string, len(n.groups))
	for i, g := range n.groups {
		kinds[i] = g.kind
	}
	return kinds
}

// Of calls each with every entity of the event that a rule which matches it watches: the place of its kind in Kinds, and its
// name, which is valid during the call.
func (n *Entities) Of(e *event.Event, each func(kind int, name string)) {
	mask := n.matcher.Match(e)
	for i, g := range n.groups {
		if !g.concerned(mask) {
			continue
		}
		if name := g.name(e, &n.buffer); name != "" {
			each(i, name)
		}
	}
}

// concerned reports whether a rule of the group is among those of the mask.
func (g *group) concerned(mask []uint64) bool {
	for w, word := range mask {
		if word&g.mask[w] != 0 {
			return true
		}
	}
	return false
}
