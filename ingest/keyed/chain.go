package keyed

import (
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Patience is for how long, by the clocks of routers, all records of a raw partition may be left out before it begins anew.
// A router that was overtaken writes what it still holds within seconds.
const Patience = time.Minute

// Chain knows how far a consumer of one keyed partition has everything of each raw partition. The zero Chain knows nothing.
// One goroutine uses it. The package's documentation says why nothing is lost or taken twice.
type Chain struct {
	links map[event.Partition]*link
}

type link struct {
	known  int64      // -1: nothing is known
	since  event.Time // when the first record since the last taken one was left out; 0: none was
	broken bool       // records of the keyed topic are gone: the chain may go on anywhere
}

// Verdict says what to do with a record.
type Verdict struct {
	Take bool
	// Known is the raw offset before which the record's events are to be left out, for they came before.
	Known int64
	// Gap is how many raw offsets in front of From nobody will ever send; 0: none.
	Gap int64
}

// Take says whether to take a record, and notes that it was.
func (c *Chain) Take(h *Header) Verdict {
	l := c.link(h.Partition)
	if h.Next < 0 { // nothing but the time at which there was nothing
		return Verdict{Take: true, Known: l.known}
	}
	v := Verdict{Take: true, Known: max(l.known, h.From)}
	if l.known >= 0 && h.From > l.known {
		if !l.givesUp(h.Written) {
			return Verdict{Known: l.known}
		}
		v.Gap = h.From - l.known
	}
	l.known, l.since, l.broken = max(l.known, h.Next), 0, false
	return v
}

// givesUp reports whether the chain begins anew with a record that does not fit, made at the given time.
func (l *link) givesUp(written event.Time) bool {
	if l.since == 0 {
		l.since = written
	}
	return l.broken || written-l.since >= event.Time(Patience.Milliseconds())
}

// Known returns the raw offset before which everything of p was taken, -1 when nothing is known.
func (c *Chain) Known(p event.Partition) int64 {
	if l := c.links[p]; l != nil {
		return l.known
	}
	return -1
}

// Restore says what was known when a consumer stopped: known is what [Chain.Known] returned.
func (c *Chain) Restore(p event.Partition, known int64) { *c.link(p) = link{known: known} }

// Broken says that records of the keyed topic were deleted before they were read, or could not be read.
func (c *Chain) Broken() {
	for _, l := range c.links {
		l.broken = true
	}
}

func (c *Chain) link(p event.Partition) *link {
	if c.links == nil {
		c.links = map[event.Partition]*link{}
	}
	l := c.links[p]
	if l == nil {
		l = &link{known: -1}
		c.links[p] = l
	}
	return l
}
