package rules

import (
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Automaton is the deterministic, minimal automaton of one rule's workflows. It is immutable and shared between goroutines;
// what is known of one session is a state number, the time of its last step and the time at which a workflow began.
//
// A run is one passage through one workflow, somewhere between its first step and its last. A state stands for the set of
// runs under way, and for the guarded step that has just been taken, if it was one. A step then does this:
//
//   - Every run that allows the step goes on with it, and in every workflow that begins with the step a new run begins: a
//     workflow may begin at any time. Runs that do not allow the step stay where they are, because sessions do several
//     things at once, in two tabs for instance. When anything moved, the verdict is [Advance].
//   - Otherwise nothing changes. A guarded step that is repeated right after itself is a [Retry]; any other guarded step is
//     a [Violation]; a step without a guard is no matter ([Stay]).
//
// Of one workflow two runs are followed at once, the one that has come furthest and the one begun last: of three tabs in the
// same workflow one may be forgotten. Where a workflow begins over and over with its own steps it is more, as many as it takes
// that a session which does nothing but this workflow is never accused. A run that cannot go on is over and allows nothing
// any more. An event that matches no step is no symbol and changes nothing.
//
// The states are found by the subset construction (Rabin and Scott, Finite Automata and Their Decision Problems, 1959), from
// the position automata of the paths (Glushkov, The Abstract Theory of Automata, 1961), and merged by partition refinement
// (Moore, Gedanken-experiments on Sequential Machines, 1956). States are numbered in the order in which a breadth-first
// search meets them, so that workflows which are written differently and allow the same give the same automaton.
type Automaton struct {
	names    []string
	matchers []*Filter
	guarded  []bool // by symbol
	begins   []bool // by symbol: some workflow begins with it
	required [][]uint8
	flows    []*flow // for drawing
	grace    time.Duration

	cells    []uint16        // state × symbol: the next state, and the verdict in the two highest bits
	progress []time.Duration // by state: how long after its last step it is good
	total    []time.Duration // by state: how long after its beginning it is good
}

// Verdict says what a step means in a state.
type Verdict uint8

// The verdicts on a step.
const (
	Advance   Verdict = iota // a workflow allows it: the state is the next one, which may be the same
	Stay                     // no workflow allows it here and it is not guarded: nothing changes
	Retry                    // a guarded step once more, right after itself: nothing changes
	Violation                // a guarded step on a path that no workflow allows: nothing changes
)

const (
	verdictShift = 14
	maxStates    = 1 << 13 // fits below the verdict, and keeps the largest table at half a megabyte
)

// Symbol returns the step that the event is; ok is false when it is none. When several steps match, the one declared first
// counts. It does not allocate.
func (a *Automaton) Symbol(e *event.Event) (sym uint8, ok bool) {
	for i, m := range a.matchers {
		if m.Match(e) {
			return uint8(i), true
		}
	}
	return 0, false
}

// Start is the state in which nothing has begun.
func (*Automaton) Start() uint16 { return 0 }

// Next returns the state after a step and what the step means. With any verdict but [Advance] the state is unchanged.
func (a *Automaton) Next(state uint16, sym uint8) (next uint16, verdict Verdict) {
	cell := a.cells[int(state)*len(a.names)+int(sym)]
	return cell & (1<<verdictShift - 1), Verdict(cell >> verdictShift)
}

// Begins reports whether a workflow begins with the step. The time since the start counts from the last such step, also when
// older runs are still under way: too long a memory misses little, too short a memory accuses the innocent.
func (a *Automaton) Begins(sym uint8) bool { return a.begins[sym] }

// Expired reports whether all progress is lost, so that the state is [Automaton.Start] again: more time than the steps allow
// has passed since the last step that was an [Advance] or [Retry], or more than the workflows allow since the last step that
// [Automaton.Begins] one. When several runs are under way the longest of their times counts.
func (a *Automaton) Expired(state uint16, sinceLast, sinceStart time.Duration) bool {
	return state != a.Start() && (sinceLast > a.progress[state] || sinceStart > a.total[state])
}

// Expected returns the names of the steps that some workflow allows now, sorted. Those that begin a workflow are always
// among them.
func (a *Automaton) Expected(state uint16) []string {
	var names []string
	for sym := range a.names {
		if _, verdict := a.Next(state, uint8(sym)); verdict == Advance {
			names = append(names, a.names[sym])
		}
	}
	slices.Sort(names)
	return names
}

// Required returns the names along a shortest path that ends with the step, the step included.
func (a *Automaton) Required(sym uint8) []string {
	names := make([]string, len(a.required[sym]))
	for i, s := range a.required[sym] {
		names[i] = a.names[s]
	}
	return names
}

// StepName returns the name of a step.
func (a *Automaton) StepName(sym uint8) string { return a.names[sym] }

// Symbols is the number of steps: valid symbols are below it.
func (a *Automaton) Symbols() int { return len(a.names) }

// States is the number of states: valid states are below it.
func (a *Automaton) States() int { return len(a.progress) }

// Grace is how long a violation waits for steps whose logs come late.
func (a *Automaton) Grace() time.Duration { return a.grace }

// AppendFingerprint appends a form that is equal for automata that do the same, state numbers included. Names do not enter;
// the order of the steps does, because of steps that match the same event the first counts.
func (a *Automaton) AppendFingerprint(b []byte) []byte {
	b = appendInt(b, len(a.matchers))
	for _, m := range a.matchers {
		b = appendString(b, string(m.appendTo(nil)))
	}
	b = appendInt(b, a.States())
	for _, cell := range a.cells {
		b = appendInt(b, int(cell))
	}
	for state := range a.progress {
		b = appendInt(appendInt(b, int(a.progress[state])), int(a.total[state]))
	}
	for _, begins := range a.begins {
		b = appendBool(b, begins)
	}
	return appendInt(b, int(a.grace))
}
