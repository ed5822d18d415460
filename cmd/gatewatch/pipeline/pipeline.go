// Package pipeline connects a source, the engine and delivery: it is the one goroutine that owns the engine.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// Delivery takes what is to be told. Enqueue blocks while it is full and returns a sequence number; once Acknowledged has
// reached it, the records are delivered everywhere.
type Delivery interface {
	Enqueue(ctx context.Context, records []sinks.Record) (through uint64, err error)
	Acknowledged() uint64
	// Drain returns when everything is delivered, or ctx ends.
	Drain(ctx context.Context) error
}

// Committer commits source positions: the offset of the next record for each partition.
type Committer interface {
	Commit(ctx context.Context, next map[event.Partition]int64) error
}

// DeadLetters keeps rejected records. Write returns when they are safe.
type DeadLetters interface {
	Write(ctx context.Context, rejected []ingest.Rejected) error
}

// Options are what a pipeline works with.
type Options struct {
	Engine      *detector.Engine
	Delivery    Delivery
	DeadLetters DeadLetters
	Committer   Committer // nil: nothing to commit
	Durable     *Durable  // nil: what the engine knows ends with the process
	Metrics     *Metrics  // nil: none
	Log         *slog.Logger

	// Positions returns the offsets from which the source is to be read again; nil: those of the engine's inputs. The owner of
	// the engine calls it.
	Positions func() map[event.Partition]int64

	// Patience is how long the watermark waits for a partition that was revoked and not assigned again, or that the state knows
	// and that is not assigned after a start. While a dead process still counts as a member of the group, it is given partitions.
	Patience time.Duration

	// MaxPending is how many events of one partition may wait for the watermark before the partition is no longer read, unless
	// the watermark waits for that very partition.
	MaxPending int
	// CommitEvery is the time between commits of a pipeline that keeps nothing.
	CommitEvery time.Duration
}

// Pipeline is an [ingest.Receiver]. Run owns the engine.
type Pipeline struct {
	o          Options
	inbox      chan func(ctx context.Context) error // what the owner of the engine does next
	done       chan struct{}                        // closed when Run returns
	gates      gates
	meter      *meter
	checkpoint checkpoints
	away       map[event.Partition]time.Time // not assigned, and since which assignment (zero: none yet); belongs to the owner of the engine
	through    uint64                        // sequence number of the last one
	saver      *saver                        // nil: nothing is kept
}

// inboxSize bounds how many batches wait for the engine: a few for each partition of a busy topic.
const inboxSize = 64

// New returns a pipeline that does nothing before Run.
func New(o Options) *Pipeline {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxPending == 0 {
		o.MaxPending = 1 << 20
	}
	if o.CommitEvery == 0 {
		o.CommitEvery = time.Second
	}
	m := o.Metrics.open()
	p := &Pipeline{o: o, meter: m, inbox: make(chan func(context.Context) error, inboxSize), done: make(chan struct{}), gates: newGates(),
		away: map[event.Partition]time.Time{}, through: o.Durable.last(), saver: newSaver(o, m)}
	p.expect()
	return p
}

// ErrStopped says that the pipeline no longer runs.
var ErrStopped = errors.New("pipeline stopped")

