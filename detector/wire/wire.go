// Package wire reads and writes the building blocks of binary state: variable-length integers, strings, floats.
//
// Every encoding made from them starts with a version byte of its own.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrCorrupt says that bytes are not what they should encode.
var ErrCorrupt = errors.New("corrupt state")

// ErrVersion says that a version of an encoding is not known; it comes with [ErrCorrupt].
var ErrVersion = errors.New("unknown version")

// VersionError says that what was encoded by a version that this program does not know.
func VersionError(what string, version byte) error {
	return fmt.Errorf("%w: %w %d of %s", ErrCorrupt, ErrVersion, version, what)
}

// AppendString appends s with its length.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendBytes appends v with its length.
func AppendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendStrings appends the number of strings and each.
func AppendStrings(b []byte, all []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		b = AppendString(b, s)
	}
	return b
}

// AppendBool appends one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendFloat appends v in eight bytes.
func AppendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// Reader takes values from the front of Rest. After a failure it returns zeros and keeps the error.
type Reader struct {
	Rest []byte
	Err  error
}

func (r *Reader) fail() {
	r.Rest = nil
	if r.Err == nil {
		r.Err = ErrCorrupt
	}
}

// Bytes takes n bytes, without copying them.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.Rest) {
		r.fail()
		return nil
	}
	v := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return v
}

// Byte takes one byte.
func (r *Reader) Byte() byte {
	if v := r.Bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// Version takes the version byte and fails unless it is want.
func (r *Reader) Version(what string, want byte) {
	if v := r.Byte(); v != want && r.Err == nil {
		r.Err = VersionError(what, v)
		r.Rest = nil
	}
}

// Bool takes what [AppendBool] wrote.
func (r *Reader) Bool() bool { return r.Byte() != 0 }

// Uint64 takes eight bytes, the least significant first.
func (r *Reader) Uint64() uint64 {
	if v := r.Bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// Float takes what [AppendFloat] wrote.
func (r *Reader) Float() float64 { return math.Float64frombits(r.Uint64()) }

// Varint takes what binary.AppendVarint wrote.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Uvarint takes what binary.AppendUvarint wrote.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// String takes what [AppendString] wrote.
func (r *Reader) String() string { return string(r.Bytes(r.Count(1))) }

// Strings takes what [AppendStrings] wrote.
func (r *Reader) Strings() []string {
	n := r.Count(1)
	all := make([]string, 0, n)
	for range n {
		all = append(all, r.String())
	}
	return all
}

// Count takes the number of items that follow, each of which takes at least size bytes: an encoding cannot make its reader
// allocate more than it is long.
func (r *Reader) Count(size int) int {
	v := r.Uvarint()
	if v > uint64(len(r.Rest)/size) {
		r.fail()
		return 0
	}
	return int(v)
}
