package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// ErrAbsent says that the topic holds no state, where one was to be read.
var ErrAbsent = errors.New("no state")

var errReadOnly = errors.New("the state was opened to be read only")

// OpenTopicReadOnly opens a topic to look at it, while its owners go on: nothing is written, nobody is fenced, and the number of
// partitions is what the topic has. It returns [ErrAbsent] if there is no state.
func OpenTopicReadOnly(ctx context.Context, o Options) (*Topic, error) {
	o = o.withDefaults()
	cluster, err := connection.New(o.Connection)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(nil)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(cluster.KgoOptions()...)
	if err != nil {
		return nil, fmt.Errorf("set up a Kafka client: %w", err)
	}
	t := &Topic{options: o, cluster: cluster, client: client, metrics: metrics}
	if err := newTrouble(o.Log).retry(ctx, looking, t.look); err != nil {
		client.Close()
		return nil, fmt.Errorf("open state in Kafka topic %s: %w", o.Topic, err)
	}
	return t, nil
}

// looking gives up on what is not there, beside what [starting] gives up on.
func looking(err error, n int) bool { return errors.Is(err, ErrAbsent) || starting(err, n) }

// look finds the partitions and the seed.
func (t *Topic) look(ctx context.Context) error {
	topic, err := describeTopic(ctx, t.client, t.options.Topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("%w: there is no such topic", ErrAbsent)
	}
	if err != nil {
		return err
	}
	t.options.Partitions = len(topic.Partitions)
	log := t.log(0)
	found, err := t.readSeed(ctx, log, log.stable)
	if err == nil && !found {
		err = fmt.Errorf("%w: nothing was ever written by gatewatch", ErrAbsent)
	}
	return err
}

// Partitions is how many the topic has.
func (t *Topic) Partitions() int { return t.options.Partitions }

// OpenReadOnly reads the state of one partition as it is now; what its owner commits later is not seen. Calls that write
// fail. When the owner goes on, compaction may remove what the state consisted of: then calls that read fail with
// state.ErrCorrupt, and a store that is opened anew has a later checkpoint.
func (t *Topic) OpenReadOnly(ctx context.Context, partition int32) (*Store, error) {
	if partition < 0 || int(partition) >= t.options.Partitions {
		return nil, fmt.Errorf("open state of partition %d: the topic has %d partitions", partition, t.options.Partitions)
	}
	s := &Store{
		topic: t, log: t.log(partition), trouble: newTrouble(t.options.Log.With("partition", partition)), index: newIndex(),
		stop: func() {}, dead: make(chan struct{}), err: errReadOnly,
	}
	close(s.dead)
	s.stage = newStage(s)
	if err := s.trouble.retry(ctx, looking, s.readStable); err != nil {
		return nil, fmt.Errorf("open state of partition %d: %w", partition, err)
	}
	return s, nil
}

// readStable makes the index of everything that is decided.
func (s *Store) readStable(ctx context.Context) error {
	end, err := s.log.stable(ctx)
	if err != nil {
		return err
	}
	x := newIndex()
	if _, err := s.log.read(ctx, 0, end, x.apply); err != nil {
		return err
	}
	s.index, s.end = x, end
	return x.outbox.check()
}

// About returns the format; when the topic was made is not noted.
func (s *Store) About() state.About { return state.About{Format: formatVersion} }
