package window

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

var everyStep = WalkWindow{Width: 60_000, Step: 3, Slots: 1000}

// walked shows numbers to walks, a second apart, and returns how many count.
func walked(numbers ...uint64) int {
	var w Walks
	t := int64(1_000_000)
	window := everyStep
	window.Width = 3_600_000
	for _, n := range numbers {
		t += 1000
		w.Add(t, 1, n, true, window)
	}
	n, _ := w.Total(t, window.Width)
	return n
}

func TestWalks(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint64
		want    int
	}{
		{"upwards", []uint64{1, 2, 3, 4, 5, 6}, 6},
		{"downwards", []uint64{9, 8, 7, 6, 5}, 5},
		{"with gaps", []uint64{1, 4, 5, 8, 11}, 5},
		{"gaps that are too wide", []uint64{1, 5, 9, 13, 17}, 0},
		{"three are no row", []uint64{1, 2, 3}, 0},
		{"again and again", []uint64{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, 4},
		{"side by side", []uint64{1, 3, 2, 5, 4, 7, 6, 8}, 8},
		{"two walks in turn", []uint64{1, 101, 2, 102, 3, 103, 4, 104, 5, 105}, 10},
		{"up and down again", []uint64{1, 2, 3, 4, 3, 2, 1}, 4},
		{"64 behind", []uint64{1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46, 49, 52, 55, 58, 61, 64, 67, 3, 2}, 24},
		{"one number", []uint64{7, 7, 7, 7, 7, 7}, 0},
		{"the largest number", []uint64{1<<64 - 4, 1<<64 - 3, 1<<64 - 2, 1<<64 - 1, 0, 1}, 4},
		{"other numbers between", []uint64{1, 500, 2, 900, 3, 700, 4, 200, 5, 300}, 5},
	} {
		if got := walked(c.numbers...); got != c.want {
			t.Errorf("%s: %d in sequence, want %d", c.name, got, c.want)
		}
	}
}

// TestWalksInADenseSet jumps to and fro among twenty numbers, as somebody does with his own orders: no more count than there are.
func TestWalksInADenseSet(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var numbers []uint64
		for range 500 {
			numbers = append(numbers, 100+uint64(r.IntN(20)))
		}
		if got := walked(numbers...); got > 20 {
			t.Errorf("seed %d: %d in sequence among 20", seed, got)
		}
	}
}

// TestWalksOfManyWorkers lets eight workers share a walk: each number is up to seven places early or late, more than a step bridges.
// What is then several walks still counts together.
func TestWalksOfManyWorkers(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var numbers []uint64
		for i := range uint64(200) {
			numbers = append(numbers, 1000+i)
		}
		for i := 0; i < len(numbers); i += 8 {
			r.Shuffle(8, func(a, b int) { numbers[i+a], numbers[i+b] = numbers[i+b], numbers[i+a] })
		}
		if got := walked(numbers...); got < 60 {
			t.Errorf("seed %d: %d of 200 in sequence", seed, got)
		}
	}
}

// TestRestedWalks goes on after the window.
func TestRestedWalks(t *testing.T) {
	var w Walks
	for i, at := range []int64{0, 1, 2, 60_002, 60_003, 60_004} {
		w.Add(at, 1, uint64(i), true, everyStep)
	}
	if n, _ := w.Total(60_004, everyStep.Width); n != 0 {
		t.Errorf("%d in sequence, want none: there were three and three", n)
	}
}

// TestWalksPassOverWhatDoesNotCount walks through numbers of which every other one is known.
func TestWalksPassOverWhatDoesNotCount(t *testing.T) {
	var w Walks
	for i := range int64(20) {
		w.Add(i, 1, uint64(i), i%2 == 0, everyStep)
	}
	if n, _ := w.Total(20, everyStep.Width); n != 10 {
		t.Errorf("%d in sequence, want 10", n)
	}
	if from, to, members := w.Longest(20, everyStep.Width); from != 0 || to != 19 || members != 10 {
		t.Errorf("%d numbers from %d to %d", members, from, to)
	}
}

