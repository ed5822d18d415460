package rules

import (
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Matcher finds the rules of a set whose filters match an event. One goroutine owns it.
//
// Most of what filters ask depends on environment, api, method, route and status alone, and few of the many possible
// combinations occur. What these decide is worked out once for each combination and remembered; only what is left is tested
// for every event. The memory is bounded: a caller who makes up routes can push entries out, but not those that are in use,
// and an event without an entry is merely slower.
type Matcher struct {
	rules  []*Rule
	late   []uint64 // rules with conditions that no combination decides
	sets   [][ways]combination
	result []uint64
}

const (
	matcherSets = 1024 // a power of two
	ways        = 2

	// maxRemembered is the longest route, and the longest of the other texts, that is remembered.
	maxRemembered = 512
)

// combination is what is known about one combination of environment, api, method, route and status.
type combination struct {
	key    []byte // the texts one after another; nil: the place is free
	ends   [4]uint16
	status int32
	used   bool // since it last survived a search for a free place

	shape shape

	// Two answers each: for a path that has the shape of the route, and for any other.
	// possible: rules that the combination does not rule out; open: those of them whose route conditions must be tested.
	possible, open [2][]uint64
}

const (
	anyPath = iota
	instancePath
)

// NewMatcher makes a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	words := (len(s.Rules) + 63) / 64
	m := &Matcher{rules: s.Rules, late: make([]uint64, words), result: make([]uint64, words)}
	for i, r := range s.Rules {
		if len(r.Filter.late) > 0 {
			m.late[i>>6] |= 1 << (i & 63)
		}
	}
	m.sets = make([][ways]combination, matcherSets)
	return m
}

// Match returns the rules that match the event: bit i%64 of word i/64 stands for rule i of the set. The slice is valid
// until the next call. Match does not allocate once it has seen the common combinations.
func (m *Matcher) Match(e *event.Event) []uint64 {
	c := m.find(e)
	if c == nil {
		return m.matchAll(e)
	}
	kind := anyPath
	if c.shape.contains(e.Route, e.Path) {
		kind = instancePath
	}
	for w, possible := range c.possible[kind] {
		test := possible & (c.open[kind][w] | m.late[w])
		matched := possible &^ test
		for ; test != 0; test &= test - 1 {
			bit := bits.TrailingZeros64(test)
			f := m.rules[w<<6|bit].Filter
			if (c.open[kind][w]&(1<<bit) == 0 || matchEach(f.routes, e)) && matchEach(f.late, e) {
				matched |= 1 << bit
			}
		}
		m.result[w] = matched
	}
	return m.result
}

func matchEach(list []condition, e *event.Event) bool {
	for _, c := range list {
		if !c.match(e) {
			return false
		}
	}
	return true
}

// matchAll is for events whose texts are too long to be remembered.
func (m *Matcher) matchAll(e *event.Event) []uint64 {
	clear(m.result)
	for i, r := range m.rules {
		if r.Filter.Match(e) {
			m.result[i>>6] |= 1 << (i & 63)
		}
	}
	return m.result
}

// find returns what is known about the event's combination, working it out when it is new, or nil when it is too long.
func (m *Matcher) find(e *event.Event) *combination {
	texts := [4]string{e.Route, e.API, e.Environment, e.Method}
	h := uint64(uint32(e.Status))
	for _, s := range texts {
		if len(s) > maxRemembered {
			return nil
		}
		h = xxh3.HashStringSeed(s, h)
	}
	set := &m.sets[h&(matcherSets-1)]
	for i := range set {
		if set[i].is(&texts, e.Status) {
			set[i].used = true
			return &set[i]
		}
	}
	c := victim(set)
	c.learn(m.rules, &texts, e)
	return c
}

// victim chooses the place for a new combination: a free one, else one that was not used since the last search, so that a
// flood of combinations that never come again pushes out each other.
func victim(set *[ways]combination) *combination {
	for i := range set {
		if set[i].key == nil || !set[i].used {
			return &set[i]
		}
	}
	for i := range set {
		set[i].used = false
	}
	return &set[0]
}
