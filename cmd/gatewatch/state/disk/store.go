// Package disk keeps gatewatch's state in a folder, in a Pebble database.
//
// The keys, in order:
//
//	1                    the header: format, seed
//	2 sink               what a sink has settled
//	3                    the sequence up to which the outbox was trimmed
//	4 sequence           an entry of the outbox
//	5 checkpoint index   a chunk; the last of each checkpoint is its manifest
//
// The chunks of a checkpoint go to a table of their own as they are staged, past log and memtable, and the commit ingests the
// finished table: one atomic step that also cuts off the checkpoints of which nothing is needed any more. Checkpoints follow
// each other in key order, so tables never overlap and nothing is written twice: keys by lane would let the database merge
// each checkpoint with everything before. What is needed of an older checkpoint is listed in the manifest; what is not stays
// in its table until all older ones can go, or until it is more than what is needed and is deleted and compacted away. The
// rest of the keys sorts before the chunks so that its tables never span them.
package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Errors of a folder.
var (
	// ErrInUse says that another process has the folder open.
	ErrInUse = errors.New("in use by another gatewatch")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the state is closed")
	// ErrAbsent says that there is no state in the folder, where one was to be read.
	ErrAbsent = errors.New("no state")

	errFull       = errors.New("the disk is full")
	errUnreadable = errors.New("cannot be read")
)

// Store is a [state.Store] in a folder.
//
// A full disk is waited for; any other failure to write makes this and every later call fail, because what the operating
// system did with the data is unknown: a new process that opens the folder finds what was durable.
type Store struct {
	dir    string
	fs     *guardFS
	db     *pebble.DB
	lock   *pebble.Lock
	cache  *pebble.Cache
	tables sstable.WriterOptions
	slack  uint64

	readOnly bool
	header   header
	log      *slog.Logger
	metrics  *metrics
	full     *fullDisk
	failure  *failure
	tasks    tasks

	cut    turn   // of Load, Stage and Commit: owns the next three
	latest record // of the last commit
	stage  *stage // nil: nothing was staged
	buffer []byte

	appending turn
	settling  turn

	mu      sync.Mutex
	last    uint64 // of the outbox
	trimmed uint64
	settled map[string]uint64
}

var _ state.Store = (*Store)(nil)

// Seed implements [state.Store].
func (s *Store) Seed() uint64 { return s.header.Seed }

// Close releases the folder. A disk that is full is not waited for: what waits to be written is given up.
func (s *Store) Close() error {
	if !s.tasks.close() {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		s.tasks.wait()
		done <- s.release()
	}()
	select {
	case err := <-done:
		return err
	case <-s.full.full():
		close(s.full.closing)
		s.failure.raise(errFull)
	case <-s.failure.raised:
	}
	return s.failed()
}

func (s *Store) failed() error { return fmt.Errorf("write state in %s: %w", s.dir, s.failure.err) }

func (s *Store) release() error {
	var err error
	if s.stage != nil {
		s.stage.abandon()
	}
	sealing := s.fs.running.Load() && !s.readOnly
	if sealing {
		err = s.db.Flush() // the checksums of tables cover more than those of the log
	}
	err = errors.Join(err, s.db.Close())
	s.cache.Unref()
	if sealing && err == nil {
		err = s.writeSeal()
	}
	if err := errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("close state in %s: %w", s.dir, s.diagnose(err))
	}
	return nil
}

// diagnose turns what the database says of damage into what the contract says.
func (s *Store) diagnose(err error) error { return diagnose(s.dir, err) }

func diagnose(dir string, err error) error {
	if !errors.Is(err, state.ErrCorrupt) && (errors.Is(err, errUnreadable) || pebble.IsCorruptionError(err)) {
		return damaged(dir, err)
	}
	return err
}

func damaged(dir string, err error) error {
	return fmt.Errorf("%w: %v; move the folder %s away and start anew: what was known of entities is lost, the positions in the consumer group of Kafka are not",
		state.ErrCorrupt, err, dir)
}
