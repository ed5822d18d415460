package blindspot

import (
	"cmp"
	"slices"
)

// members are those of a set that are concerned: a sorted list, or all.
type members[T cmp.Ordered] struct {
	All  bool `json:"all,omitempty"`
	List []T  `json:"list,omitempty"`
}

// add joins v, or all. A set of more than most is all: that claims too much, where a cut list would claim too little.
func (m *members[T]) add(v T, all bool, most int) {
	if m.All {
		return
	}
	at, found := slices.BinarySearch(m.List, v)
	if all || !found && len(m.List) >= most {
		m.All, m.List = true, nil
		return
	}
	if !found {
		m.List = slices.Insert(m.List, at, v)
	}
}

// named returns the list; all have no names.
func (m *members[T]) named() []T { return slices.Clone(m.List) }

// listed is what names says: without names, all.
func listed[T cmp.Ordered](names []T) members[T] {
	return members[T]{All: len(names) == 0, List: slices.Clone(names)}
}

// valid says whether add could have made m.
func (m *members[T]) valid(most int) bool {
	if m.All {
		return len(m.List) == 0
	}
	return len(m.List) <= most && slices.IsSorted(m.List)
}

// join adds all of other.
func (m *members[T]) join(other members[T], most int) {
	m.All = m.All || other.All
	if m.All {
		m.List = nil
	}
	for _, v := range other.List {
		m.add(v, false, most)
	}
}
