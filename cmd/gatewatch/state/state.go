// Package state is what gatewatch remembers over restarts: checkpoints of the engine, the positions of the source that belong
// to them, and the outbox of records that not every sink has taken.
//
// A checkpoint is written as deltas: each holds, lane by lane, the entities that changed since the one before, or the lane
// whole (a base), which makes everything older of that lane obsolete. Its chunks are staged while detection goes on and
// count for nothing before [Store.Commit] makes them, the positions and the mark in the outbox valid at once.
//
// disk keeps all that in a folder, kafka in a compacted topic.
package state

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Errors that callers branch on.
var (
	// ErrFenced says that another process owns the state by now: this one must not write any more.
	ErrFenced error = permanent("the state belongs to another process")
	// ErrVersion says that the state was written by a version of gatewatch that this one cannot read.
	ErrVersion error = permanent("the state has a format that this version of gatewatch does not know")
	// ErrCorrupt says that what was read is not what was written.
	ErrCorrupt error = permanent("the state is damaged")
)

// permanent is an error that does not pass.
type permanent string

// Error implements error.
func (p permanent) Error() string { return string(p) }

// Permanent tells the delivery queue not to try again.
func (p permanent) Permanent() bool { return true }

// Chunk is a part of one lane's entities in one checkpoint.
type Chunk struct {
	Lane int
	Base bool   // the chunks of this lane in this checkpoint are all of it: what older checkpoints say is obsolete
	Data []byte // as the engine encodes it; usually 64 KiB to 256 KiB, never more than 900 KiB unless one entity is larger
}

// Manifest is the rest of a checkpoint.
type Manifest struct {
	Number    uint64                    // of the checkpoint: the first is 1, the next one more
	Engine    []byte                    // what the engine knows beside entities
	Positions map[event.Partition]int64 // the offset from which to read on
	Sequence  uint64                    // everything in the outbox up to here was raised before the checkpoint
	At        time.Time                 // clock on the wall at the cut
	Lanes     int                       // number of lanes when it was written
	Bases     []int                     // lanes that have base chunks here, or are empty: their older chunks are obsolete
}

// Entry is one record of the outbox.
type Entry struct {
	Sequence uint64
	Data     []byte
}

// Store keeps the state of one unit of recovery: all lanes of a process, or one partition of a shared topic.
//
// Load, Stage and Commit are for one goroutine, Append for one, the rest for any, all at the same time. What returns nil is durable, Stage
// apart. Any call may return [ErrFenced]. Failures that may pass (a broker that is away, a full disk) are waited for inside
// the calls until ctx ends.
type Store interface {
	// Seed is a random number that was drawn when the store was made, for the engine's hashes.
	Seed() uint64

	// Load calls begin with the manifest of the latest checkpoint, then each with every chunk that is not obsolete: of each
	// lane the older checkpoints first, and those of one checkpoint in the order in which they were staged. Neither is called,
	// and ok is false, when there is no checkpoint. The data of a chunk belongs to the callee. What was staged and never
	// committed is gone. Load belongs to the goroutine of Stage and Commit and comes before them.
	Load(ctx context.Context, begin func(Manifest) error, each func(Chunk) error) (ok bool, err error)

	// Stage writes a chunk of the checkpoint that the next Commit completes. It takes the data over.
	Stage(ctx context.Context, c Chunk) error

	// Commit makes what was staged, and m, the state, and drops what is obsolete: older chunks of m.Bases and all chunks of
	// lanes from m.Lanes on. m.Number must follow that of the checkpoint before. When it fails, because ctx ended or
	// otherwise, the checkpoint is either valid or not; Load tells which.
	Commit(ctx context.Context, m Manifest) error

	// Append adds to the end of the outbox. Sequences rise by one and follow [Store.Last]. When it fails, the entries are
	// there all or, after a start, not at all, unless they were more than 1 MiB, when the first of them may be.
	Append(ctx context.Context, entries []Entry) error

	// After returns entries that follow the sequence, in order: as many as fit in maxBytes, at least one if there is one.
	After(ctx context.Context, sequence uint64, maxBytes int) ([]Entry, error)

	// Last returns the sequence of the newest entry that was ever appended, 0 if none.
	Last() uint64

	// Settle notes that the sink is done with all entries up to the sequence.
	Settle(ctx context.Context, sink string, through uint64) error

	// Settled returns what was noted for each sink that was ever named.
	Settled() map[string]uint64

	// Trim removes the entries up to the sequence. It may come back after a crash that some of them are there again.
	Trim(ctx context.Context, through uint64) error

	// Close releases the store. Nothing is lost by not calling it.
	Close() error
}

// Holder is a store that can be unable to keep anything for a while.
type Holder interface {
	// Held returns a channel that is closed when the store is of use again, nil when it is: until then nothing more should be
	// read, for it could not be kept.
	Held() <-chan struct{}
}

// Read is Load for who wants the manifest at the end.
func Read(ctx context.Context, s Store, each func(Chunk) error) (m Manifest, ok bool, err error) {
	ok, err = s.Load(ctx, func(latest Manifest) error {
		m = latest
		return nil
	}, each)
	return m, ok, err
}
