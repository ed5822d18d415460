package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/keyed"
	"github.com/gatewatch/gatewatch/rules"
)

// copies is how the events of one partition of a keyed topic come to its engine. To the engine the inputs are the raw
// partitions, each with its own offsets and clock: how routers have interleaved them does not matter.
//
// chain and preparer belong to the goroutine of the reader, the rest to the owner of the engine.
type copies struct {
	id       event.Partition
	engine   *detector.Engine
	preparer *detector.Preparer
	chain    keyed.Chain
	log      interface{ Warn(msg string, args ...any) }
	expected int64 // offset of the next record

	inputs map[string]int32 // number of partitions of each raw topic that the engine waits for
	runs   []*track         // not applied yet, in the order of the keyed partition
	next   int64            // offset after the last record taken
}

// track is a run on its way through the engine.
type track struct {
	offset int64 // in the keyed partition
	done   bool
}

func newCopies(id event.Partition, o Options) *copies {
	c := &copies{id: id, engine: o.Engine, preparer: o.Engine.NewPreparer(), log: o.Log, inputs: map[string]int32{}}
	m := o.Durable.Restored.Manifest
	c.next = m.Positions[id]
	for input, offset := range o.Engine.Inputs() {
		c.chain.Restore(input, offset)
		o.Engine.Assign(input)
		c.inputs[input.Topic] = max(c.inputs[input.Topic], input.ID+1)
	}
	return c
}

// positions returns the offset from which the keyed partition must be read again: that of the first record of which something
// waits.
func (c *copies) positions() map[event.Partition]int64 {
	n := 0
	for n < len(c.runs) && c.runs[n].done {
		n++
	}
	c.runs = slices.Delete(c.runs, 0, n)
	if len(c.runs) > 0 {
		return map[event.Partition]int64{c.id: c.runs[0].offset}
	}
	return map[event.Partition]int64{c.id: c.next}
}

// preparedRun is a run that was matched and waits for the engine.
type preparedRun struct {
	run   *keyed.Run
	batch *detector.Prepared // nil: there is nothing but a header
	track *track
}

// prepare takes the runs that belong to the chains of their raw partitions, and matches their events.
func (c *copies) prepare(p *keyed.Portion) (all []preparedRun) {
	if p.Anew || c.expected > 0 && p.First > c.expected {
		c.chain.Broken()
	}
	c.expected = p.Next
	for _, run := range p.Runs {
		v := c.chain.Take(&run.Header)
		if v.Gap > 0 {
			c.log.Warn("records of a raw partition never came; were offsets of the routers' group moved?", "raw", run.Header.Partition, "records", v.Gap)
		}
		if !v.Take {
			run.Batch.Release()
			continue
		}
		pr := preparedRun{run: run, track: &track{offset: run.Offset}}
		if run.Next >= 0 {
			release := run.Batch.Release
			run.Batch.Release = func() {
				pr.track.done = true
				if release != nil {
					release()
				}
			}
			pr.batch = c.preparer.PrepareCopies(run.Batch, run.Header.Kinds, run.Kinds)
		}
		all = append(all, pr)
	}
	return all
}

// push hands a portion to the engine, whose owner calls it.
func (c *copies) push(p *keyed.Portion, all []preparedRun) error {
	for _, pr := range all {
		h := &pr.run.Header
		raw, progress, caughtUp := h.Partition, h.Progress, h.CaughtUp
		if err := c.expect(&h.Shape); err != nil {
			return err
		}
		if pr.batch != nil {
			c.runs = append(c.runs, pr.track)
			c.engine.Push(pr.batch) // may release the run
		}
		if progress > 0 {
			c.engine.Progress(raw, progress)
		}
		if caughtUp > 0 {
			c.engine.CaughtUp(raw, caughtUp)
		}
	}
	c.next = max(c.next, p.Next)
	return nil
}

// expect has the engine wait for every raw partition, and holds the kinds of copies against the rules.
func (c *copies) expect(s *keyed.Shape) error {
	if err := CheckKinds(c.engine.Rules(), s.Kinds); err != nil {
		return err
	}
	for _, in := range s.Inputs {
		for id := c.inputs[in.Topic]; id < in.Partitions; id++ {
			c.engine.Assign(event.Partition{Topic: strings.Clone(in.Topic), ID: id})
		}
		c.inputs[strings.Clone(in.Topic)] = max(c.inputs[in.Topic], in.Partitions)
	}
	for topic, partitions := range c.inputs {
		if slices.ContainsFunc(s.Inputs, func(in keyed.Input) bool { return in.Topic == topic }) {
			continue
		}
		for id := range partitions { // it is read no more
			c.engine.Finish(event.Partition{Topic: topic, ID: id})
		}
		delete(c.inputs, topic)
	}
	return nil
}

// ErrKinds says that rules watch kinds of entities that the keyed topic does not bring together.
var ErrKinds = errors.New("the keyed topic lacks what rules group by")

// CheckKinds names the rules whose kind of entity is none of the kinds, and what to do.
func CheckKinds(set *rules.Set, kinds []string) error {
	var errs []error
	for _, r := range set.Rules {
		if kind := r.EntityKind(); !slices.Contains(kinds, kind) {
			errs = append(errs, fmt.Errorf("rule %s groups by %s; the topic has copies for %s", r.ID, kind, strings.Join(kinds, ", ")))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w; give the rules to gatewatch route first, and restart it or send it SIGHUP", ErrKinds, errors.Join(errs...))
}

// Copies returns the receiver for a topic that gatewatch route writes.
func (f *Fleet) Copies() keyed.Receiver { return keyedFleet{f} }

type keyedFleet struct{ fleet *Fleet }

// Assigned implements [keyed.Receiver].
func (k keyedFleet) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	return k.fleet.launch(ctx, next, true)
}

// Receive implements [keyed.Receiver]. What comes for a partition that belongs to another process by now is left to that.
func (k keyedFleet) Receive(ctx context.Context, p *keyed.Portion) error {
	lane := k.fleet.lane(p.Partition)
	if lane == nil {
		return nil
	}
	all := lane.copies.prepare(p)
	err := lane.pipeline.send(ctx, func(ctx context.Context) error {
		if err := lane.pipeline.bury(ctx, p.Rejected); err != nil {
			return err
		}
		return lane.copies.push(p, all)
	})
	if errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

// CaughtUp implements [keyed.Receiver]: that there is nothing more is what routers know, and say in their marks.
func (k keyedFleet) CaughtUp(event.Partition, time.Time) {}

// Revoked implements [keyed.Receiver].
func (k keyedFleet) Revoked(ctx context.Context, id event.Partition) { k.fleet.land(ctx, id) }

func sortedPartitions[V any](m map[event.Partition]V) []event.Partition {
	return slices.SortedFunc(maps.Keys(m), func(a, b event.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
}
