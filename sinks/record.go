package sinks

import (
	"bytes"
	"context"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Record is what goes through the queue: an alert or a blind spot.
type Record struct {
	Alert     *alert.Alert
	BlindSpot *alert.BlindSpot
}

// Alerts makes records of alerts.
func Alerts(alerts []*alert.Alert) []Record {
	records := make([]Record, len(alerts))
	for i, a := range alerts {
		records[i].Alert = a
	}
	return records
}

// name returns id and version.
func (r Record) name() (id string, version int) {
	if r.BlindSpot != nil {
		return r.BlindSpot.ID, r.BlindSpot.Version
	}
	return r.Alert.ID, r.Alert.Version
}

// size returns the size of the record's JSON form, which stands for its memory as well. The error says that it has none; it
// counts little then, until the sinks refuse it.
func (r Record) size() (int, error) {
	var buf bytes.Buffer
	var err error
	if r.BlindSpot != nil {
		err = WriteBlindSpot(&buf, r.BlindSpot)
	} else {
		err = WriteJSON(&buf, r.Alert)
	}
	if err != nil {
		return 1 << 10, err
	}
	return buf.Len(), nil
}

// BlindSpotSink is a [Sink] that takes blind spots too. To others none are delivered.
type BlindSpotSink interface {
	Sink

	// DeliverBlindSpots is to blind spots what Deliver is to alerts. Where the destination has no place for blind spots, it
	// refuses them, although an operator could repair that: they must not hold up the alerts behind them.
	DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error
}

// Outbox keeps records until every sink has settled them, over restarts.
//
// Failures that may pass are waited for inside the calls until ctx ends. An error of Append ends the [Feed]; After and Settle
// are tried again, unless an error in the chain has a method Permanent() bool that returns true.
type Outbox interface {
	// Append keeps the records under the sequence numbers that follow the last one. When it returns they are durable.
	Append(ctx context.Context, records []Record) error

	// After returns records that follow the sequence, in order, as many as fit in maxBytes and at least one if there is one;
	// last is the sequence of the last of them. Records have sequence numbers without gaps.
	After(ctx context.Context, sequence uint64, maxBytes int) (records []Record, last uint64, err error)

	// Last is the sequence of the newest record, 0 if none.
	Last() uint64

	// Settle notes that the sink is done with everything up to the sequence; 0 notes that the sink is known.
	Settle(ctx context.Context, sink string, through uint64) error

	// Settled is what was noted for each sink.
	Settled() map[string]uint64
}
