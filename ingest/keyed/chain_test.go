package keyed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

var raw = event.Partition{Topic: "raw", ID: 1}

// record is a header of a record that was made at a number of milliseconds.
func record(from, next int64, written int64) *Header {
	return &Header{Partition: raw, From: from, Next: next, Written: event.Time(1_800_000_000_000 + written)}
}

func TestChain(t *testing.T) {
	minute := Patience.Milliseconds()
	for name, steps := range map[string][]struct {
		h    *Header
		want Verdict
	}{
		"in order": {
			{record(100, 200, 0), Verdict{Take: true, Known: 100}},
			{record(200, 300, 0), Verdict{Take: true, Known: 200}},
			{record(300, 300, 0), Verdict{Take: true, Known: 300}},
		},
		"a successor writes again": {
			{record(100, 200, 0), Verdict{Take: true, Known: 100}},
			{record(100, 150, 0), Verdict{Take: true, Known: 200}},
			{record(150, 250, 0), Verdict{Take: true, Known: 200}},
			{record(250, 260, 0), Verdict{Take: true, Known: 250}},
		},
		"a zombie": {
			{record(100, 200, 0), Verdict{Take: true, Known: 100}},
			{record(300, 400, 0), Verdict{Known: 200}},
			{record(400, 500, 0), Verdict{Known: 200}},
			{record(150, 450, 0), Verdict{Take: true, Known: 200}},
			{record(430, 460, 0), Verdict{Take: true, Known: 450}},
		},
		"nothing fits for a minute": {
			{record(100, 200, 0), Verdict{Take: true, Known: 100}},
			{record(300, 400, 5), Verdict{Known: 200}},
			{record(400, 500, 4+minute), Verdict{Known: 200}},
			{record(500, 600, 5+minute), Verdict{Take: true, Known: 500, Gap: 300}},
			{record(600, 700, 6+minute), Verdict{Take: true, Known: 600}},
		},
		"what fits in between makes patient again": {
			{record(100, 200, 0), Verdict{Take: true, Known: 100}},
			{record(300, 400, 0), Verdict{Known: 200}},
			{record(200, 210, minute/2), Verdict{Take: true, Known: 200}},
			{record(300, 400, minute), Verdict{Known: 210}},
		},
		"a raw partition that holds nothing yet": {
			{record(-1, -1, 0), Verdict{Take: true, Known: -1}},
			{record(50, 60, 0), Verdict{Take: true, Known: 50}},
			{record(-1, -1, 0), Verdict{Take: true, Known: 60}},
			{record(60, 70, 0), Verdict{Take: true, Known: 60}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c Chain
			for i, s := range steps {
				if got := c.Take(s.h); got != s.want {
					t.Errorf("step %d: %+v, want %+v", i, got, s.want)
				}
			}
		})
	}
}

func TestChainAfterDeletedRecords(t *testing.T) {
	var c Chain
	c.Restore(raw, 200)
	c.Broken()
	if v := c.Take(record(300, 400, 0)); !v.Take || v.Gap != 100 {
		t.Errorf("%+v", v)
	}
	if v := c.Take(record(500, 600, 0)); v.Take {
		t.Errorf("%+v", v)
	}
	if c.Known(raw) != 400 || c.Known(event.Partition{}) != -1 {
		t.Error("known", c.Known(raw))
	}
}

// TestChainTakesEverythingOnce lets routers follow each other at random: each begins at what is committed, writes records of
// random lengths, some of which are late (the router is a zombie by then) or lost, and commits at most what was written.
func TestChainTakesEverythingOnce(t *testing.T) {
	left := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		records := journal(random)
		var c Chain
		c.Restore(raw, 0)
		var taken []int64
		for _, h := range records {
			v := c.Take(h)
			if !v.Take {
				left++
			}
			for offset := h.From; v.Take && offset < h.Next; offset++ {
				if offset >= v.Known {
					taken = append(taken, offset)
				}
			}
		}
		for i, offset := range taken {
			if offset != int64(i) {
				t.Fatalf("seed %d: offset %d comes at place %d", seed, offset, i)
			}
		}
		if len(taken) < int(records[len(records)-1].From) {
			t.Fatalf("seed %d: only %d offsets", seed, len(taken))
		}
	}
	if left < 100 {
		t.Errorf("only %d records did not fit", left)
	}
}

// journal is what the log of the keyed partition holds.
func journal(random *rand.Rand) (log []*Header) {
	committed := int64(0)
	var late []*Header // of zombies, each chain in order
	for range 20 {
		next := committed
		for range random.IntN(6) {
			h := record(next, next+1+random.Int64N(20), 0)
			log, next = append(log, h), h.Next
			if len(late) > 0 && random.IntN(2) == 0 {
				log, late = append(log, late[0]), late[1:]
			}
		}
		committed += random.Int64N(next - committed + 1) // acknowledged
		late = late[:0:0]
		for range random.IntN(4) { // it still holds these when it is overtaken
			h := record(next, next+1+random.Int64N(20), 0)
			if next = h.Next; random.IntN(4) > 0 {
				late = append(late, h)
			}
		}
	}
	return append(log, record(committed, committed+1000, 0))
}

func TestPartition(t *testing.T) {
	// Fixed for ever: entities would move.
	for _, c := range []struct {
		kind, name string
		n, want    int32
	}{{"client_id", "mobile-app", 12, 4}, {"client_id+token_id", "a|b", 12, 1}, {"subject", "user-123", 7, 2}, {"subject", "user-1", 1, 0}} {
		if got := Partition(c.kind, c.name, c.n); got != c.want {
			t.Errorf("%s %s is in partition %d of %d, want %d", c.kind, c.name, got, c.n, c.want)
		}
	}
	counts := make([]int, 8)
	for i := range 8000 {
		counts[Partition("client_id", fmt.Sprint("client-", i), 8)]++
	}
	if slices.Min(counts) < 800 || slices.Max(counts) > 1200 {
		t.Errorf("entities are spread unevenly: %v", counts)
	}
	if testing.AllocsPerRun(10, func() { (&Place{Partitions: 8, buffer: make([]byte, 0, 64)}).Of("client_id", "x") }) > 1 {
		t.Error("placing allocates")
	}
}
