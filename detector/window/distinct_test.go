package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
)

func TestDistinctIsExactUpToItsBound(t *testing.T) {
	for _, values := range []int{3, 30, 400} {
		for seed := range uint64(20) {
			const width = 60_000
			var d Distinct
			var twin plain
			walk(seed, 1500, width/10, func(at int64, r *rand.Rand) {
				hash := xxh3.HashString(fmt.Sprint(r.IntN(values)))
				late := at <= twin.newest()-width
				if counted := d.Add(at, hash, width, 500); counted == late {
					t.Fatalf("seed %d: Add = %v, late %v", seed, counted, late)
				}
				twin.values = append(twin.values, plainValue{at: at, hash: hash})
				now := twin.newest()
				_, want := twin.inside(now, width)
				got, relativeError := d.Count(now, width)
				if got != want || relativeError != 0 {
					t.Fatalf("seed %d, %d values: count %d ± %v, want %d", seed, values, got, relativeError, want)
				}
			})
		}
	}
}

func TestDistinctEstimatesBeyondItsBound(t *testing.T) {
	const width, bound = 60_000, 200
	var d Distinct
	now := int64(1_700_000_000_000)
	for i := range 5000 {
		now += 2
		d.Add(now, xxh3.HashString(fmt.Sprint("value", i)), width, bound)
		got, relativeError := d.Count(now, width)
		if want := i + 1; want <= bound && (got != want || relativeError != 0) {
			t.Fatalf("count %d ± %v of %d values within the bound", got, relativeError, want)
		} else if want > bound && (relativeError == 0 || math.Abs(float64(got-want)) > 5*relativeError*float64(want)) {
			t.Fatalf("count %d ± %.3f of %d values", got, relativeError, want)
		}
	}
	if d.Size() > 100_000 {
		t.Fatalf("%d bytes", d.Size())
	}
}

func TestDistinctBecomesExactAgain(t *testing.T) {
	const width, bound = 60_000, 100
	var d Distinct
	now := int64(1_000_000)
	for i := range 1000 {
		now++
		d.Add(now, uint64(i)*0x9e3779b97f4a7c15, width, bound)
	}
	if _, e := d.Count(now, width); e == 0 {
		t.Fatal("still exact beyond the bound")
	}
	flood := now
	for i := range 60 { // few values, while the flood is still inside the window and after
		now += width / 40
		d.Add(now, uint64(i%7)*0x9e3779b97f4a7c15, width, bound)
		got, e := d.Count(now, width)
		if now-flood > width && (got != 7 || e != 0) {
			t.Fatalf("count %d ± %v after the flood has left the window, want 7", got, e)
		}
	}
}

func TestDistinctForgetsItsMemory(t *testing.T) {
	var d Distinct
	for i := range 1000 {
		d.Add(int64(i), uint64(i), 10_000, 2000)
	}
	d.Count(1_000_000, 10_000)
	if d.Size() > 300 {
		t.Fatalf("%d bytes in an empty window", d.Size())
	}
}

func BenchmarkDistinctAdd(b *testing.B) {
	for _, n := range []uint64{1, 10, 50, 1000} {
		b.Run(fmt.Sprintf("%d_values", n), func(b *testing.B) {
			var d Distinct
			i := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				i++
				d.Add(int64(i), (i%n+1)*0x9e3779b97f4a7c15, 60_000, 4096)
				d.Count(int64(i), 60_000)
			}
		})
	}
}
