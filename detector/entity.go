package detector

import (
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/event"
)

// entity is everything known about one entity: the state that the rules watching it have built up. Its lane owns it.
type entity struct {
	key   entityKey
	cells []cell
	seen  event.Time // of the latest event
	bytes uint32     // as last measured
	kind  uint16     // number of the kind, see [numbers]
	hits  uint16     // events, see [entity.heat]

	// Belong to checkpoints, see [saving].
	changed uint32 // epoch of the latest change
	saved   uint32 // epoch whose cut has captured it

	name string // the values that the rules group by, see [group.name]
}

// entityKey is the 128-bit hash of an entity's name: two names with the same key do not occur. Zero means no entity.
type entityKey = xxh3.Uint128

// cell is what one rule knows of one entity.
type cell struct {
	slot    slotID
	index   uint16 // of the rule in the program
	state   state
	episode *episode // nil unless the entity is or was recently suspicious
}

// slotID identifies a rule's state across reloads.
type slotID uint32

func (n *entity) find(s slotID) *cell {
	for i := range n.cells {
		if n.cells[i].slot == s {
			return &n.cells[i]
		}
	}
	return nil
}

// learn begins what the rule knows of the entity. The cell moves when another rule's is added.
func (n *entity) learn(r *watch) *cell {
	n.cells = append(n.cells, cell{slot: r.slot, index: uint16(r.index), state: r.detection.newState()})
	return &n.cells[len(n.cells)-1]
}

// size returns the bytes that the entity occupies, its place in the table included.
func (n *entity) size() int {
	bytes := 80 + len(n.name) + 2*16
	for i := range n.cells {
		bytes += 32 + n.cells[i].state.size()
		if n.cells[i].episode != nil {
			bytes += n.cells[i].episode.size()
		}
	}
	return bytes
}

// room is how many items a slice that holds n has room for, give or take: sizes must follow from what is known alone, not from
// how it came to be known, or a restart would change when memory is full.
func room(n int) int {
	if n < 2 {
		return n
	}
	return 1 << bits.Len(uint(n-1))
}

// measured is the size as entities note it.
func (n *entity) measured() uint32 { return uint32(min(n.size(), math.MaxUint32)) }

// idle reports whether nothing known about the entity can matter any more at now.
func (n *entity) idle(now event.Time) bool {
	for i := range n.cells {
		if c := &n.cells[i]; c.open() || !c.state.idle(now) {
			return false
		}
	}
	return true
}

// open reports whether an alert is open. Suspicion that has not led to one ends with what the state knows.
func (c *cell) open() bool { return c.episode != nil && c.episode.version > 0 }
