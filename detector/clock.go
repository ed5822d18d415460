package detector

import (
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
)

// clock is the event time of one partition: the newest time seen, disorder apart.
//
// An event far ahead of all others is usually wrong, and a clock that followed it would make every honest event late. So
// the clock follows a leap only when nothing contradicts it: the next events leap as well. While the clock waits, the
// events themselves are kept at their own time, so that nothing is lost whichever way it turns out.
//
// What a clock does depends only on the events of its partition, in their order, unless the source says that there are
// none: that is what makes the order of events, and with it every alert, repeatable.
type clock struct {
	max     event.Time
	running bool         // max means something
	leaps   []event.Time // times of consecutive events beyond maxLead, not yet believed
}

const (
	// maxLead is how far an event may be ahead of its partition without being doubted: five minutes, in milliseconds.
	maxLead = 5 * 60 * 1000
	// believedLeaps is how many consecutive events must leap before the clock follows.
	believedLeaps = 64
)

// Clock is the event time of one partition, for whoever reads it without an engine.
type Clock struct {
	clock clock
}

// Observe takes the time of the partition's next event.
func (c *Clock) Observe(t event.Time) { c.clock.observe(t) }

// CaughtUp says that at wall-clock time now the partition holds no further event.
func (c *Clock) CaughtUp(now event.Time) { c.clock.settle(now + maxLead) }

// Newest returns how far the partition has come, 0 when that is not known yet.
func (c *Clock) Newest() event.Time {
	if !c.clock.running {
		return 0
	}
	return c.clock.max
}

func (c *clock) clone() clock {
	return clock{max: c.max, running: c.running, leaps: slices.Clone(c.leaps)}
}

// observe takes the time of the partition's next event.
func (c *clock) observe(t event.Time) {
	if c.running && t <= c.max+maxLead {
		c.max = max(c.max, t)
		c.leaps = c.leaps[:0]
		return
	}
	c.leaps = append(c.leaps, t)
	if len(c.leaps) >= believedLeaps {
		c.follow()
	}
}

// trust sets the clock to a time that somebody vouches for.
func (c *clock) trust(t event.Time) {
	if c.running && t <= c.max {
		return
	}
	c.max, c.running = t, true
	c.leaps = c.leaps[:0]
}

// follow believes the smallest leap and weighs the others against it.
func (c *clock) follow() {
	smallest := 0
	for i, t := range c.leaps {
		if t < c.leaps[smallest] {
			smallest = i
		}
	}
	c.max, c.running = c.leaps[smallest], true
	rest := append(append([]event.Time(nil), c.leaps[:smallest]...), c.leaps[smallest+1:]...)
	c.leaps = c.leaps[:0]
	for _, t := range rest {
		c.observe(t)
	}
}

// settle believes every leap up to limit: the source has nothing that could contradict.
func (c *clock) settle(limit event.Time) {
	for len(c.leaps) > 0 {
		before := len(c.leaps)
		kept := c.leaps[:0]
		for _, t := range c.leaps {
			if t <= limit {
				kept = append(kept, t)
			}
		}
		c.leaps = kept
		if len(kept) == 0 {
			return
		}
		c.follow()
		if len(c.leaps) >= before {
			return
		}
	}
}
