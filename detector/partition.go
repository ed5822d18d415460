package detector

import (
	"cmp"
	"math"
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
)

const (
	noTime    event.Time = math.MinInt64 / 4 // before every event
	endOfTime event.Time = math.MaxInt64 / 4 // after every event
)

// partition is the engine's view of one input.
type partition struct {
	id       event.Partition
	number   int // in the order of their appearance
	clock    clock
	pending  []*Prepared // not applied yet, in the order of their offsets
	waiting  int         // events in them that wait for the watermark
	next     int64       // offset after the last record pushed
	finished bool

	// applied is the offset up to which what was pushed has been applied, if its order is before the watermark: what comes in
	// later takes its place at the watermark or behind it.
	applied int64
	fences  []fence

	// While the source says that there is nothing more:
	quiet  bool
	passed event.Time // how long it has said so
	wall   event.Time // clock on the wall when it said so last
}

// fence says what a checkpoint contains of a partition: the events before an offset whose order is before a watermark. They are
// read again with those that were still waiting, and left out. There are several when a restart followed another before
// everything was read again.
type fence struct {
	Offset int64
	Order  event.Time
}

func (p *partition) contains(offset int64, order event.Time) bool {
	return slices.ContainsFunc(p.fences, func(f fence) bool { return offset < f.Offset && order < f.Order })
}

// fencesAt returns what restores [partition.contains] for everything from the offset to resume at.
func (p *partition) fencesAt(watermark event.Time) []fence {
	p.fences = slices.DeleteFunc(p.fences, func(f fence) bool { return f.Offset <= p.resume() })
	if p.applied <= p.resume() {
		return slices.Clone(p.fences)
	}
	return append(slices.Clone(p.fences), fence{p.applied, watermark})
}

// idleAfter is how long a caught-up partition holds the watermark back: its next event may come any moment, but the others
// must not wait for it for ever. Five seconds.
const idleAfter = 5000

// observe takes the time of the next event and returns its place in the order. It is the event's time unless the event comes
// later than the disorder allows: then it takes its place at the watermark of its partition.
func (p *partition) observe(t, disorder event.Time) (order event.Time) {
	p.quiet = false
	order = t
	if p.clock.running {
		order = max(order, p.clock.max-disorder)
	}
	p.clock.observe(t)
	return order
}

// resume is the offset from which the partition must be read again after a restart.
func (p *partition) resume() int64 {
	if len(p.pending) > 0 {
		return p.pending[0].from
	}
	return p.next
}

// clockAtResume is the clock as it was before the event at [partition.resume].
func (p *partition) clockAtResume() clock {
	if len(p.pending) > 0 {
		return p.pending[0].clock
	}
	return p.clock.clone()
}

// saidOften is the most that one confirmation adds to the time that nothing came, in milliseconds. A source repeats itself
// every second; a longer silence means that it could not tell, as while a broker is away.
const saidOften = 1500

func (p *partition) caughtUp(now event.Time) {
	if !p.quiet {
		p.quiet, p.passed, p.wall = true, 0, now
	}
	p.passed += min(max(0, now-p.wall), saidOften)
	p.wall = now
	p.clock.settle(now + maxLead)
}

// time is the partition's event time, and whether it holds the others back.
func (p *partition) time() (t event.Time, holds bool) {
	switch {
	case p.finished:
		return p.clock.max, false
	case !p.quiet:
		return p.clock.max, true
	case !p.clock.running:
		return noTime, false
	}
	return max(p.clock.max, min(p.clock.max+p.passed, p.wall)), p.passed < idleAfter
}

// partitions is all inputs.
type partitions struct {
	disorder event.Time
	byID     map[event.Partition]*partition
	list     []*partition // by number
	rank     []int32      // by number: the place among all partitions ordered by topic and id
}

func (ps *partitions) get(id event.Partition) *partition {
	if p := ps.byID[id]; p != nil {
		return p
	}
	if ps.byID == nil {
		ps.byID = map[event.Partition]*partition{}
	}
	p := &partition{id: id, number: len(ps.list)}
	ps.byID[id] = p
	ps.list = append(ps.list, p)
	ps.order()
	return p
}

func (ps *partitions) order() {
	sorted := slices.Clone(ps.list)
	slices.SortFunc(sorted, func(a, b *partition) int {
		return cmp.Or(cmp.Compare(a.id.Topic, b.id.Topic), cmp.Compare(a.id.ID, b.id.ID))
	})
	ps.rank = make([]int32, len(sorted))
	for i, p := range sorted {
		ps.rank[p.number] = int32(i)
	}
}

// watermark is the event time before which nothing more is expected.
func (ps *partitions) watermark() event.Time {
	lowest, highest := endOfTime, noTime
	for _, p := range ps.list {
		t, holds := p.time()
		if holds {
			if !p.clock.running {
				return noTime
			}
			lowest = min(lowest, t)
		}
		if p.clock.running {
			highest = max(highest, t)
		}
	}
	if lowest == endOfTime { // nobody holds back: the furthest leads
		lowest = highest
	}
	if lowest == noTime {
		return noTime
	}
	return lowest - ps.disorder
}

// settle ends all doubts about leaps: no more events come.
func (ps *partitions) settle() {
	for _, p := range ps.list {
		p.clock.settle(endOfTime)
	}
}

// done drops the batches that were applied whole.
func (p *partition) done() {
	n := 0
	for n < len(p.pending) && p.pending[n].left == 0 {
		n++
	}
	p.pending = slices.Delete(p.pending, 0, n)
}
