package window

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/axiomhq/hyperloglog"
)

// ErrCorrupt says that bytes are no encoding of a window.
var ErrCorrupt = errors.New("window: corrupt encoding")

const (
	counterVersion  = 1
	distinctVersion = 1
)

// AppendBinary appends the window's encoding to b.
func (c *Counter[V]) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, counterVersion)
	b = binary.AppendVarint(b, c.base)
	b = binary.AppendUvarint(b, uint64(c.grid))
	b = binary.AppendUvarint(b, uint64(len(c.slots)-c.head))
	previous := uint32(0)
	for _, s := range c.slots[c.head:] {
		b = binary.AppendUvarint(b, uint64(s.at-previous))
		b = binary.AppendVarint(b, int64(s.value))
		previous = s.at
	}
	return b, nil
}

// DecodeBinary replaces the window by the one encoded at the start of b and returns the rest of b.
func (c *Counter[V]) DecodeBinary(b []byte) (rest []byte, err error) {
	r := reader{b: b}
	if v := r.byte(); v != counterVersion {
		return nil, fmt.Errorf("%w: counter version %d", ErrCorrupt, v)
	}
	n := Counter[V]{base: r.varint(), grid: uint32(r.uvarint())}
	count := r.count(2)
	n.slots = make([]slot[V], 0, count)
	at := uint32(0)
	for range count {
		at += uint32(r.uvarint())
		v := r.varint()
		n.slots = append(n.slots, slot[V]{at, V(v)})
		n.total += int64(V(v))
	}
	if r.failed {
		return nil, ErrCorrupt
	}
	*c = n
	return r.b, nil
}

// AppendBinary appends the window's encoding to b.
func (d *Distinct) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, distinctVersion)
	b = binary.AppendVarint(b, d.forgotten)
	b = binary.AppendUvarint(b, uint64(d.live))
	previous := int64(0)
	for i := d.oldest; i != 0; i = d.entries[i-1].newer {
		b = binary.LittleEndian.AppendUint64(b, d.entries[i-1].hash)
		b = binary.AppendVarint(b, d.entries[i-1].at-previous)
		previous = d.entries[i-1].at
	}
	if d.sketches == nil {
		return binary.AppendUvarint(b, 0), nil
	}
	b = binary.AppendUvarint(b, uint64(len(d.sketches.parts))+1)
	for _, p := range d.sketches.parts {
		values, err := p.values.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("encode sketch: %w", err)
		}
		b = binary.AppendVarint(b, p.number)
		b = binary.AppendUvarint(b, uint64(len(values)))
		b = append(b, values...)
	}
	return b, nil
}

// DecodeBinary replaces the window by the one encoded at the start of b and returns the rest of b.
func (d *Distinct) DecodeBinary(b []byte) (rest []byte, err error) {
	r := reader{b: b}
	if v := r.byte(); v != distinctVersion {
		return nil, fmt.Errorf("%w: distinct version %d", ErrCorrupt, v)
	}
	n := Distinct{forgotten: r.varint()}
	count := r.count(9)
	if count > MaxExact {
		return nil, ErrCorrupt
	}
	at := int64(0)
	for range count {
		hash := r.uint64()
		at += r.varint()
		if n.find(hash) != 0 {
			return nil, ErrCorrupt
		}
		n.insert(at, hash)
	}
	if err := n.decodeSketches(&r); err != nil {
		return nil, err
	}
	if r.failed {
		return nil, ErrCorrupt
	}
	*d = n
	return r.b, nil
}

func (d *Distinct) decodeSketches(r *reader) error {
	parts := r.count(2)
	if parts == 0 {
		return nil
	}
	d.sketches = new(sketches)
	for range parts - 1 {
		number := r.varint()
		encoded := r.bytes(r.count(1))
		values := new(hyperloglog.Sketch)
		if r.failed {
			return ErrCorrupt
		}
		if err := values.UnmarshalBinary(encoded); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		d.sketches.parts = append(d.sketches.parts, sketch{number, values})
	}
	return nil
}

// reader takes values from the front of b. After a failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) fail() { r.b, r.failed = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uint64() uint64 {
	if v := r.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the number of items that follow, each of which takes at least size bytes: an encoding cannot make its reader
// allocate more than it is long.
func (r *reader) count(size int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/size)+1 {
		r.fail()
		return 0
	}
	return int(v)
}
