package detector

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// Eviction says that entities were forgotten although something was known of them, to stay within [Limits].
type Eviction struct {
	Kind       string     // of the entities
	From, To   event.Time // the first and the last time
	Count      uint64
	Suspicious uint64 // of these, half at a limit or beyond, or with an open alert
}

// pressure is what a lane does when it has too many entities of one kind.
type pressure struct {
	limit  int    // most entities, 0: any number
	hand   uint64 // where the next victim is looked for: a key.Lo
	latest Eviction
	total  Eviction
}

// How many entities are looked at for one victim: a few, and more if all of them are suspicious.
const (
	candidates     = 16
	moreCandidates = 64
)

// mostVictims is how many entities one event can cost.
const mostVictims = 4

// makeRoom evicts entities of the group until a new one fits in.
//
// The victim is the one with the least claim of the next few entities that a hand, which goes around in the order of keys,
// comes to. All that it depends on is the entities that the lane has and the events that they have seen: not on how the
// table came to hold them, nor on batches or restarts.
func (l *lane) makeRoom(groupIndex int, now event.Time) {
	limit := l.pressures[groupIndex].limit
	for n := 0; limit > 0 && n < mostVictims && l.tables[groupIndex].used >= limit; n++ {
		l.evict(groupIndex, now, nil)
	}
}

// relieve evicts entities until the lane's memory suffices. spare is the entity that has just grown.
func (l *lane) relieve(now event.Time, spare *entity) {
	for n := 0; n < mostVictims && l.bytes > l.mostBytes; n++ {
		largest := 0
		for g, bytes := range l.stats.bytes {
			if bytes > l.stats.bytes[largest] {
				largest = g
			}
		}
		l.evict(largest, now, spare)
	}
}

// evict forgets one entity of the group, if there is any but spare.
func (l *lane) evict(groupIndex int, now event.Time, spare *entity) {
	v := l.victim(groupIndex, now, spare)
	if v.entity == nil {
		return
	}
	l.change(v.entity)
	p := &l.pressures[groupIndex]
	for _, e := range []*Eviction{&p.latest, &p.total} {
		e.note(now, v.suspicion > unsuspected)
	}
	if v.suspicion > unsuspected {
		l.abandon(v.entity, now)
	}
	l.tables[groupIndex].delete(v.entity.key)
	l.drop(groupIndex, v.entity)
}

// drop takes leave of an entity that is taken out of its table.
func (l *lane) drop(groupIndex int, n *entity) {
	l.account(groupIndex, -int64(n.bytes))
	l.dropped(groupIndex, n)
}

// account notes that the entities of a group take more bytes, or less.
func (l *lane) account(groupIndex int, more int64) {
	l.stats.bytes[groupIndex] += more
	l.bytes += more
}

func (e *Eviction) note(now event.Time, suspicious bool) {
	if e.Count == 0 {
		e.From = now
	}
	e.To = now
	e.Count++
	e.Suspicious += uint64(b2u(suspicious))
}

// victim looks for the entity with the least claim and moves the hand on.
func (l *lane) victim(groupIndex int, now event.Time, spare *entity) (least claim) {
	p, looked := &l.pressures[groupIndex], 0
	l.tables[groupIndex].following(p.hand, candidates+moreCandidates, func(n *entity) bool {
		if n != spare {
			least.lower(n, now)
		}
		p.hand = n.key.Lo + 1
		looked++
		return looked < candidates || least.entity == nil || least.suspicion > unsuspected
	})
	return least
}

// suspicion is how bad an entity is known to be.
type suspicion int

const (
	unsuspected suspicion = iota
	suspected             // half at a limit or beyond, or a violation that waits for its grace time
	accused               // an alert is open
)

func (n *entity) suspicion(now event.Time) suspicion {
	worst := unsuspected
	for i := range n.cells {
		c := &n.cells[i]
		if c.open() {
			return accused
		}
		w, waits := c.state.(waker)
		if c.episode != nil && !c.state.idle(now) || waits && w.wakesAt() != 0 {
			worst = suspected
		}
	}
	return worst
}

// claim is an entity's right to be remembered: first by what it is suspected of, then by how often it was seen, then by when.
type claim struct {
	entity    *entity
	suspicion suspicion
	heat      uint16
}

