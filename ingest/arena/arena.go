// Package arena is the memory that the strings of one batch of events live in. It is filled by one goroutine, read by
// many, and used again as a whole once the batch is released: no event is allocated or collected by itself.
package arena

import (
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Sizes in bytes. An arena that one huge record has blown up does not stay that large when it is used again.
const (
	chunkSize = 256 << 10
	maxKept   = 4 << 20
)

// Arena hands out memory that stays valid until [Arena.Reset]. The zero Arena is ready. It is not safe for concurrent use.
type Arena struct {
	chunks [][]byte // all of chunkSize but for single larger requests; lengths are what is used
	at     int      // chunk being filled
	used   int      // bytes handed out

	strings    []string
	attributes []event.Attribute
}

// Reserve returns an empty slice with room for n bytes. What the caller appends becomes his with [Arena.Commit]; the
// next Reserve or Copy would overwrite the rest.
func (a *Arena) Reserve(n int) []byte {
	for ; a.at < len(a.chunks); a.at++ {
		if c := a.chunks[a.at]; cap(c)-len(c) >= n {
			return c[len(c):len(c):cap(c)]
		}
	}
	a.chunks = append(a.chunks, make([]byte, 0, max(n, chunkSize)))
	return a.chunks[a.at]
}

// Commit keeps b, which must be the slice of the last [Arena.Reserve] with no more appended than was reserved.
func (a *Arena) Commit(b []byte) {
	c := a.chunks[a.at]
	a.chunks[a.at] = c[:len(c)+len(b)]
	a.used += len(b)
}

// CommitString is [Arena.Commit] with b returned as a string.
func (a *Arena) CommitString(b []byte) string {
	a.Commit(b)
	return String(b)
}

// Copy keeps a copy of b, followed by pad zero bytes that the result does not include but may be resliced to.
func (a *Arena) Copy(b []byte, pad int) []byte {
	dst := append(a.Reserve(len(b)+pad), b...)
	n := len(dst)
	dst = dst[:n+pad]
	clear(dst[n:])
	a.Commit(dst)
	return dst[:n]
}

// Strings keeps a list of strings; the list, not what they point to, is memory of the arena.
func (a *Arena) Strings(list []string) []string {
	start := len(a.strings)
	a.strings = append(a.strings, list...)
	return a.strings[start:len(a.strings):len(a.strings)]
}

// Attributes keeps a list of attributes in the same way.
func (a *Arena) Attributes(list []event.Attribute) []event.Attribute {
	start := len(a.attributes)
	a.attributes = append(a.attributes, list...)
	return a.attributes[start:len(a.attributes):len(a.attributes)]
}

// Used returns how many bytes are handed out.
func (a *Arena) Used() int { return a.used }

// Reset takes all memory back: nothing that was handed out may be used any more.
func (a *Arena) Reset() {
	kept := 0
	for i, c := range a.chunks {
		if kept += cap(c); kept > maxKept {
			clear(a.chunks[i:])
			a.chunks = a.chunks[:i]
			break
		}
		a.chunks[i] = c[:0]
	}
	a.at, a.used = 0, 0
	a.strings = reuse(a.strings)
	a.attributes = reuse(a.attributes)
}

// reuse empties a list and forgets what it pointed to, so that dropped chunks can be collected.
func reuse[T any](list []T) []T {
	if cap(list)*int(unsafe.Sizeof(*new(T))) > maxKept {
		return nil
	}
	clear(list)
	return list[:0]
}

// String returns b as a string without copying it: b must not change while the string is in use.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
