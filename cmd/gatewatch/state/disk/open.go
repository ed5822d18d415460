package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Open opens the state in a folder and makes it if there is none. It fails with [ErrInUse], [state.ErrVersion] or
// [state.ErrCorrupt].
func Open(ctx context.Context, o Options) (*Store, error) {
	return open(ctx, o.withDefaults())
}

// OpenReadOnly opens the state in a folder to look at it. Nothing is changed; calls that write fail. There must be a state
// ([ErrAbsent]) that nobody uses ([ErrInUse]).
func OpenReadOnly(ctx context.Context, o Options) (*Store, error) {
	o.readOnly = true
	return open(ctx, o.withDefaults())
}

func open(ctx context.Context, o Options) (*Store, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: o.Dir, log: o.Log, metrics: m, slack: o.slack, readOnly: o.readOnly, full: newFullDisk(o, m.full), failure: newFailure(),
		cut: newTurn(), appending: newTurn(), settling: newTurn(), settled: map[string]uint64{},
	}
	s.fs = &guardFS{FS: o.FS, disk: s.full, failure: s.failure}
	if err := s.do(ctx, nil, func() error { return s.start(o) }); err != nil {
		s.tasks.close()
		close(s.full.closing)
		return nil, fmt.Errorf("open state in %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *Store) start(o Options) error {
	if err := s.acquire(o); err != nil {
		return err
	}
	inhabited, err := s.hasTables()
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	if err := s.openDatabase(o); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	if err := s.read(o, inhabited); err != nil {
		return errors.Join(err, s.release())
	}
	s.fs.running.Store(true)
	return nil
}

func (s *Store) acquire(o Options) (err error) {
	if _, err := s.fs.Stat(s.dir); o.readOnly && errors.Is(err, os.ErrNotExist) {
		return ErrAbsent
	}
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	s.lock, err = pebble.LockDirectory(s.dir, s.fs)
	var path *os.PathError
	if err != nil && !errors.As(err, &path) {
		return fmt.Errorf("%w (%v)", ErrInUse, err)
	}
	return err
}

func (s *Store) openDatabase(o Options) (err error) {
	s.cache = pebble.NewCache(blockCache)
	options := o.database(s.fs, s.cache, &databaseLog{log: o.Log, failure: s.failure})
	options.Lock = s.lock
	s.db, err = pebble.Open(s.dir, options)
	if err == nil {
		s.tables = table(options)
		return nil
	}
	s.cache.Unref()
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return ErrAbsent
	}
	if errors.Is(err, os.ErrNotExist) { // a table that the list of tables has
		return damaged(s.dir, err)
	}
	if strings.Contains(err.Error(), "unknown format major version") { // the library has no sentinel for it
		return versionError(s.dir, err.Error())
	}
	return diagnose(s.dir, err)
}

// hasTables says whether the folder has tables, before the database removes those that are not on its list.
func (s *Store) hasTables() (bool, error) {
	names, err := s.fs.List(s.dir)
	return slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".sst") }), err
}

// read takes over what the folder says, and removes what was staged and never committed.
func (s *Store) read(o Options, inhabited bool) (err error) {
	if s.header, err = readHeader(s.db, o, inhabited); err != nil {
		return s.diagnose(err)
	}
	if s.latest, err = readRecord(s.db); err != nil {
		return s.diagnose(err)
	}
	if err := errors.Join(s.readOutbox(), s.checkSeal()); err != nil {
		return s.diagnose(err)
	}
	if o.readOnly {
		return nil
	}
	s.metrics.look(s.db)
	return errors.Join(s.breakSeal(), s.prepareStaging())
}
