package detector

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// FuzzTable does the same to a table and to a sorted slice: what they hold, and in which order, must be the same, and the
// table's invariants must hold. Keys are few and lie close together in one mode and everywhere in the other.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), uint16(50), false)
	f.Add(uint64(2), uint16(3000), false)
	f.Add(uint64(3), uint16(3000), true)
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16, close bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		twin := tableTwin{}
		for range steps % 4000 {
			twin.step(t, r, close)
		}
	})
}

type tableTwin struct {
	table  table
	sorted []entityKey
}

func (w *tableTwin) step(t *testing.T, r *rand.Rand, close bool) {
	key := randomKey(r, close)
	at, known := slices.BinarySearchFunc(w.sorted, key, orderOfKeys)
	if found := w.table.get(key); (found != nil) != known {
		t.Fatalf("get(%x): found %v, want %v", key, found != nil, known)
	}
	switch n := r.IntN(40); {
	case n == 0:
		w.scan(t, r)
	case n == 1:
		w.following(t, r, key)
	case n < 25 && !known:
		w.table.put(&entity{key: key})
		w.sorted = slices.Insert(w.sorted, at, key)
	case n >= 25:
		w.table.delete(key)
		if known {
			w.sorted = slices.Delete(w.sorted, at, at+1)
		}
	}
	w.check(t)
}

// randomKey draws from few keys, so that most come again; close together means next to each other at both ends of the range.
func randomKey(r *rand.Rand, close bool) entityKey {
	key := entityKey{Lo: uint64(r.IntN(1000)) * (math.MaxUint64 / 1000), Hi: 1 + uint64(r.IntN(2))}
	if close {
		key.Lo = uint64(r.IntN(100))
		if r.IntN(2) == 0 {
			key.Lo = math.MaxUint64 - key.Lo
		}
	}
	return key
}

func orderOfKeys(a, b entityKey) int { return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi)) }

func (w *tableTwin) scan(t *testing.T, r *rand.Rand) {
	first, last := randomKey(r, r.IntN(2) == 0).Lo, randomKey(r, r.IntN(2) == 0).Lo
	var got, want []entityKey
	w.table.scan(first, last, func(n *entity) bool {
		got = append(got, n.key)
		return n.key.Lo%3 == 0
	})
	w.sorted = slices.DeleteFunc(w.sorted, func(k entityKey) bool {
		if k.Lo < first || k.Lo > last {
			return false
		}
		want = append(want, k)
		return k.Lo%3 == 0
	})
	if !slices.Equal(got, want) {
		t.Fatalf("scan from %x to %x shows %x, want %x", first, last, got, want)
	}
}

func (w *tableTwin) following(t *testing.T, r *rand.Rand, key entityKey) {
	n := r.IntN(20)
	var got, want []entityKey
	w.table.following(key.Lo, n, func(n *entity) bool {
		got = append(got, n.key)
		return true
	})
	at, _ := slices.BinarySearchFunc(w.sorted, entityKey{Lo: key.Lo}, orderOfKeys)
	for i := range min(n, len(w.sorted)) {
		want = append(want, w.sorted[(at+i)%len(w.sorted)])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d following %x are %x, want %x", n, key, got, want)
	}
}

func (w *tableTwin) check(t *testing.T) {
	var got []entityKey
	w.table.each(func(n *entity) { got = append(got, n.key) })
	if !slices.Equal(got, w.sorted) || w.table.used != len(w.sorted) {
		t.Fatalf("the table holds %d of %x, want %x", w.table.used, got, w.sorted)
	}
	if n := len(w.table.places); n > 0 && w.table.places[n-1].entity != nil {
		t.Fatal("the last place is in use")
	}
	if w.table.homes > max(fewestHomes, 8*len(w.sorted)) {
		t.Fatalf("%d homes for %d entities", w.table.homes, len(w.sorted))
	}
}

// BenchmarkTable compares the table with the one that it has replaced. Entities stand in a slice beside it, so that what is
// measured is the look-up, not the cache misses of the entities.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1000, 60_000, 1_000_000} {
		keys, absent := make([]entityKey, n), make([]entityKey, n)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range keys {
			keys[i] = entityKey{Lo: r.Uint64(), Hi: r.Uint64()}
			absent[i] = entityKey{Lo: r.Uint64(), Hi: r.Uint64()}
		}
		for _, kind := range []string{"ordered", "unordered"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) { benchmarkTable(b, kind, keys, absent) })
		}
	}
}

type anyTable interface {
	get(entityKey) *entity
	put(*entity)
}

func benchmarkTable(b *testing.B, kind string, keys, absent []entityKey) {
	newTable := func() anyTable { return &table{} }
	if kind == "unordered" {
		newTable = func() anyTable { return &unorderedTable{} }
	}
	entities := make([]entity, len(keys))
	for i := range keys {
		entities[i].key = keys[i]
	}
	t := newTable()
	for i := range entities {
		t.put(&entities[i])
	}
	look := func(keys []entityKey, want bool) func(*testing.B) {
		return func(b *testing.B) {
			i := 0
			for b.Loop() {
				if (t.get(keys[i]) != nil) != want {
					b.Fatal("wrong answer")
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
		}
	}
	b.Run("hit", look(keys, true))
	b.Run("miss", look(absent, false))
	b.Run("put", func(b *testing.B) {
		i, t := 0, newTable()
		for b.Loop() {
			t.put(&entities[i])
			if i++; i == len(entities) {
				i, t = 0, newTable()
			}
		}
	})
}

// unorderedTable is plain open addressing with linear probing: what the ordered table is measured against.
type unorderedTable struct {
	places []place
	used   int
}

func (t *unorderedTable) get(key entityKey) *entity {
	mask := len(t.places) - 1
	for p := int(key.Lo) & mask; t.places[p].entity != nil; p = (p + 1) & mask {
		if t.places[p].low == key.Lo && t.places[p].entity.key == key {
			return t.places[p].entity
		}
	}
	return nil
}

func (t *unorderedTable) put(n *entity) {
	if 4*(t.used+1) > 3*len(t.places) {
		t.grow()
	}
	t.place(place{n.key.Lo, n})
	t.used++
}

func (t *unorderedTable) place(pl place) {
	mask := len(t.places) - 1
	p := int(pl.low) & mask
	for t.places[p].entity != nil {
		p = (p + 1) & mask
	}
	t.places[p] = pl
}

func (t *unorderedTable) grow() {
	old := t.places
	t.places = make([]place, max(8, 2*len(old)))
	for _, pl := range old {
		if pl.entity != nil {
			t.place(pl)
		}
	}
}
