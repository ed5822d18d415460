package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/sinks"
)

// Durable is what a pipeline needs to survive its death: everything that it knows is in Store, at most Interval old, and
// everything since is read again.
type Durable struct {
	Store    state.Store
	Interval time.Duration // between the beginnings of two checkpoints, if they are quick

	Outbox   *state.Outbox // of the store
	Feed     *sinks.Feed   // of the outbox
	Restored *Restored     // what the store held
	Peers    func() int    // number of pipelines of the process; nil: this one is alone
}

// last is the sequence of the last record that the outbox has.
func (d *Durable) last() uint64 {
	if d == nil {
		return 0
	}
	return d.Outbox.Last()
}

// share is which part of the time checkpoints may take, a sixteenth: when they take long, they become rarer. Entities that are
// encoded because they are about to change come on top of that.
const share = 16

// saver makes checkpoints. It belongs to the owner of the engine but for write, which is a goroutine of its own: the store may
// be slow.
type saver struct {
	durable *Durable
	engine  *detector.Engine
	metrics *meter
	// positions are the source's, nil when they are the engine's own.
	positions func() map[event.Partition]int64
	jobs      chan job
	results   chan result // one for each manifest

	encoding bool // entities are still to be encoded
	writing  bool // a manifest was handed over and no result has come
	manifest state.Manifest
	number   uint64
	began    time.Time
	spent    time.Duration // encoding
	next     time.Time     // earliest beginning
	pace     int           // entities to encode at a time
}

// job is chunks to stage or, in the end, a manifest to commit.
type job struct {
	chunks   []detector.Chunk
	manifest *state.Manifest
}

type result struct {
	manifest state.Manifest
	bytes    int
	took     time.Duration // writing
	err      error
}

const (
	// backlog is how many handfuls of chunks wait for the store before detection does.
	backlog = 32
	// pauseGoal is how long encoding may hold events up at a time.
	pauseGoal = 8 * time.Millisecond
)

func newSaver(o Options, m *meter) *saver {
	d := o.Durable
	if d == nil {
		return nil
	}
	return &saver{durable: d, engine: o.Engine, positions: o.Positions, metrics: m, number: d.Restored.Manifest.Number, jobs: make(chan job, backlog), results: make(chan result, 1), pace: 1024}
}

// due reports whether it is time for a checkpoint.
func (s *saver) due(now time.Time) bool {
	return s != nil && !s.busy() && !now.Before(s.next)
}

func (s *saver) busy() bool { return s.encoding || s.writing }

// begin makes the cut. through is the sequence up to which it contains what was raised.
func (s *saver) begin(now time.Time, through uint64) {
	cut := s.engine.Cut()
	if s.positions != nil {
		cut.Positions = s.positions()
	}
	s.number++
	s.manifest = state.Manifest{
		Number: s.number, Engine: cut.Meta, Positions: cut.Positions, Sequence: through, At: now, Lanes: cut.Lanes, Bases: cut.Bases,
	}
	s.encoding, s.began, s.spent = true, now, time.Since(now)
	s.metrics.paused(s.spent)
}

// step encodes for a few milliseconds and hands the writer what is complete.
func (s *saver) step(ctx context.Context) error {
	start := time.Now()
	chunks, finished, err := s.engine.Save(s.pace)
	if err != nil {
		return fmt.Errorf("make a checkpoint: %w", err)
	}
	took := time.Since(start)
	s.spent += took
	s.metrics.paused(took)
	switch {
	case took > 2*pauseGoal && s.pace > 64:
		s.pace /= 2
	case took < pauseGoal/2 && !finished && s.pace < 1<<13:
		s.pace *= 2
	}
	if len(chunks) > 0 {
		if err := s.send(ctx, job{chunks: chunks}); err != nil {
			return err
		}
	}
	if finished {
		s.encoding, s.writing = false, true
		m := s.manifest
		return s.send(ctx, job{manifest: &m})
	}
	return nil
}

func (s *saver) send(ctx context.Context, j job) error {
	select {
	case s.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finished takes note of a committed checkpoint.
func (s *saver) finished(r result) error {
	s.writing = false
	if r.err != nil {
		return fmt.Errorf("keep a checkpoint: %w", r.err)
	}
	now := time.Now()
	s.metrics.committed(r, now.Sub(s.began))
	s.next = s.began.Add(s.durable.Interval)
	parts := time.Duration(share)
	if s.durable.Peers != nil {
		parts *= time.Duration(max(1, s.durable.Peers()))
	}
	if rest := s.began.Add(parts * (s.spent + r.took/2)); rest.After(s.next) {
		s.next = rest
	}
	return nil
}

// write stages and commits what it is sent until ctx ends or something fails for good.
func (s *saver) write(ctx context.Context) {
	var r result
	for {
		var j job
		select {
		case j = <-s.jobs:
		case <-ctx.Done():
			return
		}
		start := time.Now()
		r.err = errors.Join(r.err, s.do(ctx, j, &r))
		r.took += time.Since(start)
		if j.manifest != nil || r.err != nil {
			if j.manifest != nil {
				r.manifest = *j.manifest
			}
			s.results <- r
			if r.err != nil {
				s.discard(ctx)
				return
			}
			r = result{}
		}
	}
}

// discard takes jobs that nobody can do any more: their sender must learn of the failure, not wait.
func (s *saver) discard(ctx context.Context) {
	for {
		select {
		case <-s.jobs:
		case <-ctx.Done():
			return
		}
	}
}

func (s *saver) do(ctx context.Context, j job, r *result) error {
	for _, c := range j.chunks {
		r.bytes += len(c.Data)
		if err := s.durable.Store.Stage(ctx, state.Chunk{Lane: c.Lane, Base: c.Base, Data: c.Data}); err != nil {
			return err
		}
	}
	if j.manifest == nil {
		return nil
	}
	if err := s.durable.Feed.Durable(ctx, j.manifest.Sequence); err != nil {
		return err
	}
	if err := s.durable.Store.Commit(ctx, *j.manifest); err != nil {
		return err
	}
	return s.durable.Outbox.Committed(ctx, j.manifest.Sequence)
}

// whole makes a checkpoint of everything as it is now and waits until it is committed.
func (p *Pipeline) whole(ctx context.Context) error {
	s := p.saver
	for again := true; again || s.busy(); {
		if !s.busy() {
			s.begin(time.Now(), p.covered())
			again = false
		}
		if s.encoding {
			if err := s.step(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case r := <-s.results:
			if err := p.checkpointed(ctx, r); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// checkpointed tells the source how far a committed checkpoint is. That is for people who look at the group's lag: where to
// go on stands in the checkpoint.
func (p *Pipeline) checkpointed(ctx context.Context, r result) error {
	if err := p.saver.finished(r); err != nil {
		return err
	}
	next := map[event.Partition]int64{}
	for id, offset := range r.manifest.Positions {
		if offset > 0 && (p.o.Positions != nil || slices.Contains(p.gates.partitions(), id)) {
			next[id] = offset
		}
	}
	if p.o.Committer == nil || len(next) == 0 {
		return nil
	}
	if err := p.o.Committer.Commit(ctx, next); err != nil && ctx.Err() == nil {
		p.o.Log.Warn("cannot commit positions; will try again with the next checkpoint", "error", err)
	}
	return nil
}