// lower makes c the claim of n if that is less. Most entities are seen to have more without a look at their cells.
func (c *claim) lower(n *entity, now event.Time) {
	heat := n.heat(now)
	if c.entity == nil {
		*c = claim{n, n.suspicion(now), heat}
		return
	}
	rest := cmp.Or(cmp.Compare(heat, c.heat), cmp.Compare(n.seen, c.entity.seen), cmp.Compare(n.key.Lo, c.entity.key.Lo),
		cmp.Compare(n.key.Hi, c.entity.key.Hi))
	if rest > 0 && c.suspicion == unsuspected {
		return
	}
	if s := n.suspicion(now); cmp.Or(cmp.Compare(s, c.suspicion), rest) < 0 {
		*c = claim{n, s, heat}
	}
}

// coolAfter is the event time after which an entity's hits count half, a day: after an hour, a flood at night could push out
// what was learned of those who come by day.
const coolAfter = 24 * 3600 * 1000

// heat is how often the entity was seen, less with every day that it was not.
func (n *entity) heat(now event.Time) uint16 { return n.hits >> min(15, max(0, now-n.seen)/coolAfter) }

// mostHits is where counting ends: no power of two, so that an entity that has reached it is not measured at every event.
const mostHits = 1<<15 + 1

// hit counts an event, and reports whether the entity should be measured: at every power of two, so that what is counted of
// its memory is never less than about half of what it takes.
func (n *entity) hit(now event.Time) (measure bool) {
	n.hits = min(n.heat(now)+1, mostHits)
	n.seen = max(n.seen, now)
	return n.hits&(n.hits-1) == 0
}

// abandon closes the alerts of an entity that is evicted, and clears up behind it.
func (l *lane) abandon(n *entity, now event.Time) {
	for i := range n.cells {
		c := &n.cells[i]
		if c.open() {
			c.episode.version++
			l.raise(alert.Closed, n, c, l.program.bySlot[c.slot], c.episode.worst, now)
			a := l.alerts[len(l.alerts)-1].alert
			a.Summary = "No longer watched, to stay within the limits on memory: " + a.Summary
		}
		l.orphans++ // at most one timer
	}
	l.dropOrphans()
}

// fewOrphans is how many timers of entities that are gone are not worth looking for.
const fewOrphans = 1024

// dropOrphans removes the timers of entities that are gone when they may be half of all.
func (l *lane) dropOrphans() {
	if l.orphans < fewOrphans || 2*l.orphans < len(l.timers) {
		return
	}
	l.orphans = 0
	l.timers = slices.DeleteFunc(l.timers, func(t timer) bool { return t.entity.key == entityKey{} })
	heap.Init(&l.timers)
}

// Evictions returns what was evicted since the last call: one interval for each kind that lost entities, in the order of the
// rules.
func (e *Engine) Evictions() (all []Eviction) {
	for i, g := range e.program.Load().groups {
		sum := Eviction{Kind: g.kind}
		for _, l := range e.lanes {
			sum.add(&l.pressures[i].latest)
			l.pressures[i].latest = Eviction{}
		}
		if sum.Count > 0 {
			all = append(all, sum)
		}
	}
	return all
}

func (e *Eviction) add(other *Eviction) {
	if other.Count == 0 {
		return
	}
	if e.Count == 0 {
		e.From, e.To = other.From, other.To
	}
	e.From, e.To = min(e.From, other.From), max(e.To, other.To)
	e.Count += other.Count
	e.Suspicious += other.Suspicious
}

// appendHands encodes where the hands of the lane are.
func (l *lane) appendHands(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(l.pressures)))
	for i := range l.pressures {
		b = binary.AppendUvarint(b, uint64(l.program.groups[i].number))
		b = binary.LittleEndian.AppendUint64(b, l.pressures[i].hand)
	}
	return b
}

// readHands sets the hands to where [lane.appendHands] has found them; of kinds that are gone it takes no note.
func (l *lane) readHands(r *wire.Reader) {
	for range r.Count(9) {
		kind, hand := r.Uvarint(), r.Uint64()
		for i, g := range l.program.groups {
			if uint64(g.number) == kind {
				l.pressures[i].hand = hand
			}
		}
	}
}
