package window

import (
	"encoding/binary"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/wire"
)

// Walks finds numbers that are asked for in sequence: each a little beyond the one before, upwards or downwards, within a sliding
// window.
//
// A walk has a frontier, the furthest number so far. A number beyond it by at most a step moves it. A number behind it by less than
// 64 that was passed over is counted when it comes, as requests that run side by side overtake each other (the bitmap is that of the
// replay window of RFC 6479). Any other number inside what was walked through is no progress: who asks again for what he has asked
// for, or jumps to and fro among a few numbers, goes nowhere. A row counts from its fourth number on, then as four.
//
// Several walks go on at once, each among numbers of one shape, such as those behind one prefix. When there are more than
// [MaxWalks], one that is no row yet makes room before one that is, then the one that has rested longest.
//
// So a walk that is no row yet is lost behind eight other numbers. Who hides each step that way asks for eight times as much, which
// rules count by other means.
//
// The zero Walks is empty and ready. Times must not fall.
type Walks struct {
	walks  []trail
	counts *Counter[uint32] // of numbers in rows; nil before the first row
}

// trail is one walk.
type trail struct {
	at       int64 // latest touch
	first    uint64
	frontier uint64
	passed   uint64 // bit i: the number i+1 behind the frontier was asked for
	shape    uint32
	members  uint32
	down     bool // meaningful from two members on
}

// MaxWalks is how many walks are followed at once.
const MaxWalks = 8

// leastRow is from how many numbers on a walk counts: of numbers in random order one in 24 begins such a row.
const leastRow = 4

// WalkWindow is what a rule wants of [Walks].
type WalkWindow struct {
	Width int64  // milliseconds
	Step  uint64 // how far a number may lie beyond the frontier
	Slots int    // instants that are counted exactly
}

// Add notes that a number of a shape was asked for at time t. A number that does not count moves the frontier, but is no progress,
// and begins no walk.
func (w *Walks) Add(t int64, shape uint32, number uint64, counts bool, window WalkWindow) {
	if i := w.find(t, shape, window.Width, func(k *trail) bool { return k.contains(number) }); i >= 0 {
		k := &w.walks[i]
		k.at = t
		if k.fill(number) && counts {
			w.progress(k, window)
		}
		return
	}
	if i := w.find(t, shape, window.Width, func(k *trail) bool { return k.continues(number, window.Step) }); i >= 0 {
		k := &w.walks[i]
		k.at = t
		if k.advance(number); counts {
			w.progress(k, window)
		}
		return
	}
	if counts {
		w.start(trail{at: t, first: number, frontier: number, shape: shape, members: 1}, window.Width)
	}
}

// find returns the first walk of the shape that goes on and fits.
func (w *Walks) find(t int64, shape uint32, width int64, fits func(*trail) bool) int {
	for i := range w.walks {
		if k := &w.walks[i]; k.shape == shape && t-k.at < width && fits(k) {
			return i
		}
	}
	return -1
}

// contains reports whether the number lies between the walk's ends.
func (k *trail) contains(number uint64) bool {
	return min(k.first, k.frontier) <= number && number <= max(k.first, k.frontier)
}

// fill notes a number between the ends. It reports whether it was passed over and lies close behind the frontier.
func (k *trail) fill(number uint64) bool {
	behind := max(number, k.frontier) - min(number, k.frontier)
	if behind == 0 || behind > 64 || k.passed>>(behind-1)&1 != 0 {
		return false
	}
	k.passed |= 1 << (behind - 1)
	return true
}

// continues reports whether the number lies beyond the frontier by at most a step.
func (k *trail) continues(number, step uint64) bool {
	if k.first == k.frontier {
		return max(number, k.frontier)-min(number, k.frontier) <= step
	}
	if k.down {
		return number < k.frontier && k.frontier-number <= step
	}
	return number > k.frontier && number-k.frontier <= step
}

// advance moves the frontier to the number.
func (k *trail) advance(number uint64) {
	if k.first == k.frontier {
		k.down = number < k.frontier
	}
	by := max(number, k.frontier) - min(number, k.frontier)
	k.passed = k.passed<<by | 1<<(by-1) // shifts by 64 or more give 0
	k.frontier = number
}

