package window

import (
	"math"
	"unsafe"

	"github.com/axiomhq/hyperloglog"
)

// Distinct counts different values, given as 64-bit hashes, in a sliding window.
//
// It remembers the latest time of each value, the most recent values first, up to a bound. While nothing inside the window
// had to be forgotten the count is exact. When the bound is exceeded, the count comes from HyperLogLog sketches (Flajolet
// et al. 2007, with the corrections of Heule et al. 2013), one for each of 16 sub-windows, until the remembered values
// cover the whole window again.
//
// The zero Distinct is empty and ready. It must not be copied once it is in use: its first values are kept in the struct
// itself, which saves a cache miss for the many entities that have few.
type Distinct struct {
	entries []entry
	base    int64  // times are kept as milliseconds after base
	many    *many  // nil while values are few
	free    uint16 // unused entries, a list by newer; like all positions 1-based, 0 ends the list
	newest  uint16
	oldest  uint16
	live    uint16
	// oldestAt and newestAt are the times of those entries: looking there would cost a cache miss for each event.
	oldestAt uint32
	newestAt uint32
	first    [4]entry
}

// entry is one remembered value. Entries form a list ordered by time.
type entry struct {
	hash         uint64
	at           uint32
	older, newer uint16
}

// many is what only windows with many values need.
type many struct {
	index     []uint16 // open addressing over entries
	forgotten int64    // time of the latest value that was dropped although it may still count
	sketches  *sketches
}

// MaxExact is the largest bound that [Distinct.Add] accepts.
const MaxExact = math.MaxUint16 - 1

// scanned is how many entries are searched one by one; more than that get an index.
const scanned = 12

// Add counts the value with the given hash at time t for a window of width milliseconds that remembers at most bound
// values. It reports whether t is still inside the window.
func (d *Distinct) Add(t int64, hash uint64, width int64, bound int) bool {
	now := max(t, d.Newest())
	if t <= now-width {
		return false
	}
	d.expire(now, width)
	d.rebase(t)
	if d.many != nil && d.many.sketches != nil {
		d.many.sketches.add(t, hash, width)
	}
	if i := d.find(hash); i != 0 {
		switch {
		case i == d.newest && t >= d.Newest(): // the same value again, as so often
			d.entries[i-1].at = uint32(t - d.base)
			d.newestAt = d.entries[i-1].at
			if i == d.oldest {
				d.oldestAt = d.newestAt
			}
		case t > d.at(i):
			d.unlink(i)
			d.link(i, t)
		}
		return true
	}
	if int(d.live) >= bound {
		d.overflow(width)
	}
	d.insert(t, hash)
	return true
}

// Count returns how many different values the window that ends at now holds, and the relative standard error of that
// figure: 0 while it is exact.
func (d *Distinct) Count(now, width int64) (n int, relativeError float64) {
	d.expire(now, width)
	if d.many == nil || d.many.sketches == nil {
		return int(d.live), 0
	}
	return max(int(d.live), d.many.sketches.count(now, width)), sketchError
}

// Newest returns the time of the latest value, or 0 when the window is empty.
func (d *Distinct) Newest() int64 {
	if d.newest == 0 {
		return 0
	}
	return d.base + int64(d.newestAt)
}

// at returns the time of entry i.
func (d *Distinct) at(i uint16) int64 { return d.base + int64(d.entries[i-1].at) }

// rebase makes room for t in the 32-bit times.
func (d *Distinct) rebase(t int64) {
	if d.newest == 0 {
		d.base = t
		return
	}
	base := d.base
	switch {
	case t < base:
		base = t
	case t-base > 1<<31:
		base = min(t, d.at(d.oldest))
	}
	if base == d.base {
		return
	}
	for i := d.oldest; i != 0; i = d.entries[i-1].newer {
		d.entries[i-1].at = uint32(d.at(i) - base)
	}
	d.base = base
	d.oldestAt, d.newestAt = d.entries[d.oldest-1].at, d.entries[d.newest-1].at
}

// Touch reads what [Distinct.Add] will read, so that it is in the processor's cache. The result means nothing.
func (d *Distinct) Touch() int {
	if d.newest == 0 {
		return 0
	}
	return int(d.entries[d.newest-1].at)
}

