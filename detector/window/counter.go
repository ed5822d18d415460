package window

import (
	"math/bits"
	"unsafe"
)

// Number is what a slot of a window holds: uint32 for counts, int64 for sums. Sums of fractions are kept in a smaller unit,
// so that a total never depends on the order of additions.
type Number interface{ uint32 | int64 }

// Counter is a sliding count or sum.
//
// It keeps one slot for each instant with values and is exact while it has at most the given number of slots. Beyond
// that it merges its slots into sub-windows of 1/64 of the width, and stays so until it has run empty. A sub-window counts
// until its newest value leaves the window, so that an inexact total is never too small and too large by at most the
// content of the oldest sub-window.
//
// The zero Counter is empty and ready. It must not be copied once it is in use: its first slots are kept in the struct
// itself, which saves a cache miss for the many entities that have few.
type Counter[V Number] struct {
	base  int64 // times are kept as milliseconds after base
	slots []slot[V]
	total int64
	head  uint32 // slots before head are expired
	grid  uint32 // width of a sub-window in milliseconds; 0 while exact
	// oldest is slots[head].at: looking there would cost a cache miss for each event, and seldom is anything expired.
	oldest uint32
	first  [4]slot[V]
}

type slot[V Number] struct {
	at    uint32 // the newest time in the slot
	value V
}

// subWindows is into how many parts an inexact window is divided.
const subWindows = 64

// Add counts v at time t for a window of width milliseconds that keeps at most maxSlots exact instants. It reports whether
// t is still inside the window.
func (c *Counter[V]) Add(t int64, v V, width int64, maxSlots int) bool {
	if len(c.slots) > 0 && t <= c.newest()-width {
		return false
	}
	c.expire(max(t, c.newest()), width)
	if c.empty() {
		c.restart(t)
	}
	c.rebase(t)
	c.insert(uint32(t-c.base), v)
	c.total += int64(v)
	if c.used() > maxSlots && c.grid == 0 {
		c.coarsen(width)
	}
	return true
}

// Total returns the sum over the window that ends at now.
func (c *Counter[V]) Total(now, width int64) int64 {
	c.expire(now, width)
	return c.total
}

// Error returns how much of [Counter.Total] may lie before the window, as a fraction of it: 0 while exact.
func (c *Counter[V]) Error(now, width int64) float64 {
	if c.grid == 0 || c.empty() || c.total == 0 {
		return 0
	}
	oldest := c.slots[c.head]
	start := c.base + int64(oldest.at-oldest.at%c.grid)
	if start > now-width {
		return 0
	}
	return float64(oldest.value) / float64(c.total)
}

// Newest returns the latest time counted, or 0 when the window is empty.
func (c *Counter[V]) Newest() int64 {
	if c.empty() {
		return 0
	}
	return c.newest()
}

// Touch reads what [Counter.Add] will read, so that it is in the processor's cache. The result means nothing.
func (c *Counter[V]) Touch() int {
	if n := len(c.slots); n > 0 {
		return int(c.slots[n-1].at)
	}
	return int(c.grid)
}

// Size returns the bytes that the window occupies, give or take: it follows from what the window holds, not from how it
// has come to hold it.
func (c *Counter[V]) Size() int {
	if c.used() <= len(c.first) {
		return int(unsafe.Sizeof(*c))
	}
	return int(unsafe.Sizeof(*c)) + room(c.used())*int(unsafe.Sizeof(slot[V]{}))
}

// room is how many items a slice that has grown to n has room for, about.
func room(n int) int { return 1 << bits.Len(uint(max(1, n)-1)) }

// kept is how many items a slice may have room for without being looked at.
const kept = 64

// trim gives memory back when a window holds much less than it has held.
func (c *Counter[V]) trim() {
	if cap(c.slots) > kept && 8*c.used() < cap(c.slots) {
		c.slots, c.head = append(make([]slot[V], 0, 2*c.used()), c.slots[c.head:]...), 0
	}
}

