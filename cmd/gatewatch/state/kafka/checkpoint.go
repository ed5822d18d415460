package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Stage writes a chunk of the next checkpoint. It waits only if the broker takes less than it is given.
func (s *Store) Stage(ctx context.Context, c state.Chunk) error {
	select {
	case <-s.dead:
		return s.err
	default:
	}
	if c.Lane < 0 || c.Lane > maxLane {
		return fmt.Errorf("stage a chunk: lane %d, want 0 to %d", c.Lane, maxLane)
	}
	if err := s.stage.add(ctx, s.number()+1, c); err != nil {
		return fmt.Errorf("stage a chunk of lane %d: %w", c.Lane, err)
	}
	return nil
}

// number returns that of the latest checkpoint, 0 if there is none.
func (s *Store) number() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.manifest == nil {
		return 0
	}
	return s.index.manifest.Number
}

// Commit makes what was staged, and m, the state. The numbers of checkpoints rise by one.
func (s *Store) Commit(ctx context.Context, m state.Manifest) error {
	begun := time.Now()
	if err := s.commit(ctx, m); err != nil {
		return fmt.Errorf("commit checkpoint %d: %w", m.Number, err)
	}
	s.topic.metrics.commits.Inc()
	s.topic.metrics.seconds.Observe(time.Since(begun).Seconds())
	return nil
}

func (s *Store) commit(ctx context.Context, m state.Manifest) error {
	select {
	case <-s.dead:
		return s.err
	default:
	}
	if want := s.number() + 1; m.Number != want {
		return fmt.Errorf("the next checkpoint is %d", want)
	}
	if err := s.stage.flush(ctx); err != nil {
		return err
	}
	records, err := s.checkpoint(m)
	if err != nil {
		return err
	}
	if err := s.write(ctx, ahead{checkpoint: m.Number}, records...); err != nil {
		return err
	}
	s.stage.next = 0
	return nil
}

// checkpoint returns the records of a commit: the manifest, and the removal of what is obsolete with it.
func (s *Store) checkpoint(to state.Manifest) ([]*kgo.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.index.manifest.next(to, s.stage.name)
	obsolete := s.index.seal(m)
	data, err := m.encode()
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	values := split(binary.AppendUvarint(nil, m.Number), data)
	for part, value := range values {
		records = append(records, &kgo.Record{Key: manifestID(part), Value: value})
	}
	for part := len(values); part < s.index.manifestOf; part++ {
		records = append(records, &kgo.Record{Key: manifestID(part)})
	}
	for _, c := range obsolete {
		records = append(records, &kgo.Record{Key: c.id.key()})
	}
	return records, nil
}

// Load calls each with every chunk of the latest checkpoint. What was staged and not committed is given up.
func (s *Store) Load(ctx context.Context, begin func(state.Manifest) error, each func(state.Chunk) error) (bool, error) {
	if err := s.stage.flush(ctx); err != nil {
		return false, fmt.Errorf("load state: %w", err)
	}
	s.stage.discard()
	s.mu.Lock()
	m := s.index.manifest
	valid, _ := s.index.sort(m)
	s.mu.Unlock()
	if m == nil {
		return false, nil
	}
	err := checkChunks(m, valid)
	if err == nil {
		err = begin(m.state())
	}
	if err == nil {
		err = s.load(ctx, valid, each)
	}
	if err != nil {
		return false, fmt.Errorf("load checkpoint %d: %w", m.Number, err)
	}
	return true, nil
}
