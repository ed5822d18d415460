package window

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/wire"
)

// Touched remembers, for months rather than for a window, which values were touched and since which day. It tells a value that
// was touched on an earlier day from one that is new: what is touched today makes itself known tomorrow at the earliest.
//
// Values are given as 64-bit hashes, of which 32 bits are kept. At most a given number is remembered. When there are more, those
// that were not touched for [TouchedDays] are forgotten, and if that does not suffice, only a sample is remembered from then on:
// the half of the values whose hashes end in a zero bit, then a quarter, and so on (M. Wegman's adaptive sampling, analysed by
// P. Flajolet, "On adaptive sampling", Computing 43, 1990). So of an entity that touches a million values each day, the share
// that is known is still right, and whoever touches many values pushes out none in particular.
//
// The zero Touched is empty and ready. A day is a number of days since 1970 and at least 1.
type Touched struct {
	slots []touch // open addressing with linear probing, at most half full; its length is a power of two
	live  int32
	level uint8 // the sample is 1 value in 2^level
}

// touch is one value that is remembered; last is 0 in a free slot.
type touch struct {
	mark        uint32
	first, last uint16 // days
}

// TouchedDays is how many days without a touch a value is remembered when room is wanted.
const TouchedDays = 90

// Familiarity is what [Touched.Note] knows of a value.
type Familiarity uint8

// What is known of a value.
const (
	Unsampled Familiarity = iota // it is not in the sample: nothing is known
	New                          // it was never touched before
	Today                        // it was touched before, but not on an earlier day
	Known                        // it was touched on an earlier day
)

// Note records that the value with the given hash was touched on a day, and says what was known before. At most most values are
// remembered.
func (m *Touched) Note(hash uint64, day uint16, most int) Familiarity {
	mark := uint32(hash >> 32)
	if mark&m.mask() != 0 {
		return Unsampled
	}
	if len(m.slots) == 0 {
		m.slots = make([]touch, 4)
	}
	s := &m.slots[m.place(mark)]
	if s.last != 0 {
		return s.again(day)
	}
	if int(m.live) >= most {
		if m.thin(day, most); mark&m.mask() != 0 {
			return Unsampled
		}
	}
	if 2*int(m.live+1) > len(m.slots) {
		m.rebuild(2*len(m.slots), func(touch) bool { return true })
	}
	m.slots[m.place(mark)] = touch{mark, day, day}
	m.live++
	return New
}

// Look says what is known of the value with the given hash on a day.
func (m *Touched) Look(hash uint64, day uint16) Familiarity {
	mark := uint32(hash >> 32)
	if mark&m.mask() != 0 {
		return Unsampled
	}
	if len(m.slots) == 0 {
		return New
	}
	return m.slots[m.place(mark)].familiar(day)
}

func (s *touch) familiar(day uint16) Familiarity {
	switch {
	case s.last == 0:
		return New
	case s.first < day:
		return Known
	}
	return Today
}

func (s *touch) again(day uint16) Familiarity {
	known := s.familiar(day)
	s.first, s.last = min(s.first, day), max(s.last, day)
	return known
}

// Weight is how many values each value of the sample stands for: 1 while all are remembered.
func (m *Touched) Weight() uint32 { return 1 << m.level }

// Len returns how many values are remembered.
func (m *Touched) Len() int { return int(m.live) }

// mask has the bits that are zero in the marks of the sample.
func (m *Touched) mask() uint32 { return 1<<m.level - 1 }

// place returns the slot that holds the mark, or the free one where it belongs. The multiplication (Knuth's multiplicative hashing)
// spreads marks that end in the same bits.
func (m *Touched) place(mark uint32) int {
	last := len(m.slots) - 1
	p := int(mark*0x9e3779b1>>16) & last
	for m.slots[p].last != 0 && m.slots[p].mark != mark {
		p = (p + 1) & last
	}
	return p
}

// thin makes room: a quarter of it, so that it is seldom needed.
func (m *Touched) thin(day uint16, most int) {
	m.rebuild(len(m.slots), func(s touch) bool { return int(s.last)+TouchedDays >= int(day) })
	for int(m.live) > most-max(1, most/4) && m.level < 31 {
		m.level++
		m.rebuild(len(m.slots), func(s touch) bool { return s.mark&m.mask() == 0 })
	}
}

// rebuild moves the values that are to be kept to a new table.
func (m *Touched) rebuild(size int, keep func(touch) bool) {
	old := m.slots
	m.slots, m.live = make([]touch, size), 0
	for _, s := range old {
		if s.last != 0 && keep(s) {
			m.slots[m.place(s.mark)] = s
			m.live++
		}
	}
}

// Touch reads what [Touched.Note] will read, as far as that is known, so that it is in the processor's cache. The result means
// nothing.
func (m *Touched) Touch() int {
	if len(m.slots) == 0 {
		return 0
	}
	return int(m.slots[0].last)
}

// Size returns the bytes that the memory occupies beside the struct itself, give or take: it follows from what is remembered, not
// from how it has come to be.
func (m *Touched) Size() int {
	if m.live == 0 {
		return 0
	}
	return max(4, 2<<bits.Len32(uint32(m.live)-1)) * int(unsafe.Sizeof(touch{}))
}

const touchedVersion = 1

// AppendBinary appends the memory's encoding to b.
func (m *Touched) AppendBinary(b []byte) []byte {
	b = append(b, touchedVersion, m.level)
	b = binary.AppendUvarint(b, uint64(m.live))
	all := make([]touch, 0, m.live)
	for _, s := range m.slots {
		if s.last != 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b touch) int { return cmp.Compare(a.mark, b.mark) })
	before := uint32(0)
	for _, s := range all {
		b = binary.AppendUvarint(b, uint64(s.mark-before))
		b = binary.AppendUvarint(b, uint64(s.last))
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		before = s.mark
	}
	return b
}

// Read replaces the memory by the one encoded at the start of r.
func (m *Touched) Read(r *wire.Reader) {
	r.Version("touched values", touchedVersion)
	*m = Touched{level: r.Byte() & 31}
	n := r.Count(3)
	if n > 0 {
		m.slots = make([]touch, max(4, 2<<bits.Len(uint(n)-1)))
	}
	mark := uint32(0)
	for range n {
		mark += uint32(r.Uvarint())
		last := uint16(r.Uvarint())
		s := touch{mark, last - uint16(r.Uvarint()), last}
		if at := m.place(mark); s.last != 0 && m.slots[at].last == 0 && r.Err == nil {
			m.slots[at] = s
			m.live++
		}
	}
}
