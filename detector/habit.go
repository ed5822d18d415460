package detector

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// habit learns which of a few values (hours of the day, countries, networks) are usual for one entity, by the number of
// different days on which each was seen.
//
// While the entity is new, a value counts as usual as soon as it was seen. Once there is enough history, a new value has to
// be seen on as many different days as the first learning took, each of which raised an alert before: an intruder cannot
// teach his hours by being there for a night.
type habit struct {
	values []habitValue
}

type habitValue struct {
	value   uint32
	lastDay uint16
	days    uint8 // different days, up to 255
	usual   bool
}

// maxHabitValues bounds what is remembered of hours and places.
const maxHabitValues = 32

// see notes the value on the given day (days since 1970). It returns where the value stands, whether it was not remembered
// before, and whether it was usual. At most most values are remembered.
func (h *habit) see(value uint32, day uint16, learning bool, learn rules.Learning, most int) (at int, added, usual bool) {
	at = h.find(value)
	if added = at < 0; added {
		at = h.add(value, day, most)
	}
	v := &h.values[at]
	if v.lastDay < day {
		v.lastDay = day
		v.days += b2u(v.days < 255)
	}
	usual = v.usual
	v.usual = usual || learning || int(v.days) >= learn.MinDays
	return at, added, usual
}

// usual reports whether the value is usual.
func (h *habit) usual(value uint32) bool {
	at := h.find(value)
	return at >= 0 && h.values[at].usual
}

func (h *habit) find(value uint32) int {
	for i := range h.values {
		if h.values[i].value == value {
			return i
		}
	}
	return -1
}

// add returns where the new value stands. When there are most already, one that is not usual goes before one that is, and among
// them the one that was not seen for longest: what an intruder brings does not push out what is usual.
func (h *habit) add(value uint32, day uint16, most int) int {
	if len(h.values) < most {
		h.values = append(h.values, habitValue{value: value, lastDay: day, days: 1})
		return len(h.values) - 1
	}
	stale := 0
	for i := range h.values {
		if h.values[i].staler(h.values[stale]) {
			stale = i
		}
	}
	h.values[stale] = habitValue{value: value, lastDay: day, days: 1}
	return stale
}

func (v habitValue) staler(than habitValue) bool {
	if v.usual != than.usual {
		return than.usual
	}
	return v.lastDay < than.lastDay
}

// touch reads what the next look-up will read first; the result means nothing.
func (h *habit) touch() int {
	if len(h.values) == 0 {
		return 0
	}
	return int(h.values[0].days)
}

func (h *habit) size() int { return room(len(h.values)) * int(unsafe.Sizeof(habitValue{})) }

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// history is how much is known of an entity.
type history struct {
	events  uint32
	lastDay uint16
	days    uint16 // different days with activity
}

func (h *history) see(day uint16) {
	h.events += uint32(b2u(h.events < 1<<31))
	if h.days == 0 || day > h.lastDay {
		h.days += uint16(b2u(h.days < 1<<15))
		h.lastDay = day
	}
}

// enough reports whether the history before today suffices to call something unusual.
func (h *history) enough(learn rules.Learning) bool {
	return int(h.events) >= learn.MinEvents && int(h.days) >= learn.MinDays
}

// An entity's habits are remembered for 90 days without an event once there are enough of them, and before for a week for
// each day on which it was seen: what comes once, as most of a flood does, does not stay for a season.
const (
	forgetAfter    = 90 * 24 * 3600 * 1000
	forgetNewAfter = 7 * 24 * 3600 * 1000
)

func (h *history) rememberedFor(learn rules.Learning) event.Time {
	if h.enough(learn) {
		return forgetAfter
	}
	return min(forgetAfter, forgetNewAfter*event.Time(max(1, h.days)))
}

// explain says how much is known.
func (h *history) explain(learn rules.Learning) string {
	have := fmt.Sprintf("%s on %s of history", one(int(h.events), "request", "requests"), count(int(h.days), "day"))
	if h.enough(learn) {
		return have
	}
	return fmt.Sprintf("%s, too little to judge: that takes %s on %s", have, one(learn.MinEvents, "request", "requests"), count(learn.MinDays, "day"))
}

func (h *history) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(h.events))
	b = binary.AppendUvarint(b, uint64(h.lastDay))
	return binary.AppendUvarint(b, uint64(h.days))
}

func (h *history) read(r *wire.Reader) {
	*h = history{events: uint32(r.Uvarint()), lastDay: uint16(r.Uvarint()), days: uint16(r.Uvarint())}
}

func dayOf(t event.Time) uint16 { return uint16(max(0, t/(24*3600*1000))) }

func (h *habit) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(h.values)))
	for _, v := range h.values {
		b = binary.AppendUvarint(b, uint64(v.value))
		b = binary.AppendUvarint(b, uint64(v.lastDay))
		b = append(b, v.days, b2u(v.usual))
	}
	return b
}

func (h *habit) read(r *wire.Reader) {
	for range r.Count(4) {
		h.values = append(h.values, habitValue{
			value: uint32(r.Uvarint()), lastDay: uint16(r.Uvarint()), days: r.Byte(), usual: r.Bool(),
		})
	}
}
