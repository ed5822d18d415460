package pipeline

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

// Assigned implements [ingest.Receiver].
//
// What the engine has of a partition decides where it is read on, whatever the group has committed.
func (p *Pipeline) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	for id := range next {
		p.gates.open(id, p.o.Engine.NewPreparer())
	}
	return p.do(ctx, func(context.Context) error {
		for id := range next {
			delete(p.away, id)
			p.o.Engine.Assign(id)
			if offset := p.o.Engine.Next(id); offset > 0 {
				next[id] = offset
			}
		}
		p.miss()
		return nil
	})
}

// expect has the watermark wait for the partitions that the state knows: they are not assigned yet.
func (p *Pipeline) expect() {
	if p.o.Patience == 0 {
		return
	}
	for id := range p.o.Engine.Inputs() {
		p.o.Engine.Assign(id)
		p.away[id] = time.Time{}
	}
}

// miss begins to count how long partitions are away: from the first assignment that lacks them.
func (p *Pipeline) miss() {
	for id, since := range p.away {
		if since.IsZero() {
			p.away[id] = time.Now()
		}
	}
}

// finishAway gives up on partitions that were away for too long. A rebalance takes all partitions away and gives most of them
// back: until the first event or word after it, the watermark goes on waiting for all of them, and then as long as patience lasts.
func (p *Pipeline) finishAway() {
	for id, since := range p.away {
		if !since.IsZero() && time.Since(since) >= p.o.Patience {
			p.o.Engine.Finish(id)
			delete(p.away, id)
		}
	}
}

// Receive implements [ingest.Receiver]: it matches the batch in the goroutine of the caller and hands it to the engine.
func (p *Pipeline) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	g := p.gates.get(b.Partition)
	if err := g.wait(ctx, p.done); err != nil {
		return err
	}
	prepared := g.preparer.Prepare(b)
	return p.send(ctx, func(ctx context.Context) error {
		if err := p.bury(ctx, rejected); err != nil {
			return err
		}
		p.finishAway()
		p.o.Engine.Push(prepared)
		return nil
	})
}

// buryAgain is how long a failed write of dead letters rests.
const buryAgain = time.Second

// bury keeps rejected records. While that fails, as on a full disk, nothing more is read: losing them silently would be worse.
func (p *Pipeline) bury(ctx context.Context, rejected []ingest.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	for tries := 0; ; tries++ {
		err := p.o.DeadLetters.Write(ctx, rejected)
		if err == nil {
			return nil
		}
		if tries == 0 {
			p.o.Log.Error("cannot keep rejected records; detection waits until it can", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(buryAgain):
		}
	}
}

// CaughtUp implements [ingest.Receiver].
func (p *Pipeline) CaughtUp(id event.Partition, now time.Time) {
	f := func(context.Context) error {
		p.finishAway()
		p.o.Engine.CaughtUp(id, event.TimeOf(now))
		return nil
	}
	select { // it is repeated: nothing is lost when the engine is busy
	case p.inbox <- f:
	default:
	}
}

// Revoked implements [ingest.Receiver]: it gives up the partition once what was raised is delivered, or ctx ends. Events that
// still wait for the watermark are not committed: whoever gets the partition reads them again.
func (p *Pipeline) Revoked(ctx context.Context, id event.Partition) {
	_ = p.do(ctx, func(running context.Context) error {
		p.away[id] = time.Time{}
		if p.saver != nil {
			return nil // what is not delivered is in the outbox, and what is not saved is read again
		}
		if err := p.o.Delivery.Drain(ctx); err != nil {
			p.o.Log.Warn("a partition is given up before all its alerts are delivered; they will be raised again", "partition", id, "error", err)
		}
		return p.commit(running)
	})
	p.gates.close(id)
}
