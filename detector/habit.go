package detector

import (
	"encoding/binary"

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

// maxHabitValues bounds what is remembered; the value that was not seen for longest goes first.
const maxHabitValues = 32

// see notes the value on the given day (days since 1970) and reports whether it was usual before.
func (h *habit) see(value uint32, day uint16, learning bool, learn rules.Learning) (usual bool) {
	v := h.find(value)
	if v == nil {
		v = h.add(value, day)
	} else if v.lastDay < day {
		v.lastDay = day
		v.days += b2u(v.days < 255)
	}
	usual = v.usual
	v.usual = usual || learning || int(v.days) >= learn.MinDays
	return usual
}

// usual reports whether the value is usual.
func (h *habit) usual(value uint32) bool {
	v := h.find(value)
	return v != nil && v.usual
}

func (h *habit) find(value uint32) *habitValue {
	for i := range h.values {
		if h.values[i].value == value {
			return &h.values[i]
		}
	}
	return nil
}

func (h *habit) add(value uint32, day uint16) *habitValue {
	if len(h.values) < maxHabitValues {
		h.values = append(h.values, habitValue{value: value, lastDay: day, days: 1})
		return &h.values[len(h.values)-1]
	}
	stale := 0
	for i := range h.values {
		if h.values[i].lastDay < h.values[stale].lastDay {
			stale = i
		}
	}
	h.values[stale] = habitValue{value: value, lastDay: day, days: 1}
	return &h.values[stale]
}

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
