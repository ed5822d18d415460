package keyed

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

// Run is one record of a keyed topic.
type Run struct {
	Header
	// Offset is that of the record in its keyed partition.
	Offset int64
	// Batch holds the events, with their offsets in the raw partition; First is From, Next is Next. It has none when the record
	// is a mark. Everything of a run, the header apart, is memory of the batch: gone when it is released.
	Batch *event.Batch
	// Kinds says for each event which kinds of entities this copy is meant for: bit i stands for Header.Kinds[i]. It is never 0.
	Kinds []uint64
}

// Portion is a stretch of consecutive records of one keyed partition.
type Portion struct {
	Partition   event.Partition // of the keyed topic
	First, Next int64           // offsets in it: of the first record, and behind the last one
	Anew        bool            // the keyed partition was made anew: offsets known of it mean other records
	Runs        []*Run          // in order
	Rejected    []ingest.Rejected
}

// Receiver takes what a source reads from a keyed topic. It is to an [ingest.Receiver] what a portion is to a batch: the
// partitions that it hears of are those of the keyed topic.
type Receiver interface {
	Assigned(ctx context.Context, next map[event.Partition]int64) error
	Receive(ctx context.Context, p *Portion) error
	CaughtUp(p event.Partition, now time.Time)
	Revoked(ctx context.Context, p event.Partition)
}
