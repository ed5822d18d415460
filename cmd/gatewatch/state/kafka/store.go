package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

var _ state.Store = (*Store)(nil)

// Store is the state of one partition. It implements state.Store.
type Store struct {
	topic      *Topic
	log        *partitionLog
	trouble    *trouble
	possession *possession
	stage      *stage
	end        int64 // of what a store that is only read looks at; 0: it is written too

	mu    sync.Mutex
	index *index

	stop context.CancelFunc
	dead chan struct{} // closed when nothing is written any more
	err  error         // why; set before dead is closed
}

var errClosed = errors.New("the state is closed")

// grace is how long a store that seems to be fenced looks for the claim of a successor before it disturbs it.
const grace = 2 * time.Second

// Open takes possession of the state of one partition: whoever had it gets state.ErrFenced from then on. It waits until the
// cluster answers or ctx ends.
func (t *Topic) Open(ctx context.Context, partition int32) (*Store, error) {
	if partition < 0 || int(partition) >= t.options.Partitions {
		return nil, fmt.Errorf("open state of partition %d: the topic has %d partitions", partition, t.options.Partitions)
	}
	log := t.options.Log.With("partition", partition)
	s := &Store{
		topic: t, log: t.log(partition), trouble: newTrouble(log), index: newIndex(), dead: make(chan struct{}),
	}
	s.stage = newStage(s)
	s.possession = &possession{
		topic: t, log: s.log, trouble: s.trouble, store: s, self: owner{Name: newName()},
		requests: make(chan *request, 64), grace: grace,
	}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open state of partition %d: %w", partition, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.trouble.retry(ctx, starting, s.take); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go s.run(running)
	if s.index.format == "" {
		if err := s.write(ctx, ahead{}, &kgo.Record{Key: []byte(formatKey), Value: []byte(formatVersion)}); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

// take claims the partition and reads it.
func (s *Store) take(ctx context.Context) error {
	if err := s.possession.claim(ctx); err != nil {
		return err
	}
	err := s.trouble.retry(ctx, func(err error, n int) bool { return starting(err, n) || errors.Is(err, errUnclaimed) }, s.read)
	if err != nil {
		s.possession.producer.close()
	}
	return err
}

// errUnclaimed says that a claim is not in the log although it was committed.
var errUnclaimed = errors.New("the claim of the partition is not in the log")

// read makes the index of everything up to the claim.
func (s *Store) read(ctx context.Context) error {
	x := newIndex()
	end := s.possession.position
	if _, err := s.log.read(ctx, 0, end, x.apply); err != nil {
		return err
	}
	if x.owner != s.possession.self {
		return errUnclaimed
	}
	s.index = x
	return x.outbox.check()
}

func (s *Store) run(ctx context.Context) {
	err := s.possession.run(ctx)
	if errors.Is(err, state.ErrFenced) {
		s.topic.metrics.fenced.Inc()
		s.trouble.log.Warn("another process has taken over the state of this partition")
	}
	s.err = err
	close(s.dead)
}

// write makes the records durable in one transaction. If ctx ends before, they may become so or not.
func (s *Store) write(ctx context.Context, a ahead, records ...*kgo.Record) error {
	r := &request{ctx: ctx, records: records, ahead: a, done: make(chan error, 1)}
	for _, record := range records {
		r.bytes += len(record.Key) + len(record.Value)
	}
	select { // not at random
	case <-s.dead:
		return s.err
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.possession.requests <- r:
	case <-s.dead:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.done:
		return err
	case <-s.dead:
		return s.answer(r)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answer is what became of a request when the store died: it may have been done just before.
func (s *Store) answer(r *request) error {
	select {
	case err := <-r.done:
		return err
	default:
		return s.err
	}
}

// apply puts records that are in the log into the index.
func (s *Store) apply(records []*kgo.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if err := s.index.apply(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) owner() name {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.owner.Name
}

func (s *Store) transaction() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.owner.Transaction
}

// Seed is the same for all partitions of the topic.
func (s *Store) Seed() uint64 { return s.topic.seed }

// Close releases the partition. It does not wait for calls that are under way; what becomes of them is unknown.
func (s *Store) Close() error {
	s.stop()
	<-s.dead
	return nil
}

// Append adds to the end of the outbox.
func (s *Store) Append(ctx context.Context, entries []state.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	a := ahead{first: entries[0].Sequence, entries: uint64(len(entries))}
	var records []*kgo.Record
	for i, e := range entries {
		if want := a.first + uint64(i); e.Sequence != want {
			return fmt.Errorf("append to the outbox: sequence %d, want %d", e.Sequence, want)
		}
		for part, value := range split(nil, e.Data) {
			records = append(records, &kgo.Record{Key: entryID(e.Sequence, part), Value: value})
		}
	}
	if err := s.write(ctx, a, records...); err != nil {
		return fmt.Errorf("append to the outbox: %w", err)
	}
	return nil
}

// After returns entries that follow the sequence.
func (s *Store) After(ctx context.Context, sequence uint64, maxBytes int) ([]state.Entry, error) {
	s.mu.Lock()
	entries, elsewhere := s.index.outbox.after(sequence, maxBytes)
	s.mu.Unlock()
	if elsewhere == nil {
		return entries, nil
	}
	err := s.trouble.retry(ctx, running, func(ctx context.Context) (err error) {
		entries, err = s.readEntries(ctx, sequence, maxBytes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the outbox after %d: %w", sequence, err)
	}
	return entries, nil
}

// Last returns the sequence of the newest entry.
func (s *Store) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.outbox.last
}

// Settle notes that the sink is done with all entries up to the sequence.
func (s *Store) Settle(ctx context.Context, sink string, through uint64) error {
	if err := s.write(ctx, ahead{}, &kgo.Record{Key: settledID(sink), Value: decimal(through)}); err != nil {
		return fmt.Errorf("settle %s: %w", sink, err)
	}
	return nil
}

func decimal(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// Settled returns what was noted for each sink.
func (s *Store) Settled() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index.settledCopy()
}

// trimStep bounds the entries that one transaction removes.
const trimStep = 10_000

// Trim removes the entries up to the sequence, in steps each of which is whole.
func (s *Store) Trim(ctx context.Context, through uint64) error {
	for {
		records, more := s.trimmed(through)
		if err := s.write(ctx, ahead{}, records...); err != nil {
			return fmt.Errorf("trim the outbox: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// trimmed returns the records of a step towards the sequence. Even one without entries is written: it tells whether the store
// is fenced.
func (s *Store) trimmed(through uint64) (records []*kgo.Record, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.index.outbox
	to := max(o.trimmed, min(through, o.last, o.trimmed+trimStep))
	records = append(records, &kgo.Record{Key: []byte(trimmedKey), Value: decimal(to)})
	for _, key := range o.keys(to) {
		records = append(records, &kgo.Record{Key: key})
	}
	return records, to < min(through, o.last)
}

// tooLarge reports whether the topic has come to allow less than what was written, which waiting does not repair.
func tooLarge(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}
