package sinktest

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
)

// recordSize is what each record counts in [Outbox.After].
const recordSize = 500

// Outbox is an outbox in memory whose owner can be killed.
type Outbox struct {
	// Latency is that of Append. Half of it passes before the records are there.
	Latency time.Duration

	// Fail is called at the beginning of append, after and settle; they return what it returns. nil: nothing fails.
	Fail func(call string) error

	*kept
	dead chan struct{} // closed by Kill
}

// kept is what a kill leaves.
type kept struct {
	mu      sync.Mutex
	records []sinks.Record
	trimmed uint64 // sequence of the latest record that is gone
	settled map[string]uint64
	calls   map[string]int
}

// NewOutbox returns an empty outbox.
func NewOutbox() *Outbox {
	return &Outbox{kept: &kept{settled: make(map[string]uint64), calls: make(map[string]int)}, dead: make(chan struct{})}
}

// Kill makes all calls without effect: they wait until their context ends, as the process had ended. It returns the outbox as
// the next process finds it.
func (o *Outbox) Kill() *Outbox {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.dead)
	return &Outbox{Latency: o.Latency, kept: o.kept, dead: make(chan struct{})}
}

// begin counts a call and returns how it fails; without an error the lock is held.
func (o *Outbox) begin(ctx context.Context, call string) error {
	if o.Fail != nil {
		if err := o.Fail(call); err != nil {
			return err
		}
	}
	o.mu.Lock()
	o.calls[call]++
	select {
	case <-o.dead:
		o.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	default:
		return nil
	}
}

// Append implements [sinks.Outbox].
func (o *Outbox) Append(ctx context.Context, records []sinks.Record) error {
	time.Sleep(o.Latency / 2)
	if err := o.begin(ctx, "append"); err != nil {
		return err
	}
	o.records = append(o.records, records...)
	o.mu.Unlock()
	time.Sleep(o.Latency / 2)
	return nil
}

// After implements [sinks.Outbox].
func (o *Outbox) After(ctx context.Context, sequence uint64, maxBytes int) ([]sinks.Record, uint64, error) {
	if err := o.begin(ctx, "after"); err != nil {
		return nil, 0, err
	}
	defer o.mu.Unlock()
	from := max(sequence, o.trimmed)
	rest := o.records[from-o.trimmed:]
	rest = rest[:min(len(rest), max(1, maxBytes/recordSize))]
	return append([]sinks.Record(nil), rest...), from + uint64(len(rest)), nil
}

// Last implements [sinks.Outbox].
func (o *Outbox) Last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.trimmed + uint64(len(o.records))
}

// Settle implements [sinks.Outbox].
func (o *Outbox) Settle(ctx context.Context, sink string, through uint64) error {
	if err := o.begin(ctx, "settle"); err != nil {
		return err
	}
	defer o.mu.Unlock()
	o.settled[sink] = through
	return nil
}

// Settled implements [sinks.Outbox].
func (o *Outbox) Settled() map[string]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.settled)
}

// Trim removes the records up to a sequence number.
func (o *Outbox) Trim(through uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if through > o.trimmed {
		o.records = append([]sinks.Record(nil), o.records[through-o.trimmed:]...)
		o.trimmed = through
	}
}

// Calls returns how often append, after or settle was called.
func (o *Outbox) Calls(call string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[call]
}
