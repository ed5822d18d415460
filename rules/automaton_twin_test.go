package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The slow and obvious twin of the automaton. It works on the paths themselves: what is left of a path after a step is a set
// of paths (Antimirov, Partial derivatives of regular expressions, 1996), two such sets are the same when no sequence of
// steps tells them apart, and runs are followed one by one, as the documentation of Automaton says.

// rest is what is left of a path: one of several lists of parts. Its text names it.
type rest map[string][]part

func (r rest) add(parts []part) { r[fmt.Sprintf("%#v", parts)] = parts }

func (r rest) String() string {
	var texts []string
	for text := range r {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, " | ")
}

func (r rest) after(sym uint8) rest {
	to := rest{}
	for _, parts := range r {
		for i, p := range parts {
			for _, left := range derive(p, sym) {
				to.add(slices.Concat(left, parts[i+1:]))
			}
			if !skippable(p) {
				break
			}
		}
	}
	return to
}

// derive returns what can be left of a part after a step, each as a list of parts.
func derive(p part, sym uint8) (all [][]part) {
	switch p := p.(type) {
	case pathStep:
		if uint8(p) == sym {
			return [][]part{nil}
		}
	case pathSequence:
		r := rest{}
		r.add(p)
		for _, left := range r.after(sym) {
			all = append(all, left)
		}
	case pathChoice:
		for _, x := range p {
			all = append(all, derive(x, sym)...)
		}
	case pathUnordered:
		for i, x := range p {
			others := slices.Delete(slices.Clone(p), i, i+1)
			for _, left := range derive(x, sym) {
				all = append(all, append(slices.Clone(left), others))
			}
		}
	case pathRepeat:
		more := []part{pathRepeat{p.part, max(0, p.least-1), p.most - 1}}
		if p.most == 1 {
			more = nil
		} else if p.most == 0 {
			more = []part{pathRepeat{p.part, max(0, p.least-1), 0}}
		}
		for _, left := range derive(p.part, sym) {
			all = append(all, slices.Concat(left, more))
		}
	}
	return all
}

func skippable(p part) bool {
	switch p := p.(type) {
	case pathSequence:
		return !slices.ContainsFunc(p, func(x part) bool { return !skippable(x) })
	case pathUnordered:
		return !slices.ContainsFunc(p, func(x part) bool { return !skippable(x) })
	case pathChoice:
		return slices.ContainsFunc(p, skippable)
	case pathRepeat:
		return p.least == 0 || skippable(p.part)
	}
	return false
}

// slowFlow is one workflow: the places that runs can be at, with what no sequence of steps tells apart taken as one.
type slowFlow struct {
	*flow
	places []slowPlace
	ranks  []int // by place: the order in which a breadth-first search meets it, which is also that of the distance
	far    []int // by place: the fewest steps to it
}

type slowPlace struct {
	left     rest
	progress time.Duration
	next     []int // by step; none where it is not allowed
}

func newSlowFlow(f *flow, symbols int) *slowFlow {
	s := &slowFlow{flow: f, places: []slowPlace{{left: rest{"path": {f.path}}}}}
	for i := 0; i < len(s.places); i++ {
		for sym := range symbols {
			to := s.places[i].left.after(uint8(sym))
			number := none
			if len(to) > 0 {
				number = s.place(to, f.stepTimeout(uint8(sym)))
			}
			s.places[i].next = append(s.places[i].next, number)
		}
	}
	s.merge(symbols)
	s.search(symbols)
	return s
}

func (s *slowFlow) place(left rest, progress time.Duration) int {
	for i, p := range s.places {
		if i > 0 && p.progress == progress && p.left.String() == left.String() {
			return i
		}
	}
	s.places = append(s.places, slowPlace{left: left, progress: progress})
	return len(s.places) - 1
}

// merge redirects all steps to the first of places that are the same, by marking the pairs that are not.
func (s *slowFlow) merge(symbols int) {
	n := len(s.places)
	differ := make(map[[2]int]bool)
	for changed := true; changed; {
		changed = false
		for i := range n {
			for j := range n {
				a, b := s.places[i], s.places[j]
				different := a.progress != b.progress
				for sym := range symbols {
					x, y := a.next[sym], b.next[sym]
					different = different || (x == none) != (y == none) || x != none && differ[[2]int{x, y}]
				}
				if different && !differ[[2]int{i, j}] {
					differ[[2]int{i, j}], changed = true, true
				}
			}
		}
	}
	for i := range s.places {
		for sym, to := range s.places[i].next {
			for first := 0; to != none; first++ {
				if !differ[[2]int{first, to}] {
					s.places[i].next[sym] = first
					break
				}
			}
		}
	}
}

