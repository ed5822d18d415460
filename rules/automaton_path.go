package rules

import "math/bits"

// A path is a regular expression over steps. Its parts are translated to a position automaton: every step that is written in
// the path is a position, and what matters is which positions can come first, which can come last, and which can follow
// each other.

// part is one part of a path.
type part interface {
	build(p *positions) fragment
}

type (
	pathStep      uint8  // one step, by its symbol
	pathSequence  []part // one after the other
	pathChoice    []part // one of them
	pathUnordered []part // each once, in any order
	pathRepeat    struct {
		part  part
		least int
		most  int // 0: no bound
	}
)

// maxPositions bounds a path with its repetitions and orders written out.
const maxPositions = 1024

// positions is the position automaton of one path while it is built.
type positions struct {
	symbols []uint8       // of each position
	follow  []positionSet // which positions can come after each
	full    bool          // there were more than maxPositions, nothing here is of use
}

// fragment is what a part of a path looks like from outside.
type fragment struct {
	first, last positionSet
	skippable   bool // it may be left out
}

type positionSet [maxPositions / 64]uint64

func (s *positionSet) add(p int) { s[p>>6] |= 1 << (p & 63) }

func (s *positionSet) addAll(o *positionSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s *positionSet) each(yield func(p int) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(i<<6 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// link lets every position of to follow every position of from.
func (p *positions) link(from, to *positionSet) {
	for at := range from.each {
		p.follow[at].addAll(to)
	}
}

func (s pathStep) build(p *positions) fragment {
	var f fragment
	if p.full = p.full || len(p.symbols) == maxPositions; p.full {
		return f
	}
	f.first.add(len(p.symbols))
	f.last = f.first
	p.symbols = append(p.symbols, uint8(s))
	p.follow = append(p.follow, positionSet{})
	return f
}

func (s pathSequence) build(p *positions) fragment {
	whole := fragment{skippable: true}
	for _, x := range s {
		whole = p.after(whole, x)
	}
	return whole
}

// after appends one more part to a fragment. Once the positions are full it builds no more: nested repetitions would
// otherwise take a time that is exponential in their depth.
func (p *positions) after(before fragment, x part) fragment {
	if p.full {
		return before
	}
	f := x.build(p)
	p.link(&before.last, &f.first)
	if before.skippable {
		f.first.addAll(&before.first)
	} else {
		f.first = before.first
	}
	if f.skippable {
		f.last.addAll(&before.last)
	}
	f.skippable = f.skippable && before.skippable
	return f
}

func (c pathChoice) build(p *positions) fragment {
	var whole fragment
	for _, x := range c {
		f := x.build(p)
		whole.first.addAll(&f.first)
		whole.last.addAll(&f.last)
		whole.skippable = whole.skippable || f.skippable
	}
	return whole
}

func (r pathRepeat) build(p *positions) fragment {
	whole := fragment{skippable: true}
	copies := max(r.least, r.most, 1)
	for i := 1; i <= copies; i++ {
		x := r.part
		if i > r.least {
			x = pathChoice{r.part, pathSequence{}}
		}
		if i == copies && r.most == 0 {
			x = pathLoop{x}
		}
		whole = p.after(whole, x)
	}
	return whole
}

// pathLoop is its part once or more.
type pathLoop struct{ part part }

func (l pathLoop) build(p *positions) fragment {
	f := l.part.build(p)
	if !p.full {
		p.link(&f.last, &f.first)
	}
	return f
}

// build writes out, for every set of parts that may be done, each part that may be next. That is k·2^(k-1) copies of k parts
// instead of the k·k! of all orders. Parts that are left out count as done before all others.
func (u pathUnordered) build(p *positions) fragment {
	done := make([]fragment, 1<<len(u)) // by the set of the parts done: what can be last then, and whether all were left out
	done[0].skippable = true
	all := len(done) - 1
	for set := range all {
		for i, x := range u {
			if set&(1<<i) != 0 || p.full {
				continue
			}
			f := x.build(p)
			p.link(&done[set].last, &f.first)
			if done[set].skippable {
				done[all].first.addAll(&f.first)
			}
			with := &done[set|1<<i]
			with.last.addAll(&f.last)
			with.skippable = with.skippable || f.skippable && done[set].skippable
		}
	}
	return done[all]
}
