package keyed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrCorrupt says that a record is not what an [Encoder] writes.
var ErrCorrupt = errors.New("not a record of a keyed topic")

// reader takes values from the front of rest. After a failure it returns zeros and keeps the error.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(why string) {
	r.rest = nil
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, why)
	}
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("it ends too early")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) text() []byte { return r.bytes(r.uvarint()) }

func (r *reader) uvarint() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		v := r.rest[0]
		r.rest = r.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("it ends inside a number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) float() float64 {
	if b := r.bytes(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	v := r.uvarint()
	if v > math.MaxInt32 {
		r.fail("a number that is too large")
		return 0
	}
	return int32(v)
}

// count takes the number of items that follow, each of at least one byte.
func (r *reader) count(most uint64) int {
	v := r.uvarint()
	if v > most || v > uint64(len(r.rest)) {
		r.fail("more items than there can be")
		return 0
	}
	return int(v)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
