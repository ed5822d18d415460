package rules

import (
	"encoding/binary"
	"slices"
	"time"
)

// workflowSpec is what a workflow rule declares, read and checked.
type workflowSpec struct {
	names    []string // in the order of declaration, which numbers the symbols
	matchers []*Filter
	guarded  []bool // by symbol
	flows    []*flow
	grace    time.Duration
}

// compile makes the automaton of all workflows together. Their own automata must have been compiled.
func (s *workflowSpec) compile() (*Automaton, error) {
	next, situations, err := s.explore()
	if err != nil {
		return nil, err
	}
	kinds, targets := make([]string, len(next)), make([][]int32, len(next))
	for i, row := range next {
		kinds[i] = s.kind(&situations[i], row)
		for _, to := range row {
			targets[i] = append(targets[i], to.state)
		}
	}
	class, members := minimise(targets, kinds)
	a := &Automaton{names: s.names, matchers: s.matchers, guarded: s.guarded, flows: s.flows, grace: s.grace, begins: s.begins()}
	for _, member := range members {
		for _, to := range next[member] {
			a.cells = append(a.cells, uint16(class[to.state])|uint16(to.verdict)<<verdictShift)
		}
		progress, total := s.times(&situations[member])
		a.progress, a.total = append(a.progress, progress), append(a.total, total)
	}
	a.required = a.shortest()
	return a, nil
}

// situation is a state before minimisation.
type situation struct {
	runs [][]int16 // by workflow: where its runs are, sorted
	last int       // the guarded step that was the last to advance, or none
}

// target is where a step leads.
type target struct {
	state   int32
	verdict Verdict
}

// explore finds all situations that steps can lead to.
func (s *workflowSpec) explore() (next [][]target, list []situation, err error) {
	list = []situation{{make([][]int16, len(s.flows)), none}}
	known := map[string]int32{list[0].key(): 0}
	for i := 0; i < len(list); i++ {
		row := make([]target, len(s.names))
		for sym := range s.names {
			to, verdict := s.step(&list[i], uint8(sym))
			row[sym] = target{int32(i), verdict}
			if verdict != Advance {
				continue
			}
			key := to.key()
			number, ok := known[key]
			if !ok {
				number = int32(len(list))
				list, known[key] = append(list, to), number
			}
			row[sym].state = number
		}
		next = append(next, row)
		if len(list) > maxStates {
			return nil, nil, errManyStates
		}
	}
	return next, list, nil
}

func (at *situation) key() string {
	b := binary.AppendVarint(nil, int64(at.last))
	for _, runs := range at.runs {
		b = appendRuns(b, runs)
	}
	return string(b)
}

// step is the definition of [Automaton.Next].
func (s *workflowSpec) step(at *situation, sym uint8) (situation, Verdict) {
	to := situation{make([][]int16, len(s.flows)), none}
	moved := false
	for i, f := range s.flows {
		runs, any := f.step(at.runs[i], sym)
		to.runs[i] = runs
		moved = moved || any
	}
	switch {
	case moved && s.guarded[sym]:
		to.last = int(sym)
		return to, Advance
	case moved:
		return to, Advance
	case !s.guarded[sym]:
		return *at, Stay
	case at.last == int(sym):
		return *at, Retry
	}
	return *at, Violation
}

// times is how long a situation is good, after the last step and after the beginning: the longest of its runs' times, and of
// the step that may be repeated.
func (s *workflowSpec) times(at *situation) (progress, total time.Duration) {
	for i, f := range s.flows {
		for _, run := range at.runs[i] {
			progress, total = max(progress, f.progress[run]), max(total, f.timeout)
		}
		if at.last != none && f.uses(uint8(at.last)) {
			progress, total = max(progress, f.stepTimeout(uint8(at.last))), max(total, f.timeout)
		}
	}
	return progress, total
}

// uses reports whether the step stands in the workflow's path.
func (f *flow) uses(sym uint8) bool {
	for _, row := range f.next {
		if row[sym] != none {
			return true
		}
	}
	return false
}

// kind tells situations apart that are not the same by themselves, whatever they lead to.
func (s *workflowSpec) kind(at *situation, row []target) string {
	progress, total := s.times(at)
	b := binary.AppendVarint(binary.AppendVarint(nil, int64(progress)), int64(total))
	for _, to := range row {
		b = append(b, byte(to.verdict))
	}
	return string(b)
}

func (s *workflowSpec) begins() []bool {
	begins := make([]bool, len(s.names))
	for _, f := range s.flows {
		for sym, to := range f.next[0] {
			begins[sym] = begins[sym] || to != none
		}
	}
	return begins
}

// shortest finds for each symbol a shortest path from the start that ends with it, by breadth-first search.
func (a *Automaton) shortest() [][]uint8 {
	found := make([][]uint8, len(a.names))
	paths := make([][]uint8, a.States())
	for state := range paths { // in the order of the search, see minimise
		for sym := range a.names {
			next, verdict := a.Next(uint16(state), uint8(sym))
			if verdict != Advance {
				continue
			}
			path := append(slices.Clip(paths[state]), uint8(sym))
			if found[sym] == nil {
				found[sym] = path
			}
			if next != 0 && paths[next] == nil {
				paths[next] = path
			}
		}
	}
	return found
}
