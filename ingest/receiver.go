// Package ingest turns what gateways wrote into events: sources (ingest/kafka, ingest/file), formats (ingest/accesslog),
// replacement of secrets (ingest/privacy) and enrichment (ingest/geo, ingest/inventory, ingest/route). It knows no rules.
package ingest

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// Receiver takes what a source reads. A source calls it from one goroutine for each partition.
type Receiver interface {
	// Assigned says that batches of these partitions will come, and where reading would begin: the offset of the next record, -1
	// when unknown yet. The receiver may change the offsets: what it remembers goes further back or forth than what was
	// committed. It returns once it is ready for them; an error ends the source. Every partition is revoked later, unless
	// Assigned failed. Nothing is called meanwhile. ctx ends when the partitions are taken away again.
	Assigned(ctx context.Context, next map[event.Partition]int64) error

	// Receive takes over the batch and the rejected records between its bounds. It blocks while the engine is behind: that is
	// the source's back-pressure. It fails only when ctx ends.
	Receive(ctx context.Context, b *event.Batch, rejected []Rejected) error

	// CaughtUp says that at wall-clock time now, p held nothing that was not received. A source repeats it at least every
	// second while that lasts: it is how the engine learns that nothing happens.
	CaughtUp(p event.Partition, now time.Time)

	// Revoked says that no further batch of p will come. It returns once everything of p that can be committed is committed.
	Revoked(ctx context.Context, p event.Partition)
}

// Rejected is a record, or one event of a record, that could not become an event. It harms nothing else.
type Rejected struct {
	Partition event.Partition
	Offset    int64
	Index     int32 // of the event in its record; 0 when the record as a whole was rejected
	Reason    Reason
	Detail    string // for people: what is wrong where; never contains input values
	Size      int    // bytes of the record
	Excerpt   string // the beginning of the record with every value masked, so that no secret is in it
}

// Reason is why a record was rejected: the bounded label of the counter.
type Reason = accesslog.Reason

// The reasons for which records are rejected.
const (
	NotJSON      = accesslog.NotJSON      // no JSON at all, truncated, nested too deep, invalid UTF-8
	MissingField = accesslog.MissingField // time, method, path, status or who
	BadField     = accesslog.BadField     // a required field of the wrong type or without meaning
	BadTime      = accesslog.BadTime      // before 2000 or unreadable
	Future       = accesslog.Future       // later than the clock allows
	TooLarge     = accesslog.TooLarge     // record or path beyond the limit
	UnknownForm  = accesslog.UnknownForm
)

// Reasons lists all reasons, so that every counter starts at 0.
func Reasons() []Reason { return accesslog.Reasons() }
