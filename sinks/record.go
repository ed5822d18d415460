package sinks

import (
	"context"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Record is what goes through the queue: an alert or a blind spot.
type Record struct {
	Alert     *alert.Alert
	BlindSpot *alert.BlindSpot
}

// BlindSpotSink is a [Sink] that takes blind spots too. To others none are delivered.
type BlindSpotSink interface {
	Sink

	// DeliverBlindSpots is to blind spots what Deliver is to alerts.
	DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error
}

// Outbox keeps records until every sink has settled them, over restarts.
type Outbox interface {
	// Append keeps the records under the sequence numbers that follow the last one. When it returns they are durable.
	Append(ctx context.Context, records []Record) error

	// After returns records that follow the sequence, in order, as many as fit in maxBytes and at least one if there is one;
	// last is the sequence of the last of them. Records have sequence numbers without gaps.
	After(ctx context.Context, sequence uint64, maxBytes int) (records []Record, last uint64, err error)

	// Last is the sequence of the newest record, 0 if none.
	Last() uint64

	// Settle notes that the sink is done with everything up to the sequence.
	Settle(ctx context.Context, sink string, through uint64) error

	// Settled is what was noted for each sink.
	Settled() map[string]uint64
}
