package window

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gatewatch/gatewatch/detector/wire"
)

// plainTouched is the slow, obvious twin of [Touched] while it forgets nothing.
type plainTouched map[uint32]uint16

func (p plainTouched) note(hash uint64, day uint16) Familiarity {
	first, ok := p[uint32(hash>>32)]
	if !ok || day < first {
		p[uint32(hash>>32)] = day
	}
	switch {
	case !ok:
		return New
	case first < day:
		return Known
	}
	return Today
}

func FuzzTouchedAgainstTwin(f *testing.F) {
	f.Add(uint64(1), uint16(50))
	f.Add(uint64(2), uint16(900))
	f.Fuzz(func(t *testing.T, seed uint64, values uint16) {
		r := rand.New(rand.NewPCG(seed, 3))
		var m Touched
		twin := plainTouched{}
		day := uint16(20_000)
		for i := range 2000 {
			day += uint16(b2i(r.IntN(100) == 0))
			at := day - uint16(b2i(r.IntN(50) == 0)) // late, from the day before
			hash := mixed(uint64(r.IntN(int(values) + 1)))
			looked := m.Look(hash, at)
			got, want := m.Note(hash, at, 1<<16), twin.note(hash, at)
			if got != want || looked != want || m.Len() != len(twin) {
				t.Fatalf("step %d: noted %v, looked %v, want %v; %d remembered of %d", i, got, looked, want, m.Len(), len(twin))
			}
			if i%500 == 0 {
				m = recodedTouched(t, &m)
			}
		}
	})
}

func recodedTouched(t *testing.T, m *Touched) (decoded Touched) {
	t.Helper()
	b := m.AppendBinary(nil)
	r := wire.Reader{Rest: b}
	decoded.Read(&r)
	if r.Err != nil || len(r.Rest) != 0 || !bytes.Equal(decoded.AppendBinary(nil), b) || decoded.Size() != m.Size() {
		t.Fatalf("decoded to something else: %v, %d bytes left, size %d, want %d", r.Err, len(r.Rest), decoded.Size(), m.Size())
	}
	return decoded
}

func mixed(v uint64) uint64 {
	v = (v + 1) * 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	return v ^ v>>27
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestTouchedSamplesWhatIsTooMuch touches ten times as many values as are remembered, the same each day, and then others.
func TestTouchedSamplesWhatIsTooMuch(t *testing.T) {
	const most, values = 1024, 10 * 1024
	var m Touched
	touch := func(from uint64, day uint16) (fresh, known float64) {
		for i := range uint64(values) {
			switch m.Note(mixed(from+i), day, most) {
			case New:
				fresh += float64(m.Weight())
			case Known:
				known += float64(m.Weight())
			}
		}
		return fresh, known
	}
	if fresh, known := touch(0, 100); math.Abs(fresh-values) > values/4 || known != 0 {
		t.Errorf("on the first day %.0f are new and %.0f known of %d", fresh, known, values)
	}
	for day := range uint16(3) {
		if fresh, known := touch(0, 101+day); fresh != 0 || math.Abs(known-values) > values/4 {
			t.Errorf("later %.0f are new and %.0f known of %d", fresh, known, values)
		}
	}
	if fresh, _ := touch(1<<20, 110); math.Abs(fresh-values) > values/4 {
		t.Errorf("of %d others %.0f are new", values, fresh)
	}
	if m.Len() > most || m.Size() > 2*8*most {
		t.Errorf("%d values remembered in %d bytes", m.Len(), m.Size())
	}
	recodedTouched(t, &m)
}

// TestTouchedForgetsTheOld first, before it samples.
func TestTouchedForgetsTheOld(t *testing.T) {
	var m Touched
	for i := range uint64(64) {
		m.Note(mixed(i), 100, 64)
	}
	m.Note(mixed(1), 120, 64)
	m.Note(mixed(1000), 100+TouchedDays+1, 64)
	if m.Weight() != 1 || m.Len() != 2 || m.Look(mixed(1), 200) != Known || m.Look(mixed(2), 200) != New {
		t.Errorf("%d remembered, weight %d", m.Len(), m.Weight())
	}
}

func BenchmarkTouchedNote(b *testing.B) {
	var m Touched
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		m.Note(mixed(i%4000), 100, 4096)
	}
}