func (s *slowFlow) search(symbols int) {
	s.ranks, s.far = make([]int, len(s.places)), make([]int, len(s.places))
	queue := []int{0}
	for i := 0; i < len(queue); i++ {
		s.ranks[queue[i]] = i
		for _, to := range s.places[queue[i]].next {
			if to != none && !slices.Contains(queue, to) {
				s.far[to] = s.far[queue[i]] + 1
				queue = append(queue, to)
			}
		}
	}
}

func (s *slowFlow) over(place int) bool {
	return !slices.ContainsFunc(s.places[place].next, func(to int) bool { return to != none })
}

// slowSession is one session.
type slowSession struct {
	flows   []*slowFlow
	guarded []bool
	runs    [][]int // by workflow
	last    int
}

func (s *slowSession) take(sym uint8) Verdict {
	if !slices.ContainsFunc(s.flows, func(f *slowFlow) bool { return f.places[0].next[sym] != none }) && !s.allowed(sym) {
		switch {
		case !s.guarded[sym]:
			return Stay
		case s.last == int(sym):
			return Retry
		}
		return Violation
	}
	for i, f := range s.flows {
		s.runs[i] = f.move(s.runs[i], sym)
	}
	s.last = none
	if s.guarded[sym] {
		s.last = int(sym)
	}
	return Advance
}

func (s *slowSession) allowed(sym uint8) bool {
	for i, f := range s.flows {
		for _, run := range s.runs[i] {
			if f.places[run].next[sym] != none {
				return true
			}
		}
	}
	return false
}

func (s *slowFlow) move(runs []int, sym uint8) []int {
	set := map[int]bool{}
	for _, run := range runs {
		if to := s.places[run].next[sym]; to != none {
			run = to
		}
		set[run] = !s.over(run)
	}
	begun := s.places[0].next[sym]
	if begun != none {
		set[begun] = !s.over(begun)
	}
	var kept []int
	for run, alive := range set {
		if alive {
			kept = append(kept, run)
		}
	}
	if begun == none || !set[begun] {
		return kept
	}
	slices.SortFunc(kept, func(a, b int) int {
		switch {
		case a == begun || b != begun && s.ranks[a] > s.ranks[b]:
			return -1
		case a == b:
			return 0
		}
		return 1
	})
	return kept[:min(len(kept), s.most)]
}

func (s *slowSession) times() (progress, total time.Duration) {
	for i, f := range s.flows {
		for _, run := range s.runs[i] {
			progress, total = max(progress, f.places[run].progress), max(total, f.timeout)
		}
		if s.last != none && mentions(f.path, uint8(s.last)) {
			progress, total = max(progress, f.stepTimeout(uint8(s.last))), max(total, f.timeout)
		}
	}
	return progress, total
}

// randomSpec makes up workflows.
func randomSpec(rng *rand.Rand) *workflowSpec {
	symbols := 2 + rng.IntN(4)
	s := &workflowSpec{}
	for i := range symbols {
		s.names = append(s.names, string(rune('a'+i)))
		s.matchers = append(s.matchers, &Filter{})
		s.guarded = append(s.guarded, rng.IntN(3) == 0)
	}
	for range 1 + rng.IntN(2) {
		f := &flow{path: randomPath(rng, symbols, 3), timeout: time.Hour, steps: map[uint8]time.Duration{}}
		for rng.IntN(3) == 0 {
			f.steps[uint8(rng.IntN(symbols))] = time.Duration(1+rng.IntN(3)) * time.Minute
		}
		s.flows = append(s.flows, f)
	}
	return s
}

func randomPath(rng *rand.Rand, symbols, depth int) part {
	several := func() (parts []part) {
		for range 2 + rng.IntN(2) {
			parts = append(parts, randomPath(rng, symbols, depth-1))
		}
		return parts
	}
	choice := rng.IntN(10)
	if depth == 0 {
		choice = 0
	}
	switch choice {
	case 0, 1, 2:
		return pathStep(rng.IntN(symbols))
	case 3, 4, 5, 6:
		return pathSequence(several())
	case 7:
		return pathChoice(several())
	case 8:
		return pathUnordered(several())
	}
	least := rng.IntN(3)
	most := 0
	if rng.IntN(2) == 0 {
		most = max(1, least+rng.IntN(2))
	}
	return pathRepeat{randomPath(rng, symbols, depth-1), least, most}
}