func (c *Counter[V]) empty() bool { return int(c.head) == len(c.slots) }

func (c *Counter[V]) used() int { return len(c.slots) - int(c.head) }

func (c *Counter[V]) newest() int64 {
	if len(c.slots) == 0 {
		return c.base
	}
	return c.base + int64(c.slots[len(c.slots)-1].at)
}

func (c *Counter[V]) restart(t int64) {
	c.base, c.grid, c.head, c.total = t, 0, 0, 0
	c.slots = c.slots[:0]
	if cap(c.slots) == 0 || cap(c.slots) > 64 {
		c.slots = c.first[:0] // one burst must not hold its memory for ever
	}
}

// rebase makes room for t in the 32-bit offsets: downwards for a late value, upwards after 24 days.
func (c *Counter[V]) rebase(t int64) {
	first := c.base
	if !c.empty() {
		first += int64(c.oldest)
	}
	base := c.base
	if t < base {
		base = t
	} else if t-base > 1<<31 {
		base = min(first, t)
	}
	if c.grid != 0 { // sub-windows stay aligned
		base -= mod(base-c.base, int64(c.grid))
	}
	if base == c.base {
		return
	}
	for i := int(c.head); i < len(c.slots); i++ {
		c.slots[i].at = uint32(c.base + int64(c.slots[i].at) - base)
	}
	c.base = base
	c.lookAtOldest()
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

func (c *Counter[V]) insert(at uint32, v V) {
	i, head := len(c.slots), int(c.head)
	for i > head && c.slots[i-1].at > at && !c.together(c.slots[i-1].at, at) {
		i--
	}
	if i > head && c.together(c.slots[i-1].at, at) && c.slots[i-1].value+v >= v { // no overflow
		c.slots[i-1].value += v
		c.slots[i-1].at = max(c.slots[i-1].at, at)
		if i-1 == head {
			c.lookAtOldest()
		}
		return
	}
	if len(c.slots) == cap(c.slots) && head > len(c.slots)/2 {
		n := copy(c.slots, c.slots[head:])
		i -= head
		c.slots, c.head = c.slots[:n], 0
	}
	c.slots = append(c.slots, slot[V]{})
	copy(c.slots[i+1:], c.slots[i:])
	c.slots[i] = slot[V]{at, v}
	if i == int(c.head) {
		c.oldest = at
	}
}

func (c *Counter[V]) together(a, b uint32) bool {
	return a == b || c.grid != 0 && a/c.grid == b/c.grid
}

func (c *Counter[V]) expire(now, width int64) {
	before := c.head
	for !c.empty() && c.base+int64(c.oldest) <= now-width {
		c.total -= int64(c.slots[c.head].value)
		c.head++
		c.lookAtOldest()
	}
	if c.head != before {
		c.trim()
	}
}

func (c *Counter[V]) lookAtOldest() {
	if !c.empty() {
		c.oldest = c.slots[c.head].at
	}
}

func (c *Counter[V]) coarsen(width int64) {
	c.grid = uint32(max(1, width/subWindows))
	live := c.slots[c.head:]
	merged := c.slots[:0]
	for _, s := range live {
		n := len(merged)
		if n > 0 && c.together(merged[n-1].at, s.at) && merged[n-1].value+s.value >= s.value {
			merged[n-1].value += s.value
			merged[n-1].at = s.at
			continue
		}
		merged = append(merged, s)
	}
	c.head = 0
	c.slots = append(make([]slot[V], 0, len(merged)+len(merged)/2), merged...)
	c.lookAtOldest()
}

// Oldest returns the earliest time counted, or 0 when the window is empty. In an inexact window it is that of the newest value
// in the oldest sub-window.
func (c *Counter[V]) Oldest() int64 {
	if c.empty() {
		return 0
	}
	return c.base + int64(c.oldest)
}
