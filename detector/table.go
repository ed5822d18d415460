package detector

import "github.com/gatewatch/gatewatch/detector/event"

// table finds entities by their key. It uses open addressing with linear probing; half of the key stands in the table, so
// that a miss costs one cache line and a hit two.
type table struct {
	places []place
	used   int
	hand   int     // where the next sweep starts
	due    float64 // places to sweep, the fraction that is left
}

type place struct {
	low    uint64 // half of the key
	entity *entity
}

func (t *table) get(key entityKey) *entity {
	if p := t.find(key); p >= 0 {
		return t.places[p].entity
	}
	return nil
}

// find returns the position of the entity with the key, -1 when there is none.
func (t *table) find(key entityKey) int {
	if t.used == 0 {
		return -1
	}
	mask := len(t.places) - 1
	for p := int(key.Lo) & mask; t.places[p].entity != nil; p = (p + 1) & mask {
		if t.places[p].low == key.Lo && t.places[p].entity.key == key {
			return p
		}
	}
	return -1
}

func (t *table) put(n *entity) {
	if 4*(t.used+1) > 3*len(t.places) {
		t.grow()
	}
	t.place(place{n.key.Lo, n})
	t.used++
}

func (t *table) place(pl place) {
	mask := len(t.places) - 1
	p := int(pl.low) & mask
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
		home := int(t.places[p].low) & mask
		if (p-home)&mask >= (p-gap)&mask {
			t.places[gap], t.places[p] = t.places[p], place{}
			gap = p
		}
	}
}

// all returns the entities.
func (t *table) all() []*entity {
	all := make([]*entity, 0, t.used)
	for _, pl := range t.places {
		if pl.entity != nil {
			all = append(all, pl.entity)
		}
	}
	return all
}

// delete removes the entity with the key, if it is there.
func (t *table) delete(key entityKey) {
	if p := t.find(key); p >= 0 {
		t.remove(p)
	}
}

// sweepEvery is the event time in which every place of a table is looked at once, in milliseconds.
const sweepEvery = 30_000

// sweep looks at as many places as the passed event time asks for and removes the entities that drop says are not needed.
func (t *table) sweep(passed event.Time, drop func(*entity) bool) {
	t.due += float64(len(t.places)) * float64(min(passed, sweepEvery)) / sweepEvery
	n := int(t.due)
	t.due -= float64(n)
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
