package window

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// plain is the slow, obvious twin of the windows: it keeps everything.
type plain struct {
	values []plainValue
}

type plainValue struct {
	at, amount int64
	hash       uint64
}

func (p *plain) newest() (t int64) {
	for _, v := range p.values {
		t = max(t, v.at)
	}
	return t
}

func (p *plain) inside(now, width int64) (sum int64, distinct int) {
	seen := map[uint64]bool{}
	for _, v := range p.values {
		if v.at > now-width && v.at <= now {
			sum += v.amount
			seen[v.hash] = true
		}
	}
	return sum, len(seen)
}

// walk calls add with times that mostly rise, sometimes repeat, jump, or come late.
func walk(seed uint64, n int, width int64, add func(t int64, r *rand.Rand)) {
	r := rand.New(rand.NewPCG(seed, 1))
	t := int64(1_700_000_000_000)
	for range n {
		switch r.IntN(20) {
		case 0: // the same instant again
		case 1:
			t += width * int64(r.IntN(3))
		case 2:
			add(t-int64(r.IntN(int(width)+10)), r)
			continue
		default:
			t += int64(r.IntN(int(width)/10 + 1))
		}
		add(t, r)
	}
}

func TestCounterIsExactUpToItsBound(t *testing.T) {
	for _, width := range []int64{1000, 60_000, 31 * 24 * 3600_000} {
		for seed := range uint64(20) {
			var c Counter[int64]
			var twin plain
			walk(seed, 400, width, func(at int64, r *rand.Rand) {
				amount := int64(r.IntN(1000))
				late := at <= twin.newest()-width
				if counted := c.Add(at, amount, width, 1000); counted == late {
					t.Fatalf("seed %d: Add(%d) = %v with newest %d, width %d", seed, at, counted, twin.newest(), width)
				}
				twin.values = append(twin.values, plainValue{at: at, amount: amount})
				now := twin.newest()
				want, _ := twin.inside(now, width)
				if got := c.Total(now, width); got != want {
					t.Fatalf("seed %d, width %d: total %d, want %d", seed, width, got, want)
				}
				if e := c.Error(now, width); e != 0 {
					t.Fatalf("an exact window states an error of %v", e)
				}
			})
		}
	}
}

func TestCoarseCounterIsNeverTooSmallAndStatesItsError(t *testing.T) {
	const width = 60_000
	for seed := range uint64(20) {
		var c Counter[uint32]
		var twin plain
		coarse := false
		walk(seed, 3000, 6_000, func(at int64, _ *rand.Rand) {
			c.Add(at, 1, width, 50)
			twin.values = append(twin.values, plainValue{at: at, amount: 1})
			now := twin.newest()
			exact, _ := twin.inside(now, width)
			got := c.Total(now, width)
			stated := float64(got) * c.Error(now, width)
			if got < exact || float64(got-exact) > stated {
				t.Fatalf("seed %d: total %d, exact %d, stated error %.1f", seed, got, exact, stated)
			}
			coarse = coarse || c.grid != 0
			if live := c.used(); live > 2*subWindows {
				t.Fatalf("%d slots", live)
			}
		})
		if !coarse {
			t.Fatal("the test never left the exact range")
		}
	}
}

func TestCounterReturnsToExactnessWhenEmpty(t *testing.T) {
	var c Counter[uint32]
	for i := range int64(1000) {
		c.Add(1000+i, 1, 10_000, 10)
	}
	if c.grid == 0 {
		t.Fatal("still exact after 1,000 instants with a bound of 10")
	}
	c.Add(100_000, 1, 10_000, 10)
	if got := c.Total(100_000, 10_000); got != 1 || c.grid != 0 {
		t.Fatalf("total %d, grid %d after running empty", got, c.grid)
	}
}

func TestCounterDoesNotOverflowASlot(t *testing.T) {
	var c Counter[uint32]
	for range 3 {
		c.Add(5, 1<<31, 1000, 10)
	}
	if got := c.Total(5, 1000); got != 3<<31 {
		t.Fatalf("total %d, want %d", got, int64(3)<<31)
	}
}

func BenchmarkCounterAdd(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("%d_in_window", n), func(b *testing.B) {
			var c Counter[uint32]
			t := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				t += 10
				c.Add(t, 1, int64(n)*10, 20_000)
			}
		})
	}
}