// Size returns the bytes that the window occupies, give or take: it follows from what the window holds, not from how it has
// come to hold it.
func (d *Distinct) Size() int {
	n, live := int(unsafe.Sizeof(*d)), int(d.live)
	if live > len(d.first) {
		n += room(live) * int(unsafe.Sizeof(entry{}))
	}
	if live > scanned {
		n += int(unsafe.Sizeof(many{})) + 2*4*room(live)
	}
	if d.many != nil && d.many.sketches != nil {
		n += d.many.sketches.size()
	}
	return n
}

// trim gives memory back when a window holds much less than it has held.
func (d *Distinct) trim() {
	if len(d.entries) <= kept || 8*int(d.live) >= len(d.entries) {
		return
	}
	entries := make([]entry, 0, 2*int(d.live))
	for i := d.oldest; i != 0; i = d.entries[i-1].newer {
		e, self := d.entries[i-1], uint16(len(entries)+1)
		entries = append(entries, entry{hash: e.hash, at: e.at, older: self - 1, newer: self + 1})
	}
	entries[len(entries)-1].newer = 0
	d.entries, d.oldest, d.newest, d.free = entries, 1, d.live, 0
	if d.many != nil {
		d.many.index = nil
		if d.live > scanned {
			d.reindex()
		}
	}
}

// overflow forgets the oldest value and lets the sketches take over, which learn all that is remembered first.
func (d *Distinct) overflow(width int64) {
	if d.many == nil {
		d.many = new(many)
	}
	if d.many.sketches == nil {
		d.many.sketches = new(sketches)
		for i := d.oldest; i != 0; i = d.entries[i-1].newer {
			d.many.sketches.add(d.at(i), d.entries[i-1].hash, width)
		}
	}
	d.many.forgotten = max(d.many.forgotten, d.at(d.oldest))
	d.remove(d.oldest)
}

func (d *Distinct) expire(now, width int64) {
	before := d.live
	for d.oldest != 0 && d.base+int64(d.oldestAt) <= now-width {
		d.remove(d.oldest)
	}
	if d.live != before && d.live > 0 {
		d.trim()
	}
	if d.many != nil && d.many.sketches != nil && d.many.forgotten <= now-width {
		d.many.sketches = nil
	}
	if d.live == 0 && d.many != nil {
		*d = Distinct{} // one burst must not hold its memory for ever
	}
}

func (d *Distinct) insert(t int64, hash uint64) {
	i := d.free
	if i != 0 {
		d.free = d.entries[i-1].newer
		d.entries[i-1].hash = hash
	} else {
		if d.entries == nil {
			d.entries = d.first[:0]
		}
		d.entries = append(d.entries, entry{hash: hash})
		i = uint16(len(d.entries))
	}
	d.live++
	d.link(i, t)
	d.enter(i)
}

func (d *Distinct) remove(i uint16) {
	d.leave(i)
	d.unlink(i)
	d.entries[i-1].newer, d.free = d.free, i
	d.live--
}

// link puts entry i at time t into the list. The search starts at the newest: late values are few.
func (d *Distinct) link(i uint16, t int64) {
	older := d.newest
	var newer uint16
	if t < d.Newest() {
		for older != 0 && d.at(older) > t {
			older, newer = d.entries[older-1].older, older
		}
	}
	e := &d.entries[i-1]
	e.at, e.older, e.newer = uint32(t-d.base), older, newer
	if older != 0 {
		d.entries[older-1].newer = i
	} else {
		d.oldest, d.oldestAt = i, e.at
	}
	if newer != 0 {
		d.entries[newer-1].older = i
	} else {
		d.newest, d.newestAt = i, e.at
	}
}

func (d *Distinct) unlink(i uint16) {
	e := d.entries[i-1]
	if e.older != 0 {
		d.entries[e.older-1].newer = e.newer
	} else if d.oldest = e.newer; e.newer != 0 {
		d.oldestAt = d.entries[e.newer-1].at
	}
	if e.newer != 0 {
		d.entries[e.newer-1].older = e.older
	} else if d.newest = e.older; e.older != 0 {
		d.newestAt = d.entries[e.older-1].at
	}
}

