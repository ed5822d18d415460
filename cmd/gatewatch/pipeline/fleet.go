package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// FleetOptions are what the pipelines of a fleet are made of.
type FleetOptions struct {
	// Open takes possession of what is known of a partition, and of its outbox. The fleet closes the store and detaches the feed.
	Open        func(ctx context.Context, partition int32) (*Durable, error)
	DeadLetters DeadLetters
	Committer   Committer
	Metrics     *Metrics
	Log         *slog.Logger
	MaxPending  int
}

// Fleet is the pipelines of a topic that is keyed by entity and shared by several processes: one pipeline with an engine, a
// store and a feed of its own for each partition that this process has been given. Everything of an entity is in one
// partition, so pipelines know nothing of each other, and a partition moves with all that is known of it.
//
// The goroutines of the source call its receivers; Reload and Tell may be called by any goroutine.
type Fleet struct {
	o      FleetOptions
	failed chan error // what a partition cannot survive

	mu    sync.Mutex
	lanes map[event.Partition]*fleetLane
}

// fleetLane is what works on one partition.
type fleetLane struct {
	id       event.Partition
	pipeline *Pipeline
	durable  *Durable
	copies   *copies // of a keyed topic; nil: its records are events as gateways log them
	cancel   context.CancelFunc
	ended    chan struct{} // closed when the pipeline has ended
	err      error         // why; read after that
}

// NewFleet returns a fleet without partitions.
func NewFleet(o FleetOptions) *Fleet {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Fleet{o: o, failed: make(chan error, 1), lanes: map[event.Partition]*fleetLane{}}
}

// Failed brings the reason for which the process must end, if there is one.
func (f *Fleet) Failed() <-chan error { return f.failed }