func compileSpec(s *workflowSpec) (*Automaton, error) {
	for _, f := range s.flows {
		if err := f.compile(len(s.names)); err != nil {
			return nil, err
		}
	}
	return s.compile()
}

// FuzzAutomaton lets the automaton and its twin follow the same session through made-up workflows.
func FuzzAutomaton(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		spec := randomSpec(rng)
		a, err := compileSpec(spec)
		if err != nil {
			t.Skip(err)
		}
		slow := &slowSession{guarded: spec.guarded, runs: make([][]int, len(spec.flows)), last: none}
		for _, f := range spec.flows {
			if len(f.next) > 60 {
				t.Skip("the twin is too slow")
			}
			slow.flows = append(slow.flows, newSlowFlow(f, len(spec.names)))
		}
		state := a.Start()
		for i := range 200 {
			sym := uint8(rng.IntN(len(spec.names)))
			next, verdict := a.Next(state, sym)
			if want := slow.take(sym); verdict != want {
				t.Fatalf("step %d, %s: the verdict is %d, not %d\n%#v", i, spec.names[sym], verdict, want, spec.flows[0].path)
			}
			if verdict != Advance && next != state {
				t.Fatalf("step %d: verdict %d and state %d becomes %d", i, verdict, state, next)
			}
			state = next
			if progress, total := slow.times(); a.progress[state] != progress || a.total[state] != total {
				t.Fatalf("step %d, %s: progress is good for %v and %v, not %v and %v", i, spec.names[sym], a.progress[state], a.total[state], progress, total)
			}
		}
	})
}

// TestWorkflowNeverAccusesItself follows sessions that do nothing but one workflow, as often as they like.
func TestWorkflowNeverAccusesItself(t *testing.T) {
	most := 0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 2))
		spec := randomSpec(rng)
		for i := range spec.guarded {
			spec.guarded[i] = true
		}
		a, err := compileSpec(spec)
		if err != nil {
			continue
		}
		for i, f := range spec.flows {
			most = max(most, f.most)
			state, at := a.Start(), rest{"path": {f.path}}
			for range 30 {
				var allowed []uint8
				for sym := range spec.names {
					if len(at.after(uint8(sym))) > 0 {
						allowed = append(allowed, uint8(sym))
					}
				}
				if len(allowed) == 0 {
					break
				}
				sym := allowed[rng.IntN(len(allowed))]
				var verdict Verdict
				if state, verdict = a.Next(state, sym); verdict != Advance {
					t.Fatalf("seed %d: workflow %d allows %s, the verdict is %d\n%#v", seed, i, spec.names[sym], verdict, f.path)
				}
				at = at.after(sym)
			}
		}
	}
	if most < 3 {
		t.Errorf("no workflow needed more than %d runs: this tests less than it should", most)
	}
}

// TestAutomatonIsMinimal looks for two states that nothing tells apart, by marking the pairs that something does.
func TestAutomatonIsMinimal(t *testing.T) {
	tested := 0
	for seed := range uint64(100) {
		spec := randomSpec(rand.New(rand.NewPCG(seed, 3)))
		a, err := compileSpec(spec)
		if err != nil || a.States() > 60 {
			continue
		}
		tested++
		differ := map[[2]uint16]bool{}
		for changed := true; changed; {
			changed = false
			for i := range uint16(a.States()) {
				for j := range uint16(a.States()) {
					different := a.progress[i] != a.progress[j] || a.total[i] != a.total[j]
					for sym := range uint8(a.Symbols()) {
						x, v := a.Next(i, sym)
						y, w := a.Next(j, sym)
						different = different || v != w || differ[[2]uint16{x, y}]
					}
					if different && !differ[[2]uint16{i, j}] {
						differ[[2]uint16{i, j}], changed = true, true
					}
				}
			}
		}
		for i := range uint16(a.States()) {
			for j := range i {
				if !differ[[2]uint16{i, j}] {
					t.Fatalf("seed %d: states %d and %d of %d are the same", seed, j, i, a.States())
				}
			}
		}
	}
	if tested < 50 {
		t.Errorf("only %d automata were small enough to test", tested)
	}
}
