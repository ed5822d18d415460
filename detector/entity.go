package detector

import "github.com/gatewatch/gatewatch/detector/event"

// entity is everything known about one entity: the state that the rules watching it have built up. Its lane owns it.
type entity struct {
	hash  uint64
	name  string // the values that the rules group by, see [group.name]
	bytes uint32 // as last measured
	cells []cell
}

// cell is what one rule knows of one entity.
type cell struct {
	slot    slotID
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

// size returns the bytes that the entity occupies, its place in the table included.
func (n *entity) size() int {
	bytes := 64 + len(n.name) + 2*16
	for i := range n.cells {
		bytes += 32 + n.cells[i].state.size()
		if n.cells[i].episode != nil {
			bytes += n.cells[i].episode.size()
		}
	}
	return bytes
}

// idle reports whether nothing known about the entity can matter any more at now.
func (n *entity) idle(now event.Time) bool {
	for i := range n.cells {
		if n.cells[i].episode != nil || !n.cells[i].state.idle(now) {
			return false
		}
	}
	return true
}

// table finds entities by hash and name. It uses open addressing with linear probing; the hash stands in the table, so
// that a miss costs one cache line and a hit two.
type table struct {
	places []place
	used   int
	hand   int // where the next sweep starts
}

type place struct {
	hash   uint64
	entity *entity
}

func (t *table) get(hash uint64, name string) *entity {
	if t.used == 0 {
		return nil
	}
	mask := len(t.places) - 1
	for p := int(hash) & mask; t.places[p].entity != nil; p = (p + 1) & mask {
		if t.places[p].hash == hash && t.places[p].entity.name == name {
			return t.places[p].entity
		}
	}
	return nil
}

func (t *table) put(n *entity) {
	if 4*(t.used+1) > 3*len(t.places) {
		t.grow()
	}
	t.place(place{n.hash, n})
	t.used++
}

func (t *table) place(pl place) {
	mask := len(t.places) - 1
	p := int(pl.hash) & mask
	for t.places[p].entity != nil {
		p = (p + 1) & mask
	}
	t.places[p] = pl
}

func (t *table) grow() {
	old := t.places
	t.places = make([]place, max(8, 2*len(old)))
	t.hand = 0
	for _, pl := range old {
		if pl.entity != nil {
			t.place(pl)
		}
	}
}

// remove takes the entity at position p out and closes the gap (Knuth, TAOCP vol. 3, 6.4, algorithm R).
func (t *table) remove(p int) {
	mask := len(t.places) - 1
	t.places[p] = place{}
	t.used--
	gap := p
	for p = (p + 1) & mask; t.places[p].entity != nil; p = (p + 1) & mask {
		home := int(t.places[p].hash) & mask
		if (p-home)&mask >= (p-gap)&mask {
			t.places[gap], t.places[p] = t.places[p], place{}
			gap = p
		}
	}
}

// sweep looks at the next n places and removes the entities that drop says are not needed.
func (t *table) sweep(n int, drop func(*entity) bool) {
	for range min(n, len(t.places)) {
		if t.hand >= len(t.places) {
			t.hand = 0
		}
		// A removal may move another entity here: then look again at the next turn of the hand.
		if found := t.places[t.hand].entity; found != nil && drop(found) {
			t.remove(t.hand)
		}
		t.hand++
	}
}
