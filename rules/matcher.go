package rules

import (
	"math/bits"
	"slices"

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
	rules      []*Rule
	vocabulary *vocabulary
	api        bool // some rule asks for api or environment: else they are no part of a combination
	sets       [][ways]combination
	path       spelling
	room       room
	result     []uint64
}

const (
	matcherSets = 1024 // a power of two; with the ways half a megabyte, and some 200 bytes for each place in use
	ways        = 4

	// maxRemembered is the longest route, and the longest of the other texts, that is remembered.
	maxRemembered = 256
)

// combination is what is known about one combination of environment, api, method, route and status.
type combination struct {
	key    []byte // the texts one after another; nil: the place is free
	ends   [4]uint16
	status int32
	used   bool // since it last survived a search for a free place

	shape shape

	answers [pathKinds]*answer // by what [shape.classify] says of the path; nil: never asked for
}

// answer is what a combination says about each rule for one kind of path. It is worked out when it is first asked for.
type answer struct {
	known    bool
	possible []uint64 // rules that are not ruled out
	open     []uint64 // those of them whose route conditions are left undecided
	late     []uint64 // those of them whose other conditions are
}

// NewMatcher makes a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	words := (len(s.Rules) + 63) / 64
	m := &Matcher{rules: s.Rules, vocabulary: newVocabulary(s.Rules), result: make([]uint64, words)}
	for _, r := range s.Rules {
		m.api = m.api || slices.ContainsFunc(r.Filter.Fields(), func(f event.Field) bool {
			return f.Kind() == event.API || f.Kind() == event.Environment
		})
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
	a := c.answer(m.rules, e, c.shape.classify(e.Route, e.Path, m.vocabulary))
	read := false
	for w, possible := range a.possible {
		open, late := a.open[w], a.late[w]
		test := open | late
		matched := possible &^ test
		for ; test != 0; test &= test - 1 {
			bit := test & -test
			f := m.rules[w<<6|bits.TrailingZeros64(test)].Filter
			if open&bit != 0 && !read {
				m.path = spell(e.Path, &m.room)
				read = true
			}
			if (open&bit == 0 || m.matchRoutes(f, e)) && (late&bit == 0 || matchLate(f, e)) {
				matched |= bit
			}
		}
		m.result[w] = matched
	}
	return m.result
}

func (m *Matcher) matchRoutes(f *Filter, e *event.Event) bool {
	for _, c := range f.routes {
		if !c.matchFurther(e, &m.path) {
			return false
		}
	}
	return true
}

func matchLate(f *Filter, e *event.Event) bool {
	for _, c := range f.late {
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
	if len(e.Route) > maxRemembered || len(e.Method) > maxRemembered {
		return nil
	}
	texts := [4]string{e.Route, e.Method}
	h := xxh3.HashStringSeed(e.Route, uint64(uint32(e.Status))|initial(e.Method)<<32)
	if m.api {
		if len(e.API) > maxRemembered || len(e.Environment) > maxRemembered {
			return nil
		}
		texts[2], texts[3] = e.API, e.Environment
		h = xxh3.HashStringSeed(e.API, h)
		h = xxh3.HashStringSeed(e.Environment, h)
	}
	set := &m.sets[h&(matcherSets-1)]
	for i := range set {
		if set[i].is(&texts, e.Status) {
			set[i].used = true
			return &set[i]
		}
	}
	c := victim(set)
	c.learn(&texts, e)
	return c
}

// initial tells the usual methods apart.
func initial(method string) uint64 {
	if len(method) < 2 {
		return 0
	}
	return uint64(method[0])<<8 | uint64(method[1])
}

// victim chooses the place for a new combination: a free one, else one that was not used since the last search, so that a
// flood of combinations that never come again pushes out each other.
func victim(set *[ways]combination) *combination {
	for i := range set {
		if set[i].key == nil {
			return &set[i]
		}
	}
	for i := range set {
		if !set[i].used {
			return &set[i]
		}
	}
	for i := range set {
		set[i].used = false
	}
	return &set[0]
}
