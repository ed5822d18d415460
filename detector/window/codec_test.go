package window

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// FuzzRoundTrip fills windows from the input, encodes, decodes and goes on with both: they must behave alike.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint16(10), uint16(1000))
	f.Add(uint64(2), uint16(500), uint16(60_000))
	f.Fuzz(func(t *testing.T, seed uint64, n, width uint16) {
		w := int64(width) + 10
		var c Counter[uint32]
		var s Counter[int64]
		var d Distinct
		fill := func(c *Counter[uint32], s *Counter[int64], d *Distinct) func(int64, *rand.Rand) {
			return func(at int64, r *rand.Rand) {
				c.Add(at, uint32(r.IntN(3)), w, 40)
				s.Add(at, int64(r.IntN(1e6)), w, 40)
				d.Add(at, r.Uint64N(100)*0x9e3779b97f4a7c15, w, 40)
			}
		}
		walk(seed, int(n%700), w, fill(&c, &s, &d))
		var c2 Counter[uint32]
		var s2 Counter[int64]
		var d2 Distinct
		b := encode(t, &c, &s, &d)
		rest := b
		for _, decode := range []func([]byte) ([]byte, error){c2.DecodeBinary, s2.DecodeBinary, d2.DecodeBinary} {
			var err error
			if rest, err = decode(rest); err != nil {
				t.Fatal(err)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes left", len(rest))
		}
		if again := encode(t, &c2, &s2, &d2); !bytes.Equal(b, again) {
			t.Fatal("encoding the decoded windows gives other bytes")
		}
		walk(seed+1, 100, w, fill(&c, &s, &d))
		walk(seed+1, 100, w, fill(&c2, &s2, &d2))
		if !bytes.Equal(encode(t, &c, &s, &d), encode(t, &c2, &s2, &d2)) {
			t.Fatal("a decoded window behaves differently")
		}
	})
}

func encode(t *testing.T, windows ...interface{ AppendBinary([]byte) ([]byte, error) }) (b []byte) {
	t.Helper()
	for _, w := range windows {
		var err error
		if b, err = w.AppendBinary(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// FuzzDecode feeds arbitrary bytes: an error or a window, never a panic or a huge allocation.
func FuzzDecode(f *testing.F) {
	var d Distinct
	d.Add(5, 7, 100, 10)
	b, _ := d.AppendBinary(nil)
	f.Add(b)
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Distinct
		if _, err := d.DecodeBinary(b); err == nil {
			d.Add(1<<40, 9, 1000, 100)
			d.Count(1<<40, 1000)
		}
		var c Counter[uint32]
		if _, err := c.DecodeBinary(b); err == nil {
			c.Add(1<<40, 1, 1000, 100)
			c.Total(1<<40, 1000)
		}
	})
}
