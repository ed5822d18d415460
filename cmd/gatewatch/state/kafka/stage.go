package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// stageBytes bounds what a store has staged that the broker has not taken.
const stageBytes = 16 << 20

// stage writes the chunks of the next checkpoint, outside of transactions. Its own methods are for the goroutine that calls
// Stage, Commit and Load, apart from written.
type stage struct {
	store *Store
	name  name
	next  uint32              // index of the next chunk
	room  *semaphore.Weighted // bytes

	mu     sync.Mutex
	failed []*kgo.Record
	err    error // of the last that failed
}

func newStage(s *Store) *stage {
	return &stage{store: s, name: newName(), room: semaphore.NewWeighted(stageBytes)}
}

// discard makes what was staged and not committed count for nothing.
func (s *stage) discard() {
	s.name, s.next = newName(), 0
}

// add sends the records of a chunk once there is room.
func (s *stage) add(ctx context.Context, number uint64, c state.Chunk) error {
	id := chunkID{stager: s.name, number: number, index: s.next}
	s.next++
	for _, r := range chunkRecords(id, c) {
		if err := s.room.Acquire(ctx, weight(r)); err != nil {
			return err
		}
		s.send(r)
	}
	return nil
}

func weight(r *kgo.Record) int64 { return int64(len(r.Key) + len(r.Value)) }

// send has a context of its own: a record that may be on its way cannot be taken back.
func (s *stage) send(r *kgo.Record) {
	r.Partition = s.store.log.partition
	s.store.topic.client.Produce(context.Background(), r, s.written)
}

// written takes note of a record that the broker has taken or will not take.
func (s *stage) written(r *kgo.Record, err error) {
	defer s.room.Release(weight(r))
	if err == nil {
		err = s.store.apply([]*kgo.Record{r})
	}
	if err == nil {
		s.store.topic.metrics.written.Add(float64(weight(r)))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.failed = append(s.failed, &kgo.Record{Key: r.Key, Value: r.Value})
}

// flush waits until all that was sent is durable.
func (s *stage) flush(ctx context.Context) error {
	slow := time.AfterFunc(slowness, func() { s.store.trouble.begin(errSlow) })
	defer slow.Stop()
	return s.store.trouble.retry(ctx, func(err error, n int) bool { return running(err, n) || tooLarge(err) }, s.settle)
}

// settle waits for what is on its way and sends again what failed.
func (s *stage) settle(ctx context.Context) error {
	if err := s.room.Acquire(ctx, stageBytes); err != nil {
		return err
	}
	s.room.Release(stageBytes)
	s.mu.Lock()
	failed, err := s.failed, s.err
	s.failed, s.err = nil, nil
	s.mu.Unlock()
	for _, r := range failed {
		if err := s.room.Acquire(ctx, weight(r)); err != nil {
			return err
		}
		s.send(r)
	}
	if err != nil {
		return fmt.Errorf("write chunk: %w", err)
	}
	return nil
}
