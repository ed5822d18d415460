package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// ruleCost is what one rule costs. It is measured with the rule alone, less what the engine costs with no rule, so that the look-up
// of an entity is part of it: rules that group by the same field share one, and all together cost less than their sum. A risk rule
// adds up what others raise, and costs nothing alone.
type ruleCost struct {
	Rule           string  `json:"rule"`
	Detection      string  `json:"detection"`
	Entity         string  `json:"entity"`
	Matched        float64 `json:"matched_share"`        // of the events, 0..1
	NS             float64 `json:"ns_per_event"`         // over all events, matched or not
	NSPerMatch     float64 `json:"ns_per_matched_event"` // 0 when it matched none
	Entities       int     `json:"entities"`
	BytesPerEntity float64 `json:"bytes_per_entity"`
}

// The size of the measurement: short, so that each rule has several turns, at some distance from each other.
const (
	costEvents  = 200_000 // the first half warms up
	costClients = 10_000
	costDensity = 20_000
	costRounds  = 4 // the quickest counts: what is slower had the cache taken away by others
)

// benchRules measures each rule alone. Rules in shadow mode cost the same as others.
func benchRules(ctx context.Context, set *rules.Set, decoding *decoding) ([]ruleCost, error) {
	batches, err := costBatches(decoding)
	if err != nil {
		return nil, err
	}
	best := make([]time.Duration, set.Len()+1)
	costs := make([]ruleCost, set.Len())
	for range costRounds {
		for i := range best {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			alone := set.Subset(func(r *rules.Rule) bool { return i > 0 && r == set.Rules[i-1] })
			took, stats := costRun(alone, batches)
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
			if i > 0 {
				costs[i-1].count(set.Rules[i-1], stats)
			}
		}
	}
	for i := range costs {
		costs[i].spread(best[i+1] - best[0])
	}
	slices.SortStableFunc(costs, func(a, b ruleCost) int { return cmp.Compare(b.NS, a.NS) })
	return costs, nil
}

func (c *ruleCost) count(r *rules.Rule, s detector.Stats) {
	c.Rule, c.Detection, c.Entity = r.ID, r.Detection.Kind(), r.EntityKind()
	c.Matched = float64(s.Rules[0].Matches) / float64(max(1, s.Events))
	var bytes int64
	c.Entities = 0
	for _, g := range s.Groups {
		c.Entities += g.Entities
		bytes += g.Bytes
	}
	c.BytesPerEntity = float64(bytes) / float64(max(1, c.Entities))
}

func (c *ruleCost) spread(took time.Duration) {
	c.NS = max(0, float64(took.Nanoseconds())/(costEvents/2))
	if c.Matched > 0 {
		c.NSPerMatch = c.NS / c.Matched
	}
}

// costRun matches and applies all events on one core and says how much of its time the second half of them took.
func costRun(set *rules.Set, batches []*event.Batch) (time.Duration, detector.Stats) {
	o := detector.DefaultOptions()
	o.Workers = 1
	engine := detector.New(set, o)
	preparer := engine.NewPreparer()
	runtime.GC() // what others have left behind is not to be cleared away in this one's time
	var started time.Duration
	for i, b := range batches {
		if i == len(batches)/2 {
			started = cpuTime()
		}
		engine.Push(preparer.Prepare(b))
		engine.Advance()
	}
	return cpuTime() - started, engine.Stats()
}

// costBatches decodes steady telemetry once. The batches belong to nobody, so that every run can use them.
func costBatches(decoding *decoding) ([]*event.Batch, error) {
	lines, err := newSteadyLines(benchFlags{clients: costClients, events: costEvents, density: costDensity}, 0, 1)
	if err != nil {
		return nil, err
	}
	const chunk = 2000
	var batches []*event.Batch
	for n := 0; n < costEvents; n += chunk {
		decoder := decoding.newDecoder()
		decoder.Begin(event.Partition{Topic: "bench"})
		for i, line := range lines.next(chunk) {
			decoder.Add(int64(n+i), line)
		}
		batch, rejected := decoder.Take()
		if len(rejected) > 0 {
			return nil, fmt.Errorf("a generated record was rejected: %s", rejected[0].Detail)
		}
		batch.Release = nil
		batches = append(batches, batch)
	}
	return batches, nil
}

// writeCosts prints the dearest rules first.
func writeCosts(w io.Writer, costs []ruleCost) {
	fmt.Fprintln(w, "\nrule, alone\tdetection\tby\tmatched\tns/event\tns/match\tbytes/entity")
	var sum float64
	for _, c := range costs {
		sum += c.NS
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f %%\t%.0f\t%.0f\t%.0f\n", c.Rule, c.Detection, c.Entity, 100*c.Matched, c.NS, c.NSPerMatch, c.BytesPerEntity)
	}
	fmt.Fprintf(w, "sum\t\t\t\t%.0f\t\t\n", sum)
}
