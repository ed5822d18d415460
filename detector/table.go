package detector

import (
	"math"
	"math/bits"
)

// table finds entities by their key and knows them in the order of their keys.
//
// It is an ordered hash table (Amble and Knuth 1974) with open addressing: the home of an entity is the upper end of
// key.Lo, scaled to the size of the table, and entities stand at their home or behind it in ascending order of (Lo, Hi), with
// no free place between home and place. So a search ends, found or not, at the first place that is not lower; and what the
// table is asked in the order of keys does not depend on how its content came about, nor on its size. Half of the key
// stands in the place: a miss costs one cache line, a hit two.
//
// Nothing wraps around. What the last homes cannot hold stands in a short tail, of which the last place is always free.
type table struct {
	places []place // homes, then the tail
	homes  int
	used   int
}

type place struct {
	low    uint64 // half of the key; all ones in a free place, where every search ends
	entity *entity
}

var freePlace = place{low: math.MaxUint64}

const (
	fewestHomes = 8
	tailPlaces  = 16
)

func (p place) before(key entityKey) bool {
	return p.low < key.Lo || p.low == key.Lo && p.entity.key.Hi < key.Hi
}

func (t *table) home(low uint64) int {
	home, _ := bits.Mul64(low, uint64(t.homes))
	return int(home)
}

func (t *table) get(key entityKey) *entity {
	if t.used == 0 {
		return nil
	}
	places := t.places
	p := t.home(key.Lo)
	for places[p].low < key.Lo {
		p++
	}
	for ; places[p].low == key.Lo && places[p].entity != nil; p++ {
		if places[p].entity.key == key {
			return places[p].entity
		}
	}
	return nil
}

// put adds an entity whose key the table does not have.
func (t *table) put(n *entity) {
	if 4*(t.used+1) > 3*t.homes {
		t.resize(max(fewestHomes, 2*t.homes))
	}
	p := t.home(n.key.Lo)
	for t.places[p].entity != nil && t.places[p].before(n.key) {
		p++
	}
	t.insert(p, place{n.key.Lo, n})
	t.used++
}

// insert puts pl at position p and moves what stands there up to the next free place.
func (t *table) insert(p int, pl place) {
	free := p
	for t.places[free].entity != nil {
		free++
	}
	copy(t.places[p+1:free+1], t.places[p:free])
	t.places[p] = pl
	t.keepTail(free)
}

// keepTail lengthens the tail when position p, which is in use now, was the last.
func (t *table) keepTail(p int) {
	if p+1 == len(t.places) {
		longer := freePlaces(len(t.places) + tailPlaces)
		copy(longer, t.places)
		t.places = longer
	}
}

// delete takes the entity with the key out, if it is there.
func (t *table) delete(key entityKey) {
	if t.used == 0 {
		return
	}
	p := t.seek(key.Lo)
	for p < len(t.places) && t.places[p].entity != nil && t.places[p].before(key) {
		p++
	}
	if p < len(t.places) && t.places[p].entity != nil && t.places[p].entity.key == key {
		t.removeAt(p)
		t.shrink()
	}
}

// removeAt frees position p and moves back what stands behind it away from home.
func (t *table) removeAt(p int) {
	end := p + 1
	for t.places[end].entity != nil && t.home(t.places[end].low) < end {
		end++
	}
	copy(t.places[p:], t.places[p+1:end])
	t.places[end-1] = freePlace
	t.used--
}

// shrink gives memory back when most places are free.
func (t *table) shrink() {
	if t.homes > fewestHomes && 8*t.used < t.homes {
		t.resize(max(fewestHomes, 2*t.used))
	}
}

func freePlaces(n int) []place {
	places := make([]place, n)
	for i := range places {
		places[i] = freePlace
	}
	return places
}

func (t *table) resize(homes int) {
	old := t.places
	t.places, t.homes = freePlaces(homes+tailPlaces), homes
	next := 0
	for _, pl := range old {
		if pl.entity == nil {
			continue
		}
		next = max(next, t.home(pl.low))
		t.places[next] = pl
		t.keepTail(next)
		next++
	}
}

// seek returns the position of the first entity whose key.Lo is not below low, or len(places) when there is none.
func (t *table) seek(low uint64) int {
	p := t.home(low)
	for p < len(t.places) && (t.places[p].entity == nil || t.places[p].low < low) {
		p++
	}
	return p
}

// scan shows the entities whose key.Lo lies between first and last, both included, in ascending order, and removes those for
// which drop returns true. drop must not change the table.
func (t *table) scan(first, last uint64, drop func(*entity) bool) {
	if t.used == 0 {
		return
	}
	for p := t.seek(first); p < len(t.places); {
		switch pl := t.places[p]; {
		case pl.entity == nil:
			p++
		case pl.low > last:
			p = len(t.places)
		case drop(pl.entity):
			t.removeAt(p) // another one may have moved here
		default:
			p++
		}
	}
	t.shrink()
}

// each shows all entities in ascending order.
func (t *table) each(show func(*entity)) {
	for _, pl := range t.places {
		if pl.entity != nil {
			show(pl.entity)
		}
	}
}

// all returns the entities in ascending order.
func (t *table) all() []*entity {
	all := make([]*entity, 0, t.used)
	t.each(func(n *entity) { all = append(all, n) })
	return all
}

// following shows up to n entities in ascending order, from the first whose key.Lo is not below low on, once around, as long
// as show returns true.
func (t *table) following(low uint64, n int, show func(*entity) bool) {
	if t.used == 0 {
		return
	}
	p := t.seek(low)
	for range min(n, t.used) {
		for p == len(t.places) || t.places[p].entity == nil {
			if p++; p >= len(t.places) {
				p = 0
			}
		}
		if !show(t.places[p].entity) {
			return
		}
		p++
	}
}
