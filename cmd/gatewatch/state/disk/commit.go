package disk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Commit implements [state.Store].
func (s *Store) Commit(ctx context.Context, m state.Manifest) error {
	began := time.Now()
	err := s.do(ctx, s.cut, func() error { return s.commit(m, began) })
	if err != nil {
		return fmt.Errorf("commit checkpoint %d: %w", m.Number, err)
	}
	return nil
}

func (s *Store) commit(m state.Manifest, began time.Time) error {
	if want := s.latest.Manifest.Number + 1; m.Number != want {
		return fmt.Errorf("the next checkpoint is %d", want)
	}
	if err := s.startStage(); err != nil {
		return err
	}
	if err := checkBases(m, s.stage.runs); err != nil {
		return err
	}
	next := record{Manifest: m, inventory: s.latest.inventory.next(m, s.stage.runs)}
	encoded, err := next.encode()
	if err != nil {
		return err
	}
	if err := s.stage.finish(encoded); err != nil {
		return err
	}
	if err := s.ingest(next); err != nil {
		return err
	}
	s.stage, s.latest = nil, next
	s.metrics.committed(time.Since(began), s.db)
	return s.prune()
}

// checkBases refuses a manifest that would drop older chunks of a lane without new ones to replace them, or keep them.
func checkBases(m state.Manifest, runs []run) error {
	for _, r := range runs {
		switch listed := slices.Contains(m.Bases, r.lane); {
		case r.lane >= m.Lanes:
			return fmt.Errorf("a chunk is of lane %d, there are %d lanes", r.lane, m.Lanes)
		case listed && !r.base:
			return fmt.Errorf("lane %d is listed as a base and has a chunk that is not", r.lane)
		case !listed && r.base:
			return fmt.Errorf("lane %d has a base and is not listed", r.lane)
		}
	}
	return nil
}

// ingest makes the staged table part of the database and cuts off the checkpoints before the oldest that is needed, at
// once.
func (s *Store) ingest(next record) error {
	ctx, paths := context.Background(), []string{s.stage.path}
	oldest := next.inventory.oldest(next.Manifest.Number)
	if oldest == s.latest.inventory.oldest(s.latest.Manifest.Number) {
		return s.db.Ingest(ctx, paths)
	}
	_, err := s.db.IngestAndExcise(ctx, paths, nil, nil, pebble.KeyRange{Start: checkpointKey(0), End: checkpointKey(oldest)})
	return err
}

// prune deletes obsolete chunks that a live one of an old checkpoint keeps from being cut off, once they are more than what is
// live, so that rewriting the live ones is paid for.
func (s *Store) prune() error {
	dead := s.latest.inventory.dead
	if size(dead) <= size(s.latest.inventory.live)+s.slack {
		return nil
	}
	batch := s.db.NewBatch()
	for _, r := range dead {
		for i := range r.count {
			if err := batch.Delete(chunkKey(r.number, r.first+i), nil); err != nil {
				return err
			}
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return err
	}
	s.latest.inventory.dead = nil
	s.compact(s.latest.Manifest.Number)
	return nil
}

// compact gives the room of deleted chunks back, in the background.
func (s *Store) compact(through uint64) {
	if !s.tasks.begin() {
		return
	}
	go func() {
		defer s.tasks.running.Done()
		err := s.take(nil, func() error {
			return s.db.Compact(context.Background(), checkpointKey(0), checkpointKey(through), false)
		})
		if err != nil {
			s.log.Warn("compact state", "dir", s.dir, "error", err)
		}
	}()
}
