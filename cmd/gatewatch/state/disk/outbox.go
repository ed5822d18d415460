package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// readOutbox takes over what the folder says of the outbox.
func (s *Store) readOutbox() error {
	value, ok, err := get(s.db, trimmedKey)
	if err != nil {
		return err
	}
	if ok {
		if s.trimmed, err = number(value); err != nil {
			return err
		}
	}
	s.last = s.trimmed
	if err := s.readLast(); err != nil {
		return err
	}
	return s.readSettled()
}

func (s *Store) readLast() (err error) {
	iterator, err := s.db.NewIter(&pebble.IterOptions{LowerBound: entryKey(0), UpperBound: []byte{entryPrefix + 1}})
	if err != nil {
		return err
	}
	defer closing(iterator, &err)
	if iterator.Last() {
		s.last = binary.BigEndian.Uint64(iterator.Key()[1:])
	}
	return iterator.Error()
}

func (s *Store) readSettled() (err error) {
	iterator, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{settledPrefix}, UpperBound: []byte{settledPrefix + 1}})
	if err != nil {
		return err
	}
	defer closing(iterator, &err)
	for valid := iterator.First(); valid; valid = iterator.Next() {
		if s.settled[string(iterator.Key()[1:])], err = number(iterator.Value()); err != nil {
			return err
		}
	}
	return iterator.Error()
}

func number(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("sequence %w: it has %d bytes", errUnreadable, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// Append implements [state.Store].
func (s *Store) Append(ctx context.Context, entries []state.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	err := s.do(ctx, s.appending, func() error { return s.append(entries) })
	if err != nil {
		return fmt.Errorf("append to outbox: %w", err)
	}
	return nil
}

func (s *Store) append(entries []state.Entry) error {
	batch, last := s.db.NewBatch(), s.Last()
	for _, e := range entries {
		if e.Sequence != last+1 {
			return fmt.Errorf("sequence %d does not follow %d", e.Sequence, last)
		}
		if err := batch.Set(entryKey(e.Sequence), e.Data, nil); err != nil {
			return err
		}
		last = e.Sequence
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	return nil
}

// After implements [state.Store].
func (s *Store) After(ctx context.Context, sequence uint64, maxBytes int) (entries []state.Entry, err error) {
	var found []state.Entry
	err = s.do(ctx, nil, func() (err error) {
		found, err = s.after(sequence, maxBytes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return found, nil
}

func (s *Store) after(sequence uint64, maxBytes int) (entries []state.Entry, err error) {
	lower := entryKey(max(sequence, s.floor()) + 1) // past what was trimmed, which may be many tombstones
	iterator, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: []byte{entryPrefix + 1}})
	if err != nil {
		return nil, err
	}
	defer closing(iterator, &err)
	for valid := iterator.First(); valid; valid = iterator.Next() {
		value := iterator.Value()
		if maxBytes -= len(value); maxBytes < 0 && len(entries) > 0 {
			break
		}
		entries = append(entries, state.Entry{Sequence: binary.BigEndian.Uint64(iterator.Key()[1:]), Data: append([]byte(nil), value...)})
	}
	return entries, iterator.Error()
}

func (s *Store) floor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trimmed
}

// Last implements [state.Store].
func (s *Store) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Settle implements [state.Store]. What was noted for the sink never goes down.
func (s *Store) Settle(ctx context.Context, sink string, through uint64) error {
	err := s.do(ctx, s.settling, func() error { return s.settle(sink, through) })
	if err != nil {
		return fmt.Errorf("settle outbox for %s: %w", sink, err)
	}
	return nil
}

func (s *Store) settle(sink string, through uint64) error {
	if noted, ok := s.Settled()[sink]; ok && noted >= through {
		return nil
	}
	if err := s.db.Set(settledKey(sink), binary.BigEndian.AppendUint64(nil, through), pebble.Sync); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[sink] = through
	return nil
}

// Settled implements [state.Store].
func (s *Store) Settled() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.settled)
}

// Trim implements [state.Store].
func (s *Store) Trim(ctx context.Context, through uint64) error {
	err := s.do(ctx, s.appending, func() error { return s.trim(min(through, s.Last())) })
	if err != nil {
		return fmt.Errorf("trim outbox: %w", err)
	}
	return nil
}

func (s *Store) trim(through uint64) error {
	if through <= s.floor() {
		return nil
	}
	batch := s.db.NewBatch()
	if err := batch.DeleteRange(entryKey(0), entryKey(through+1), nil); err != nil {
		return err
	}
	if err := batch.Set(trimmedKey, binary.BigEndian.AppendUint64(nil, through), nil); err != nil {
		return err
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = through
	return nil
}