// launch starts a pipeline for each partition, all at once, and says where to read on.
func (f *Fleet) launch(ctx context.Context, next map[event.Partition]int64, routed bool) error {
	var work sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, id := range sortedPartitions(next) {
		work.Go(func() {
			lane, err := f.open(ctx, id, routed)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("take over partition %d of %s: %w", id.ID, id.Topic, err))
				return
			}
			if offset, ok := lane.durable.Restored.Manifest.Positions[id]; ok {
				next[id] = offset
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

func (f *Fleet) open(ctx context.Context, id event.Partition, routed bool) (*fleetLane, error) {
	durable, err := f.o.Open(ctx, id.ID)
	if err != nil {
		return nil, err
	}
	durable.Peers = f.size
	lane := &fleetLane{id: id, durable: durable, ended: make(chan struct{})}
	o := Options{
		Engine: durable.Restored.Engine, Delivery: durable.Feed, Durable: durable, DeadLetters: f.o.DeadLetters, Committer: f.o.Committer,
		Metrics: f.o.Metrics, Log: f.o.Log.With("partition", id.ID), MaxPending: f.o.MaxPending,
	}
	if routed {
		lane.copies = newCopies(id, o)
		o.Positions = lane.copies.positions
	}
	lane.pipeline = New(o)
	var running context.Context
	running, lane.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(lane.ended)
		lane.err = lane.pipeline.Run(running)
		f.judge(lane)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lanes[id] = lane
	return lane, nil
}

// judge says what the end of a pipeline means. One whose state belongs to another process by now has nothing more to do; what it
// had not committed, its successor does.
func (f *Fleet) judge(lane *fleetLane) {
	switch {
	case lane.err == nil:
	case errors.Is(lane.err, state.ErrFenced):
		f.o.Log.Warn("a partition belongs to another process by now", "partition", lane.id.ID, "error", lane.err)
	default:
		select {
		case f.failed <- fmt.Errorf("partition %d of %s: %w", lane.id.ID, lane.id.Topic, lane.err):
		default: // one reason is enough
		}
	}
}

func (f *Fleet) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lanes)
}

func (f *Fleet) lane(id event.Partition) *fleetLane {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lanes[id]
}

// land gives a partition up: with a last checkpoint if there is time, so that its successor has nothing to read again.
func (f *Fleet) land(ctx context.Context, id event.Partition) {
	lane := f.lane(id)
	if lane == nil {
		return
	}
	saving, stop := context.WithTimeout(ctx, landing)
	if err := lane.pipeline.Checkpoint(saving); err != nil && !errors.Is(err, ErrStopped) {
		f.o.Log.Warn("no last checkpoint of a partition; whoever gets it goes back to the one before", "partition", id.ID, "error", err)
	}
	stop()
	lane.cancel()
	<-lane.ended
	if err := lane.durable.Feed.Detach(ctx); err != nil && !errors.Is(err, state.ErrFenced) {
		f.o.Log.Warn("alerts of a partition that was given up may be delivered twice", "partition", id.ID, "error", err)
	}
	if err := lane.durable.Store.Close(); err != nil && !errors.Is(err, state.ErrFenced) {
		f.o.Log.Warn("cannot close the state of a partition", "partition", id.ID, "error", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lanes, id)
}

// landing is how long a last checkpoint may take: the others in the group wait for it.
const landing = 5 * time.Second

// Reload swaps the rules of all pipelines.
func (f *Fleet) Reload(ctx context.Context, set *rules.Set) error {
	return f.each(func(p *Pipeline) error { return p.Reload(ctx, set) })
}

// Inspect calls look with each engine, between two events.
func (f *Fleet) Inspect(ctx context.Context, look func(*detector.Engine)) error {
	return f.each(func(p *Pipeline) error { return p.Inspect(ctx, look) })
}

// each does something with every pipeline that works.
func (f *Fleet) each(do func(*Pipeline) error) error {
	f.mu.Lock()
	lanes := maps.Clone(f.lanes)
	f.mu.Unlock()
	var errs []error
	for _, lane := range lanes {
		if err := do(lane.pipeline); !errors.Is(err, ErrStopped) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Tell delivers records by way of any partition. It reports false when there is none.
func (f *Fleet) Tell(ctx context.Context, records []sinks.Record) (bool, error) {
	f.mu.Lock()
	lanes := sortedPartitions(f.lanes)
	f.mu.Unlock()
	for _, id := range lanes {
		if lane := f.lane(id); lane != nil {
			if err := lane.pipeline.Tell(ctx, records); !errors.Is(err, ErrStopped) {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// Events returns the receiver for a topic whose records are events as gateways log them, keyed by an entity.
func (f *Fleet) Events() ingest.Receiver { return eventFleet{f} }

type eventFleet struct{ fleet *Fleet }

// Assigned implements [ingest.Receiver].
func (e eventFleet) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	if err := e.fleet.launch(ctx, next, false); err != nil {
		return err
	}
	for id, offset := range next {
		own := map[event.Partition]int64{id: offset}
		if lane := e.fleet.lane(id); lane != nil {
			if err := lane.pipeline.Assigned(ctx, own); err != nil && !errors.Is(err, ErrStopped) {
				return err
			}
		}
		next[id] = own[id]
	}
	return nil
}

// Receive implements [ingest.Receiver]. What comes for a partition that belongs to another process by now is left to that.
func (e eventFleet) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	lane := e.fleet.lane(b.Partition)
	if lane == nil {
		return nil
	}
	if err := lane.pipeline.Receive(ctx, b, rejected); !errors.Is(err, ErrStopped) {
		return err
	}
	return nil
}

// CaughtUp implements [ingest.Receiver].
func (e eventFleet) CaughtUp(id event.Partition, now time.Time) {
	if lane := e.fleet.lane(id); lane != nil {
		lane.pipeline.CaughtUp(id, now)
	}
}

// Revoked implements [ingest.Receiver].
func (e eventFleet) Revoked(ctx context.Context, id event.Partition) { e.fleet.land(ctx, id) }
