package rules

import (
	"encoding/binary"
	"errors"
	"time"
)

// flow is one workflow and its own minimal automaton, whose states are where a run can be. A run never needs to reach the end
// of its path: what counts is which steps it allows next, so that there are no accepting states.
type flow struct {
	name    string
	path    part
	timeout time.Duration
	steps   map[uint8]time.Duration // step timeouts that differ from the workflow's

	next     [][]int16       // state × symbol; none where the step is not allowed. State 0 has not begun.
	progress []time.Duration // by state: how long a run may stay there
	distance []int           // by state: the fewest steps that lead there
	most     int             // runs at once
}

const none = -1

var (
	errLongPath   = errors.New("the path is too long")
	errManyStates = errors.New("there are too many states")
)

// stepTimeout is how long progress is good after a step.
func (f *flow) stepTimeout(sym uint8) time.Duration {
	if d, ok := f.steps[sym]; ok {
		return d
	}
	return f.timeout
}

// over reports whether a run in the state cannot go on.
func (f *flow) over(state int16) bool {
	for _, to := range f.next[state] {
		if to != none {
			return false
		}
	}
	return true
}

// compile makes the automaton for the given number of symbols.
func (f *flow) compile(symbols int) error {
	var p positions
	whole := f.path.build(&p)
	if p.full {
		return errLongPath
	}
	next, progress, err := f.subsets(&p, whole.first, symbols)
	if err != nil {
		return err
	}
	kinds := make([]string, len(next))
	for state, d := range progress {
		kinds[state] = string(binary.AppendVarint(nil, int64(d)))
	}
	class, members := minimise(next, kinds)
	f.next, f.progress = make([][]int16, len(members)), make([]time.Duration, len(members))
	for i, member := range members {
		f.progress[i] = progress[member]
		f.next[i] = make([]int16, symbols)
		for sym, to := range next[member] {
			f.next[i][sym] = none
			if to != none {
				f.next[i][sym] = int16(class[to])
			}
		}
	}
	f.measure()
	return f.choose()
}

// subsets is the subset construction. A state also remembers the timeout of the step that led to it.
func (f *flow) subsets(p *positions, first positionSet, symbols int) (next [][]int32, progress []time.Duration, err error) {
	type subset struct {
		follow   positionSet // what may come next, as a set of positions
		progress time.Duration
	}
	list := []subset{{follow: first}}
	known := map[subset]int32{list[0]: 0}
	for i := 0; i < len(list); i++ {
		reached := make([]positionSet, symbols)
		allowed := make([]bool, symbols)
		for at := range list[i].follow.each {
			sym := p.symbols[at]
			allowed[sym] = true
			reached[sym].addAll(&p.follow[at])
		}
		row := make([]int32, symbols)
		for sym := range row {
			if row[sym] = none; !allowed[sym] {
				continue
			}
			to := subset{reached[sym], f.stepTimeout(uint8(sym))}
			number, ok := known[to]
			if !ok {
				number = int32(len(list))
				list, known[to] = append(list, to), number
			}
			row[sym] = number
		}
		next, progress = append(next, row), append(progress, list[i].progress)
		if len(list) > maxStates {
			return nil, nil, errManyStates
		}
	}
	return next, progress, nil
}

// measure finds the distances by breadth-first search, which the states are numbered by.
func (f *flow) measure() {
	f.distance = make([]int, len(f.next))
	seen := make([]bool, len(f.next))
	seen[0] = true
	for state, row := range f.next {
		for _, to := range row {
			if to != none && !seen[to] {
				seen[to], f.distance[to] = true, f.distance[state]+1
			}
		}
	}
}

// minimise merges the states of a deterministic automaton that no sequence of symbols tells apart, given what each state is
// by itself. It returns the class of each state and one member of each class; classes are numbered in the order in which a
// breadth-first search from state 0 meets them.
func minimise(next [][]int32, kinds []string) (class []int32, members []int32) {
	class, count := number(kinds)
	for {
		refined, more := number(signatures(next, class))
		if more == count {
			return renumber(next, class, count)
		}
		class, count = refined, more
	}
}

// signatures describes each state by its class and the classes that its symbols lead to.
func signatures(next [][]int32, class []int32) []string {
	all := make([]string, len(next))
	var b []byte
	for state, row := range next {
		b = binary.AppendVarint(b[:0], int64(class[state]))
		for _, to := range row {
			if to != none {
				to = class[to]
			}
			b = binary.AppendVarint(b, int64(to))
		}
		all[state] = string(b)
	}
	return all
}

// number gives equal texts equal numbers.
func number(texts []string) (numbers []int32, count int) {
	known := map[string]int32{}
	numbers = make([]int32, len(texts))
	for i, s := range texts {
		n, ok := known[s]
		if !ok {
			n = int32(len(known))
			known[s] = n
		}
		numbers[i] = n
	}
	return numbers, len(known)
}

func renumber(next [][]int32, class []int32, count int) (numbered []int32, members []int32) {
	order := make([]int32, count)
	for i := range order {
		order[i] = none
	}
	meet := func(state int32) {
		if state != none && order[class[state]] == none {
			order[class[state]] = int32(len(members))
			members = append(members, state)
		}
	}
	meet(0)
	for i := 0; i < len(members); i++ {
		for _, to := range next[members[i]] {
			meet(to)
		}
	}
	numbered = make([]int32, len(class))
	for state := range class {
		numbered[state] = order[class[state]]
	}
	return numbered, members
}
