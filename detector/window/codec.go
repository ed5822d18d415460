package window

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/axiomhq/hyperloglog"

	"github.com/gatewatch/gatewatch/detector/wire"
)

const (
	counterVersion  = 1
	distinctVersion = 1
)

// AppendBinary appends the window's encoding to b.
func (c *Counter[V]) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, counterVersion)
	b = binary.AppendVarint(b, c.base)
	b = binary.AppendUvarint(b, uint64(c.grid))
	b = binary.AppendUvarint(b, uint64(c.used()))
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
	r := wire.Reader{Rest: b}
	r.Version("counter", counterVersion)
	*c = Counter[V]{base: r.Varint(), grid: uint32(r.Uvarint())}
	c.slots = c.first[:0]
	at := uint32(0)
	for range r.Count(2) {
		at += uint32(r.Uvarint())
		v := V(r.Varint())
		c.slots = append(c.slots, slot[V]{at, v})
		c.total += int64(v)
	}
	c.lookAtOldest()
	return r.Rest, r.Err
}

// AppendBinary appends the window's encoding to b.
func (d *Distinct) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, distinctVersion)
	more := d.many
	if more == nil {
		more = new(many)
	}
	b = binary.AppendVarint(b, more.forgotten)
	b = binary.AppendUvarint(b, uint64(d.live))
	previous := int64(0)
	for i := d.oldest; i != 0; i = d.entries[i-1].newer {
		b = binary.LittleEndian.AppendUint64(b, d.entries[i-1].hash)
		b = binary.AppendVarint(b, d.at(i)-previous)
		previous = d.at(i)
	}
	if more.sketches == nil {
		return wire.AppendBool(b, false), nil
	}
	b = wire.AppendBool(b, true)
	b = binary.AppendUvarint(b, uint64(len(more.sketches.parts)))
	for _, p := range more.sketches.parts {
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
	r := wire.Reader{Rest: b}
	r.Version("distinct", distinctVersion)
	*d = Distinct{}
	forgotten := r.Varint()
	count := r.Count(9)
	if count > MaxExact {
		return nil, wire.ErrCorrupt
	}
	at := int64(0)
	for range count {
		hash := r.Uint64()
		at += r.Varint()
		if d.newest != 0 && (at < d.Newest() || at-d.base > math.MaxUint32) || d.find(hash) != 0 {
			return nil, wire.ErrCorrupt
		}
		d.rebase(at)
		d.insert(at, hash)
	}
	if r.Bool() {
		if d.many == nil {
			d.many = new(many)
		}
		d.many.forgotten = forgotten
		if err := d.many.decodeSketches(&r); err != nil {
			return nil, err
		}
	}
	return r.Rest, r.Err
}

func (d *many) decodeSketches(r *wire.Reader) error {
	d.sketches = new(sketches)
	for range r.Count(2) {
		number := r.Varint()
		encoded := r.Bytes(r.Count(1))
		values := new(hyperloglog.Sketch)
		if r.Err != nil {
			return r.Err
		}
		if err := values.UnmarshalBinary(encoded); err != nil {
			return fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
		}
		d.sketches.parts = append(d.sketches.parts, sketch{number, values})
	}
	return nil
}
