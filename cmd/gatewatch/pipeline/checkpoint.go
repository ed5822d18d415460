package pipeline

import "github.com/gatewatch/gatewatch/detector/event"

// checkpoints remembers how far the sources had been applied when certain alerts were handed to delivery: positions may be
// committed only behind alerts that are delivered.
type checkpoints struct {
	notes []note
}

type note struct {
	through uint64 // the last alert handed over before the note
	next    map[event.Partition]int64
}

// maxNotes bounds how many notes wait for a slow sink; the newer of two notes is the one that is worth keeping, so the
// oldest but one goes.
const maxNotes = 128

func (c *checkpoints) note(through uint64, next map[event.Partition]int64) {
	if n := len(c.notes); n > 0 && c.notes[n-1].through == through {
		c.notes[n-1].next = next // nothing was raised since: the later position is just as good
		return
	}
	if len(c.notes) == maxNotes {
		c.notes = append(c.notes[:1], c.notes[2:]...)
	}
	c.notes = append(c.notes, note{through, next})
}

// settled returns the furthest positions whose alerts are all acknowledged, or nil.
func (c *checkpoints) settled(acknowledged uint64) (next map[event.Partition]int64) {
	n := 0
	for n < len(c.notes) && c.notes[n].through <= acknowledged {
		next = c.notes[n].next
		n++
	}
	c.notes = append(c.notes[:0], c.notes[n:]...)
	return next
}
