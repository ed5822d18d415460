package keyed

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

// The columns of numbers, in the order of the format.
const (
	colKinds  = iota
	colOffset // difference to the event before
	colIndex
	colTime // difference to the event before
	colStatus
	colDuration
	colRequestSize
	colResponseSize
	colIssued  // 0: unknown; else 1 + difference to the time of the event
	colExpires // as colIssued
	colScopes  // how many
	colAttributes
	colAddress // what belongs to each word of textAddress
	colRevoked // as colIssued; since version 2
	numberColumns
)

// The columns of texts, which follow those.
const (
	textEnvironment = iota
	textAPI
	textClientID
	textSubject
	textTokenID
	textSessionID
	textMethod
	textPath
	textRoute
	textUserAgent
	textRequestID
	textAddress
	textScope
	textAttribute
	textValue
	textColumns
)

// numbers is a column being written. While it holds nothing but zeros it is only as long as that needs to be known.
type numbers struct {
	b     []byte
	zeros int  // not written yet
	solid bool // zeros are always written: the length of the column bounds what its reader allocates
}

func (n *numbers) reset() { n.b, n.zeros = n.b[:0], 0 }

func (n *numbers) add(v uint64) {
	if v == 0 && len(n.b) == 0 && !n.solid {
		n.zeros++
		return
	}
	for ; n.zeros > 0; n.zeros-- {
		n.b = append(n.b, 0)
	}
	if v < 0x80 {
		n.b = append(n.b, byte(v))
		return
	}
	n.b = binary.AppendUvarint(n.b, v)
}

func (n *numbers) addSigned(v int64) { n.add(zigzag(v)) }

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// addFloat adds v: as thousandths, doubled, when it is a whole number of them, else 1 and its bits.
func (n *numbers) addFloat(v float64) {
	if thousandths, ok := wholeThousandths(v); ok {
		n.add(thousandths << 1)
		return
	}
	n.add(1)
	n.b = binary.LittleEndian.AppendUint64(n.b, math.Float64bits(v))
}

func wholeThousandths(v float64) (uint64, bool) {
	const most = 1 << 50
	if !(v >= 0 && v*1000 < most) || math.Signbit(v) {
		return 0, false
	}
	n := uint64(math.Round(v * 1000))
	return n, float64(n)/1000 == v
}

// words is a column of texts being written. Its dictionary is a cache: a word that another one has pushed out is written
// again.
type words struct {
	refs  numbers
	text  []byte
	list  []string          // all words; they are memory of the events
	slots [wordSlots]uint32 // by hash: 1 + place in list
	used  []uint16          // slots to clear
}

const wordSlots = 512

func (w *words) reset() {
	w.refs.reset()
	w.text = w.text[:0]
	clear(w.list)
	w.list = w.list[:0]
	for _, slot := range w.used {
		w.slots[slot] = 0
	}
	w.used = w.used[:0]
}

// add adds s, and returns its place among the words and whether it is a new one; -1 when s is empty.
func (w *words) add(s string) (word int, isNew bool) {
	if s == "" {
		w.refs.add(0)
		return -1, false
	}
	slot := xxh3.HashString(s) % wordSlots
	if at := w.slots[slot]; at > 0 && w.list[at-1] == s {
		w.refs.add(uint64(at-1)<<1 + 2)
		return int(at - 1), false
	}
	return w.addNew(s, slot), true
}

func (w *words) addNew(s string, slot uint64) int {
	w.refs.add(uint64(len(s))<<1 - 1)
	w.text = append(w.text, s...)
	w.list = append(w.list, s)
	if w.slots[slot] == 0 {
		w.used = append(w.used, uint16(slot))
	}
	w.slots[slot] = uint32(len(w.list))
	return len(w.list) - 1
}
