// Package sinks delivers alerts to the outside world.
//
// A [Sink] is one destination and knows how to encode, post and classify what comes back; each has a leaf package of its
// own below this one. A [Queue] serves them all: it gives every sink a bounded queue and a goroutine of its own, forms
// batches, repeats what failed with exponential backoff and writes what a destination refuses for good to the dead letters.
//
// What is to be delivered comes in through feeds. A [Feed] numbers its records and keeps them in an [Outbox] before any sink
// gets them. A dead sink then delays nobody: what does not fit into its queue stays in the outbox, and is read from there, in
// order, when the sink is back, after a restart too. Without an outbox [Feed.Enqueue] blocks when the queue of a sink is
// full, because losing an alert is worse than falling behind.
//
// Delivery is at least once: after a lost answer, or when the process has died before the outbox had noted what was
// delivered, a destination sees the same id and version again, which is what it should deduplicate on. Versions of one alert
// arrive in order.
//
// How the parts hang together:
//
//	feed.go      what callers see of an origin of records; detaching
//	writer.go    the goroutine between Enqueue and the outbox
//	cursor.go    how far one feed has come at one sink, and telling the outbox
//	line.go      the queue of one sink: what is in it, and forming batches
//	spill.go     reading on from outboxes when a line has room
//	delivery.go  one batch until it is settled
//	failure.go   waiting and the state of failing
//
// All that they share is guarded by one lock, Queue.mu; whoever waits for something waits in Queue.await. A feed is never
// let go while anybody holds it (Feed.holds): a delivery with its records or a call of its outbox.
package sinks

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Sink is one destination of alerts. Calls come from one goroutine at a time.
type Sink interface {
	// Name is the sink's kind, and what metrics, logs and dead letters call it unless its [Destination] has a name.
	Name() string

	// Deliver hands a batch over and returns when the destination has it for good. A batch is not empty and holds at
	// most one version of an alert. Deliver neither changes nor keeps the alerts, and returns soon after ctx is done.
	//
	// The error says what becomes of the batch: nil, all of it was delivered; [*PartialError], item by item;
	// [*RefusedError], the destination will never take the batch as it is; anything else, such as [*RetryError], the
	// whole batch will be delivered again later. What an operator can repair without gatewatch being restarted, wrong
	// credentials and missing tables included, is never a refusal. Errors never contain secrets.
	Deliver(ctx context.Context, batch []*alert.Alert) error

	// Close releases what the sink holds. Nothing is delivered afterwards.
	Close(ctx context.Context) error
}

// RetryError reports a failure that may pass.
type RetryError struct {
	After time.Duration // how long the destination asks to be left alone; 0: it did not say
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// RefusedError reports that the destination will never take the batch as it is. A batch of several is then delivered in
// halves, so that in the end only what cannot be delivered is refused.
type RefusedError struct {
	Err error
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// PartialError says what became of each alert of a batch. Those that it does not mention were delivered.
type PartialError struct {
	Refused []Refusal     // will never be taken
	Retry   []int         // positions in the batch to deliver again
	After   time.Duration // as in [RetryError], for Retry
	Err     error         // why Retry failed; nil when Retry is empty
}

// Refusal is one alert that a destination will never take.
type Refusal struct {
	Index int // position in the batch
	Err   error
}

// Error implements error.
func (e *PartialError) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case len(e.Refused) > 0:
		return e.Refused[0].Err.Error()
	}
	return "partly delivered"
}

// Unwrap returns the cause of what is to be retried.
func (e *PartialError) Unwrap() error { return e.Err }
