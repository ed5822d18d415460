package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Load implements [state.Store]. Nothing is called any more when it has returned.
func (s *Store) Load(ctx context.Context, begin func(state.Manifest) error, each func(state.Chunk) error) (ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	err = s.do(context.WithoutCancel(ctx), s.cut, func() error {
		if s.stage != nil {
			s.stage.abandon()
			s.stage = nil
		}
		if ok = s.latest.Manifest.Number != 0; !ok {
			return nil
		}
		if err := begin(s.latest.Manifest); err != nil {
			return err
		}
		return s.load(ctx, each)
	})
	if err != nil {
		return false, fmt.Errorf("load state in %s: %w", s.dir, err)
	}
	return ok, nil
}

func (s *Store) load(ctx context.Context, each func(state.Chunk) error) (err error) {
	iterator, err := s.db.NewIter(&pebble.IterOptions{LowerBound: checkpointKey(0), UpperBound: []byte{chunkPrefix + 1}})
	if err != nil {
		return err
	}
	defer closing(iterator, &err)
	for _, r := range s.latest.inventory.live {
		if err := s.loadRun(ctx, iterator, r, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadRun(ctx context.Context, iterator *pebble.Iterator, r run, each func(state.Chunk) error) error {
	found := iterator.SeekGE(chunkKey(r.number, r.first))
	for i := range r.count {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		key := chunkKey(r.number, r.first+i)
		if !found || !bytes.Equal(iterator.Key(), key) {
			if err := iterator.Error(); err != nil {
				return err
			}
			return damaged(s.dir, fmt.Errorf("chunk %d of checkpoint %d is missing", r.first+i, r.number))
		}
		if err := s.pass(iterator, r, each); err != nil {
			return err
		}
		found = iterator.Next()
	}
	return nil
}

// pass hands a copy of the chunk on, which outlives the iterator.
func (s *Store) pass(iterator *pebble.Iterator, r run, each func(state.Chunk) error) error {
	value, err := iterator.ValueAndErr()
	if err != nil {
		return err
	}
	lane, n := binary.Uvarint(value)
	if n <= 0 || lane != uint64(r.lane)<<1|flag(r.base) {
		return damaged(s.dir, fmt.Errorf("a chunk of checkpoint %d is not of lane %d", r.number, r.lane))
	}
	return each(state.Chunk{Lane: r.lane, Base: r.base, Data: append(make([]byte, 0, len(value)-n), value[n:]...)})
}
