package detector

import (
	"math"

	"github.com/gatewatch/gatewatch/detector/event"
)

const (
	// tickEvery is the event time between two ticks, in milliseconds: the times that it divides.
	tickEvery = 1000
	// turnTicks is in how many ticks the sweep goes around all entities once.
	turnTicks = 30
)

// fire does what event time brings about up to now, now included: timers, and ticks of the sweep, each in its time. It
// comes before every event of that time.
//
// A leap of time makes no more than one turn of the sweep. The outcome is that of all the ticks that it leaves out: while
// nothing happens to an entity, what is idle stays idle.
func (l *lane) fire(now event.Time) {
	if now < l.due {
		return
	}
	last := tickBefore(now)
	for tick := max(l.nextTick, last-(turnTicks-1)*tickEvery); tick <= last; tick += tickEvery {
		l.fireTimers(tick)
		l.sweep(tick)
	}
	l.nextTick = max(l.nextTick, last+tickEvery)
	l.fireTimers(now)
	l.due = l.nextTick
	if len(l.timers) > 0 {
		l.due = min(l.due, l.timers[0].at)
	}
}

// resume says that everything up to now was done before: by the engine whose checkpoint is restored.
func (l *lane) resume(now event.Time) {
	l.nextTick, l.due = tickBefore(now)+tickEvery, noTime
}

// tickBefore is the latest tick that is not after t.
func tickBefore(t event.Time) event.Time { return t - (t%tickEvery+tickEvery)%tickEvery }

// sweep looks at the part of all entities whose turn is at the tick, which depends on nothing but event time and the
// entities' keys. It forgets those of which nothing can matter any more.
func (l *lane) sweep(tick event.Time) {
	first, last := partOf(tick)
	for i := range l.tables {
		rest := l.program.groups[i].rest
		l.tables[i].scan(first, last, func(n *entity) bool {
			if tick-n.seen < rest {
				if n.hits == mostHits {
					l.measure(i, n)
				}
				return false
			}
			if n.idle(tick) {
				l.drop(i, n)
				return true
			}
			l.measure(i, n)
			return false
		})
	}
}

// partOf returns the range of key.Lo that is looked at at the tick.
func partOf(tick event.Time) (first, last uint64) {
	const width = math.MaxUint64 / turnTicks
	part := uint64((tick/tickEvery%turnTicks + turnTicks) % turnTicks)
	if part == turnTicks-1 {
		return part * width, math.MaxUint64
	}
	return part * width, part*width + width - 1
}