// TestRowsAreNotPushedOut begins new walks between the steps of one that is a row.
func TestRowsAreNotPushedOut(t *testing.T) {
	var w Walks
	at := int64(0)
	for i := range uint64(30) {
		at++
		w.Add(at, 1, i, true, everyStep)
		for j := range uint64(3 * MaxWalks * b2u64(i >= leastRow)) {
			at++
			w.Add(at, 1, 1000*(i+1)+100*j, true, everyStep)
		}
	}
	if n, _ := w.Total(at, everyStep.Width); n != 30 {
		t.Errorf("%d in sequence, want 30", n)
	}
}

func b2u64(b bool) uint64 { return uint64(b2i(b)) }

// plainWalks is the slow twin of [Walks] for few walks: it keeps each walk's numbers as a list, and each number that counts with
// its time.
type plainWalks struct {
	rows   [][]uint64 // numbers in the order in which they came
	at     []int64
	counts []int64
}

func (p *plainWalks) add(t int64, number uint64, w WalkWindow) {
	for i, row := range p.rows {
		if t-p.at[i] < w.Width && slices.Min(row) <= number && number <= slices.Max(row) {
			p.at[i] = t
			if end := p.frontier(i); !slices.Contains(row, number) && max(number, end)-min(number, end) <= 64 {
				p.append(i, t, number)
			}
			return
		}
	}
	for i, row := range p.rows {
		end := p.frontier(i)
		up := len(row) == 1 || end > row[0]
		down := len(row) == 1 || end < row[0]
		if t-p.at[i] < w.Width && (up && number > end && number-end <= w.Step || down && number < end && end-number <= w.Step) {
			p.at[i] = t
			p.append(i, t, number)
			return
		}
	}
	p.rows, p.at = append(p.rows, []uint64{number}), append(p.at, t)
}

// frontier is the number furthest from the first.
func (p *plainWalks) frontier(i int) uint64 {
	row := p.rows[i]
	if slices.Max(row) > row[0] {
		return slices.Max(row)
	}
	return slices.Min(row)
}

func (p *plainWalks) append(i int, t int64, number uint64) {
	p.rows[i] = append(p.rows[i], number)
	for n := len(p.rows[i]); n >= leastRow; n = 0 {
		p.counts = append(p.counts, t)
		if n == leastRow {
			p.counts = append(p.counts, t, t, t)
		}
	}
}

func (p *plainWalks) total(now, width int64) (n int) {
	for _, t := range p.counts {
		n += b2i(t > now-width)
	}
	return n
}

func FuzzWalksAgainstTwin(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(3))
	f.Add(uint64(2), uint8(90), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, jump, step uint8) {
		r := rand.New(rand.NewPCG(seed, 5))
		window := WalkWindow{Width: 60_000, Step: uint64(step%20) + 1, Slots: 1 << 16}
		var w Walks
		var twin plainWalks
		at, number := int64(1_000_000), uint64(500)
		for i := range 400 {
			at += int64(r.IntN(4000))
			switch r.IntN(12) {
			case 0:
				number -= uint64(r.IntN(int(jump) + 1))
			case 1:
				number += uint64(r.IntN(int(jump) + 1))
			default:
				number += uint64(r.IntN(int(window.Step) + 1))
			}
			if len(twin.rows) < MaxWalks { // beyond that one has to go
				twin.add(at, number, window)
				w.Add(at, 1, number, true, window)
			}
			got, _ := w.Total(at, window.Width)
			if want := twin.total(at, window.Width); got != want {
				t.Fatalf("event %d, number %d: %d in sequence, want %d", i, number, got, want)
			}
			if i%100 == 0 {
				w = recodedWalks(t, &w)
			}
		}
	})
}

func recodedWalks(t *testing.T, w *Walks) (decoded Walks) {
	t.Helper()
	b, err := w.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := decoded.DecodeBinary(b)
	again, _ := decoded.AppendBinary(nil)
	if err != nil || len(rest) != 0 || !bytes.Equal(again, b) || decoded.Size() != w.Size() {
		t.Fatalf("decoded to something else: %v, %d bytes left", err, len(rest))
	}
	return decoded
}

func BenchmarkWalksAdd(b *testing.B) {
	var w Walks
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		w.Add(int64(i), 1, i*977%5000, true, everyStep)
	}
}