// progress counts a number of the walk.
func (w *Walks) progress(k *trail, window WalkWindow) {
	k.members = min(k.members+1, 1<<31)
	switch {
	case k.members < leastRow:
		return
	case w.counts == nil:
		w.counts = new(Counter[uint32])
	}
	n := uint32(1)
	if k.members == leastRow {
		n = leastRow
	}
	w.counts.Add(k.at, n, window.Width, window.Slots)
}

// start begins a walk, in place of another when there are enough.
func (w *Walks) start(k trail, width int64) {
	if len(w.walks) < MaxWalks {
		w.walks = append(w.walks, k)
		return
	}
	worst := 0
	for i := range w.walks {
		if w.walks[i].goesBefore(&w.walks[worst], k.at-width) {
			worst = i
		}
	}
	w.walks[worst] = k
}

// goesBefore reports whether the walk makes room before another one; what has rested since over is of no use any more.
func (k *trail) goesBefore(other *trail, over int64) bool {
	row, otherRow := k.members >= leastRow && k.at > over, other.members >= leastRow && other.at > over
	if row != otherRow {
		return otherRow
	}
	return k.at < other.at
}

// Total returns how many numbers of rows were asked for in the window that ends at now, and how much of that may lie before it, as
// a fraction: 0 while exact.
func (w *Walks) Total(now, width int64) (n int, relativeError float64) {
	if w.counts == nil {
		return 0, 0
	}
	return int(w.counts.Total(now, width)), w.counts.Error(now, width)
}

// Longest returns the first and the last number of the walk with the most numbers, of those that go on at now, and how many they
// are; 0 when there is none.
func (w *Walks) Longest(now, width int64) (from, to uint64, members int) {
	for i := range w.walks {
		if k := &w.walks[i]; now-k.at < width && int(k.members) > members {
			from, to, members = k.first, k.frontier, int(k.members)
		}
	}
	return from, to, members
}

// Newest returns the time of the latest number, or 0 when there was none.
func (w *Walks) Newest() (t int64) {
	for i := range w.walks {
		t = max(t, w.walks[i].at)
	}
	return t
}

// Size returns the bytes that the walks occupy beside the struct itself, give or take.
func (w *Walks) Size() int {
	n := 0
	if len(w.walks) > 0 {
		n = room(len(w.walks)) * int(unsafe.Sizeof(trail{}))
	}
	if w.counts != nil {
		n += w.counts.Size()
	}
	return n
}

const walksVersion = 1

// AppendBinary appends the walks' encoding to b.
func (w *Walks) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, walksVersion)
	b = binary.AppendUvarint(b, uint64(len(w.walks)))
	for i := range w.walks {
		k := &w.walks[i]
		b = binary.AppendVarint(b, k.at)
		b = binary.AppendUvarint(b, k.first)
		b = binary.AppendUvarint(b, k.frontier)
		b = binary.AppendUvarint(b, k.passed)
		b = binary.LittleEndian.AppendUint32(b, k.shape)
		b = binary.AppendUvarint(b, uint64(k.members))
		b = wire.AppendBool(b, k.down)
	}
	if b = wire.AppendBool(b, w.counts != nil); w.counts == nil {
		return b, nil
	}
	return w.counts.AppendBinary(b)
}

// DecodeBinary replaces the walks by those encoded at the start of b and returns the rest of b.
func (w *Walks) DecodeBinary(b []byte) (rest []byte, err error) {
	r := wire.Reader{Rest: b}
	r.Version("walks", walksVersion)
	*w = Walks{}
	n := r.Count(10)
	if n > MaxWalks {
		return nil, wire.ErrCorrupt
	}
	for range n {
		k := trail{at: r.Varint(), first: r.Uvarint(), frontier: r.Uvarint(), passed: r.Uvarint()}
		if shape := r.Bytes(4); shape != nil {
			k.shape = binary.LittleEndian.Uint32(shape)
		}
		k.members, k.down = uint32(r.Uvarint()), r.Bool()
		w.walks = append(w.walks, k)
	}
	if !r.Bool() || r.Err != nil {
		return r.Rest, r.Err
	}
	w.counts = new(Counter[uint32])
	return w.counts.DecodeBinary(r.Rest)
}