func (d *Distinct) find(hash uint64) uint16 {
	if d.many == nil || d.many.index == nil {
		for i := d.newest; i != 0; i = d.entries[i-1].older {
			if d.entries[i-1].hash == hash {
				return i
			}
		}
		return 0
	}
	return d.many.index[d.place(hash)]
}

// place returns the position in the index that holds hash, or the free one where it belongs (linear probing).
func (d *Distinct) place(hash uint64) int {
	index := d.many.index
	mask := len(index) - 1
	p := int(hash) & mask
	for index[p] != 0 && d.entries[index[p]-1].hash != hash {
		p = (p + 1) & mask
	}
	return p
}

func (d *Distinct) enter(i uint16) {
	if d.many == nil || d.many.index == nil {
		if d.live > scanned {
			d.reindex()
		}
		return
	}
	if 2*int(d.live) > len(d.many.index) {
		d.reindex()
		return
	}
	d.many.index[d.place(d.entries[i-1].hash)] = i
}

func (d *Distinct) reindex() {
	if d.many == nil {
		d.many = new(many)
	}
	size := 64
	for size < 4*int(d.live) {
		size *= 2
	}
	d.many.index = make([]uint16, size)
	for i := d.newest; i != 0; i = d.entries[i-1].older {
		d.many.index[d.place(d.entries[i-1].hash)] = i
	}
}

// leave takes entry i out of the index and closes the gap (Knuth, TAOCP vol. 3, 6.4, algorithm R).
func (d *Distinct) leave(i uint16) {
	if d.many == nil || d.many.index == nil {
		return
	}
	index := d.many.index
	mask := len(index) - 1
	gap := d.place(d.entries[i-1].hash)
	index[gap] = 0
	for p := (gap + 1) & mask; index[p] != 0; p = (p + 1) & mask {
		home := int(d.entries[index[p]-1].hash) & mask
		if (p-home)&mask >= (p-gap)&mask {
			index[gap], index[p] = index[p], 0
			gap = p
		}
	}
}

// sketches counts approximately: one HyperLogLog for each sub-window.
type sketches struct {
	parts []sketch // ordered by number
}

type sketch struct {
	number int64 // sub-window number: time / width of a sub-window
	values *hyperloglog.Sketch
}

const (
	sketchParts     = 16
	sketchPrecision = 12 // 4,096 registers
)

// sketchError is the relative standard error of HyperLogLog with 2^12 registers: 1.04/sqrt(4096).
const sketchError = 0.01625

func (s *sketches) add(t int64, hash uint64, width int64) {
	number := t / partWidth(width)
	i := len(s.parts)
	for i > 0 && s.parts[i-1].number >= number {
		i--
	}
	if i == len(s.parts) || s.parts[i].number != number {
		values, err := hyperloglog.NewSketch(sketchPrecision, true)
		if err != nil {
			panic("window: " + err.Error()) // the precision is a constant
		}
		s.parts = append(s.parts, sketch{})
		copy(s.parts[i+1:], s.parts[i:])
		s.parts[i] = sketch{number, values}
		s.expire(s.parts[len(s.parts)-1].number*partWidth(width), width)
		s.add(t, hash, width)
		return
	}
	s.parts[i].values.InsertHash(hash)
}

func (s *sketches) count(now, width int64) int {
	s.expire(now, width)
	if len(s.parts) == 0 {
		return 0
	}
	all := s.parts[0].values.Clone()
	for _, p := range s.parts[1:] {
		if err := all.Merge(p.values); err != nil {
			panic("window: " + err.Error()) // all have the same precision
		}
	}
	return int(all.Estimate())
}

// expire drops the sub-windows that lie before the window as a whole.
func (s *sketches) expire(now, width int64) {
	i := 0
	for i < len(s.parts) && (s.parts[i].number+1)*partWidth(width) <= now-width {
		i++
	}
	s.parts = s.parts[i:]
}

func (s *sketches) size() int { return 32 + len(s.parts)*(1<<sketchPrecision+96) }

func partWidth(width int64) int64 { return max(1, width/sketchParts) }

// Oldest returns the time of the value that was not seen for longest, of those that are remembered, or 0 when the window is
// empty.
func (d *Distinct) Oldest() int64 {
	if d.oldest == 0 {
		return 0
	}
	return d.base + int64(d.oldestAt)
}
