// Package kafka reads telemetry from Kafka topics as a member of a consumer group.
//
// One goroutine reads each assigned partition, over a connection of its own, into a decoder of its own; a partition whose
// receiver is slow waits alone. Offsets are committed only by Commit, so that they stay behind what was processed and
// delivered.
//
// Brokers that are down, topics that do not exist yet and partitions without leader are waited for; each such trouble is
// logged when it begins and when it ends. Only what waiting cannot repair, such as a wrong password, ends Run.
//
// Who owns what: Run's goroutine owns the membership in the group; a reader owns its partition from Assigned to Revoked;
// what they share (positions, the directory of leaders) is behind locks that no record passes.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafka "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// Decoder turns the records of one partition into batches; *ingest.Decoder is one.
type Decoder interface {
	Begin(p event.Partition)
	Add(offset int64, value []byte) // value is valid during the call
	Len() (events, bytes int)
	Take() (*event.Batch, []ingest.Rejected) // nil when nothing was added
}

// Options are what a source works with.
type Options struct {
	Config     Config                // valid
	NewDecoder func() Decoder        // for Run
	NewKeyed   func() *keyed.Decoder // for RunKeyed
	Registerer prometheus.Registerer // nil: no metrics
	Log        *slog.Logger          // nil: none

	// OnGap is told of records that were deleted before they were read. nil: nobody listens.
	OnGap func(p event.Partition, records int64)
}

// Source is a member of a consumer group. Either Run or RunKeyed must be called once; Commit may be called from any goroutine.
type Source struct {
	config     Config
	newDecoder func() Decoder
	newKeyed   func() *keyed.Decoder
	cluster    *connection.Cluster
	directory  *directory
	metrics    *metrics
	log        *slog.Logger
	trouble    trouble // of the membership; Run's goroutine owns it
	member     membership

	// known is how many partitions topics had when they were first looked at; Run's goroutine owns it.
	known map[string]int

	failure   chan error // what a reader cannot survive
	positions positions
	unread    unread
	onGap     func(p event.Partition, records int64)
}

// New reads the files that the configuration names. It does not connect.
func New(o Options) (*Source, error) {
	cluster, err := connection.New(o.Config.Config)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	log := o.Log.With("source", "kafka", "brokers", strings.Join(o.Config.Brokers, ","))
	s := &Source{
		config: o.Config, newDecoder: o.NewDecoder, newKeyed: o.NewKeyed, cluster: cluster, metrics: newMetrics(o.Registerer), log: log,
		directory: newDirectory(cluster, o.Config), trouble: trouble{log: log}, failure: make(chan error, 1),
	}
	s.member.metrics = s.metrics
	if s.onGap = o.OnGap; s.onGap == nil {
		s.onGap = func(event.Partition, int64) {}
	}
	return s, nil
}

// Run reads until ctx ends, then returns nil, or until something fails for good. In both cases every partition has been
// revoked and the group left.
func (s *Source) Run(ctx context.Context, r ingest.Receiver) error { return s.run(ctx, batches{r, s}) }

// RunKeyed is Run for a keyed topic.
func (s *Source) RunKeyed(ctx context.Context, r keyed.Receiver) error {
	return s.run(ctx, portions{r, s})
}

func (s *Source) run(ctx context.Context, r receiver) error {
	defer s.directory.close()
	for {
		topics, err := s.waitForTopics(ctx)
		if err == nil {
			err = s.join(ctx, topics, r)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// waitForTopics returns the topics that exist, as soon as there is one.
func (s *Source) waitForTopics(ctx context.Context) (counts map[string]int, err error) {
	for {
		counts, err = s.lookTopics(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if fatal := s.survive("look topics up", err); fatal != nil || len(counts) > 0 {
			return counts, fatal
		}
		sleep(ctx, min(time.Second, s.config.TopicInterval))
	}
}

// lookTopics returns the number of partitions of each topic that exists.
func (s *Source) lookTopics(ctx context.Context) (map[string]int, error) {
	found, err := s.directory.lookup(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	var missing []error
	for _, name := range s.config.Topics {
		topic, ok := found[name]
		switch {
		case !ok || errors.Is(topic.Err, kafka.UnknownTopicOrPartition):
			missing = append(missing, missingTopic(name))
		case topic.Err != nil:
			missing = append(missing, fmt.Errorf("topic %s: %w", name, topic.Err))
		case len(topic.Leaders) > 0:
			counts[name] = len(topic.Leaders)
		}
	}
	s.remember(counts)
	return counts, errors.Join(missing...)
}

// missingTopic is the error of a topic that may still be created.
type missingTopic string

// Error implements error.
func (t missingTopic) Error() string {
	return fmt.Sprintf("topic %s does not exist; create it, or correct kafka.topics", string(t))
}

// remember keeps how many partitions there were at the first look: later ones are read from their beginnings.
func (s *Source) remember(counts map[string]int) {
	if s.known == nil {
		s.known = counts
	}
}

// isNew reports whether the partition has appeared since Run began.
func (s *Source) isNew(p event.Partition) bool { return int(p.ID) >= s.known[p.Topic] }

// survive takes note of trouble with the cluster; nil ends it. It returns what Run must return, if there is no hope.
func (s *Source) survive(doing string, err error) error {
	if err != nil {
		s.metrics.failed(err)
	}
	if s.trouble.note(doing, err) {
		return fmt.Errorf("%s at %s: %w; %s", doing, strings.Join(s.config.Brokers, ","), err, connection.Advice(err))
	}
	return nil
}

// fail ends Run with err.
func (s *Source) fail(err error) {
	select {
	case s.failure <- err:
	default: // one reason is enough
	}
}

// positions is how far partitions were handed over, so that a partition that comes back after a lost connection goes on
// where it stopped, and not where it was committed last.
type positions struct {
	mu   sync.Mutex
	next map[event.Partition]int64
}

func (p *positions) set(id event.Partition, next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = map[event.Partition]int64{}
	}
	p.next[id] = next
}

// resume returns where to go on when committed is what the group has: when that is further, somebody else has read on.
func (p *positions) resume(id event.Partition, committed int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next, ok := p.next[id]; ok {
		return max(next, committed)
	}
	return committed
}

// Unread returns how many records of each assigned partition were not read yet when it was last asked for some.
func (s *Source) Unread() map[event.Partition]int64 {
	s.unread.mu.Lock()
	defer s.unread.mu.Unlock()
	return maps.Clone(s.unread.records)
}

// unread is how far readers are behind the ends of their partitions.
type unread struct {
	mu      sync.Mutex
	records map[event.Partition]int64
}

func (u *unread) set(id event.Partition, records int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records == nil {
		u.records = map[event.Partition]int64{}
	}
	u.records[id] = records
}

func (u *unread) forget(id event.Partition) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.records, id)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