// Run works until ctx ends or something fails for good. It must be called once.
func (p *Pipeline) Run(ctx context.Context) error {
	defer close(p.done)
	defer p.meter.close()
	p.meter.observe(p.o.Engine, nil)
	every := p.o.CommitEvery
	var results <-chan result
	if p.saver != nil {
		every, results = checkpointTick, p.saver.results
		ctx, stop := context.WithCancel(ctx)
		var writer sync.WaitGroup
		writer.Go(func() { p.saver.write(ctx) })
		defer writer.Wait()
		defer stop()
		if err := p.deliver(ctx, p.o.Durable.Restored.Closed); err != nil {
			return err
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if held := p.held(); held != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-held:
			}
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case do := <-p.inbox:
			err = p.drain(ctx, do)
		case <-tick.C:
			err = p.keep(ctx, time.Now()) // the tick may have waited
		case r := <-results:
			err = p.checkpointed(ctx, r)
		case <-p.encoding():
		}
		if err == nil && p.saver != nil && p.saver.encoding {
			err = p.saver.step(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// checkpointTick is how often the pipeline looks whether a checkpoint is due.
const checkpointTick = 50 * time.Millisecond

// always is ready at any time.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// encoding is ready while there is something to encode for a checkpoint.
func (p *Pipeline) encoding() <-chan struct{} {
	if p.saver != nil && p.saver.encoding {
		return always
	}
	return nil
}

// held is not nil while the store cannot keep anything: then nothing more is taken from the source.
func (p *Pipeline) held() <-chan struct{} {
	if p.o.Durable == nil {
		return nil
	}
	if holder, ok := p.o.Durable.Store.(state.Holder); ok {
		return holder.Held()
	}
	return nil
}

// keep begins a checkpoint when one is due or, in a pipeline that keeps nothing, commits positions.
func (p *Pipeline) keep(ctx context.Context, now time.Time) error {
	if p.saver == nil {
		return p.commit(ctx)
	}
	if p.saver.due(now) {
		p.saver.begin(now, p.covered())
	}
	return nil
}

// drain does what waits in the inbox, then lets the engine advance once.
func (p *Pipeline) drain(ctx context.Context, do func(context.Context) error) error {
	for n := 0; ; n++ {
		if err := do(ctx); err != nil {
			return err
		}
		if n == inboxSize {
			break
		}
		select {
		case do = <-p.inbox:
			continue
		default:
		}
		break
	}
	return p.advance(ctx)
}

func (p *Pipeline) advance(ctx context.Context) error {
	alerts := p.o.Engine.Advance()
	p.gates.update(p.o.Engine, p.o.MaxPending)
	p.meter.observe(p.o.Engine, alerts)
	return p.deliver(ctx, alerts)
}

func (p *Pipeline) deliver(ctx context.Context, alerts []*alert.Alert) error {
	var records []sinks.Record
	for _, a := range alerts {
		if !p.known(a) {
			records = append(records, sinks.Record{Alert: a})
		}
	}
	return p.tell(ctx, records)
}

// tell hands records to delivery.
func (p *Pipeline) tell(ctx context.Context, records []sinks.Record) error {
	if len(records) == 0 {
		return nil
	}
	through, err := p.o.Delivery.Enqueue(ctx, records)
	if err != nil {
		return fmt.Errorf("deliver alerts: %w", err)
	}
	p.through = through
	return nil
}

// known reports whether the outbox has the alert from before a restart: events since the checkpoint are read again.
func (p *Pipeline) known(a *alert.Alert) bool {
	if p.o.Durable == nil {
		return false
	}
	v := state.Version{ID: a.ID, Version: a.Version}
	raised := p.o.Durable.Restored.Known
	_, known := raised[v]
	delete(raised, v)
	return known
}

// staleAfter is how long, by event time, an alert from before a restart is expected again: an hour. What could be different
// the second time is only what the clock on the wall has a say in, such as when a partition is taken for a quiet one.
const staleAfter = 60 * 60 * 1000

// covered is the sequence up to which the state of the engine contains what was raised: alerts from before a restart that are
// still to be raised again are not in it. A checkpoint that claimed them would have them told twice after the next restart.
func (p *Pipeline) covered() uint64 {
	through := p.through
	watermark, running := p.o.Engine.Watermark()
	for v, raised := range p.o.Durable.Restored.Known {
		if running && watermark > event.Time(raised.At)+staleAfter {
			delete(p.o.Durable.Restored.Known, v)
			continue
		}
		through = min(through, raised.Sequence-1)
	}
	return through
}

// commit notes how far the engine is, and commits the furthest note whose alerts are all delivered.
func (p *Pipeline) commit(ctx context.Context) error {
	if p.o.Committer == nil {
		return nil
	}
	p.checkpoint.note(p.through, p.positions())
	next := p.checkpoint.settled(p.o.Delivery.Acknowledged())
	if next == nil {
		return nil
	}
	if err := p.o.Committer.Commit(ctx, next); err != nil && ctx.Err() == nil {
		p.o.Log.Warn("cannot commit positions; will try again", "error", err)
	}
	return nil
}

func (p *Pipeline) positions() map[event.Partition]int64 {
	next := map[event.Partition]int64{}
	for _, id := range p.gates.partitions() {
		if offset := p.o.Engine.Committable(id); offset >= 0 {
			next[id] = offset
		}
	}
	return next
}

// do has f done by the owner of the engine and waits for it.
func (p *Pipeline) do(ctx context.Context, f func(ctx context.Context) error) error {
	finished := make(chan error, 1)
	wrapped := func(ctx context.Context) error {
		err := f(ctx)
		finished <- err
		return err
	}
	if err := p.send(ctx, wrapped); err != nil {
		return err
	}
	select {
	case err := <-finished:
		return err
	case <-p.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Pipeline) send(ctx context.Context, f func(ctx context.Context) error) error {
	select {
	case p.inbox <- f:
		return nil
	case <-p.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reload swaps the rules between two events.
func (p *Pipeline) Reload(ctx context.Context, set *rules.Set) error {
	return p.do(ctx, func(ctx context.Context) error { return p.deliver(ctx, p.o.Engine.Reload(set)) })
}

// Flush applies everything that was received, ends every episode and delivers what that raises: for input that ends.
func (p *Pipeline) Flush(ctx context.Context) error {
	return p.do(ctx, func(ctx context.Context) error {
		alerts := p.o.Engine.Flush()
		p.meter.observe(p.o.Engine, alerts)
		return p.deliver(ctx, alerts)
	})
}

// Checkpoint makes a checkpoint of everything as it is now, for an orderly end. Without a store it does nothing.
func (p *Pipeline) Checkpoint(ctx context.Context) error {
	if p.saver == nil {
		return nil
	}
	return p.do(ctx, func(running context.Context) error { return p.whole(running) })
}

// Tell delivers what the engine does not raise itself: blind spots, and alerts that a restart has closed.
func (p *Pipeline) Tell(ctx context.Context, records []sinks.Record) error {
	return p.do(ctx, func(ctx context.Context) error {
		return p.tell(ctx, slices.DeleteFunc(records, func(r sinks.Record) bool { return r.Alert != nil && p.known(r.Alert) }))
	})
}

// Inspect calls f with the engine, between two events.
func (p *Pipeline) Inspect(ctx context.Context, f func(*detector.Engine)) error {
	return p.do(ctx, func(context.Context) error {
		f(p.o.Engine)
		return nil
	})
}
