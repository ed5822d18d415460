package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/detector/event"
)

// join is a member of the group for the topics in counts until they become more or fewer, ctx ends or hope does.
//
// Only topics that exist are joined for: the group's leader would give nobody anything if one of them were missing. It is
// for the same reason, and because kafka-go's own watch of partitions joins again without pause while a topic is missing,
// that topics are watched here.
func (s *Source) join(ctx context.Context, counts map[string]int, r receiver) error {
	leash := newLeash(s.cluster.Dialer())
	group, err := kafka.NewConsumerGroup(s.groupConfig(counts, leash.dialer))
	if err != nil {
		return fmt.Errorf("join group %s: %w", s.config.Group, err)
	}
	defer func() {
		// Close may have to wait for the answer to a request to join, which other members can delay for long.
		defer leash.cutAfter(stopGrace)()
		group.Close()
	}()
	return s.serve(ctx, group, counts, r)
}

// stopGrace is how long a broker may take to let a member go.
const stopGrace = 2 * time.Second

func (s *Source) groupConfig(counts map[string]int, d *kafka.Dialer) kafka.ConsumerGroupConfig {
	start := kafka.FirstOffset
	if s.config.Start == StartLatest {
		start = kafka.LastOffset
	}
	var topics []string
	for _, t := range s.config.Topics {
		if _, ok := counts[t]; ok {
			topics = append(topics, t)
		}
	}
	return kafka.ConsumerGroupConfig{
		ID: s.config.Group, Brokers: s.config.Brokers, Dialer: d, Topics: topics, StartOffset: start,
		GroupBalancers:    []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}, kafka.RangeGroupBalancer{}},
		HeartbeatInterval: s.config.HeartbeatInterval, SessionTimeout: s.config.SessionTimeout,
		RebalanceTimeout: s.config.SessionTimeout, JoinGroupBackoff: joinBackoff, Timeout: s.config.RequestTimeout,
	}
}

// serve works through the generations of the group.
func (s *Source) serve(ctx context.Context, group *kafka.ConsumerGroup, counts map[string]int, r receiver) error {
	var member string // of the last generation; "": none, or it was left
	var lost *farewell
	defer func() { lost.stop() }()
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, kafka.RebalanceInProgress) {
			continue // someone else joined first
		}
		if fatal := s.survive("join group "+s.config.Group, err); fatal != nil {
			return fatal
		}
		if err != nil {
			if member != "" {
				lost, member = s.sayFarewell(ctx, member), ""
			}
			continue // the group tries again by itself, after a pause
		}
		lost.stop()
		lost, member = nil, generation.MemberID
		changed, err := s.live(ctx, generation, counts, r)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if changed != nil && !sameTopics(counts, changed) {
			return nil
		}
		if changed != nil {
			counts = changed
		}
	}
}

// live reads the partitions of one generation to its end, and returns the topics as they are now if they have changed.
func (s *Source) live(ctx context.Context, g *kafka.Generation, counts map[string]int, r receiver) (changed map[string]int, err error) {
	s.metrics.rebalances.Inc()
	ctx, end := context.WithCancel(ctx)
	defer end()

	assigned := s.assigned(g)
	s.member.begin(g, assigned)
	defer s.member.end()
	s.log.Info("partitions assigned", "group", s.config.Group, "generation", g.ID, "partitions", len(assigned))

	// kafka-go ends the generation when the first of the functions given to Start returns, and keeps the connection that
	// commits need until the last one has.
	var running sync.WaitGroup
	start := func(f func()) {
		running.Add(1)
		g.Start(func(generation context.Context) {
			defer running.Done()
			defer context.AfterFunc(generation, end)()
			f()
		})
	}
	start(func() { s.read(ctx, assigned, r) })
	start(func() {
		changed, err = s.watch(ctx, counts)
		end()
	})
	running.Wait()
	return changed, err
}

// read reads the partitions until ctx ends.
func (s *Source) read(ctx context.Context, assigned map[event.Partition]int64, r receiver) {
	begin, err := s.begin(ctx, assigned, r)
	if err != nil {
		if ctx.Err() == nil {
			s.fail(fmt.Errorf("prepare for %d partitions: %w", len(assigned), err))
			<-ctx.Done() // once the failure has been heard of
		}
		return
	}
	var running sync.WaitGroup
	for p, offset := range begin {
		reader := s.newReader(p, offset, r)
		running.Go(func() {
			reader.run(ctx)
			s.member.release(p)
		})
	}
	running.Wait()
}

// begin tells the receiver of all partitions before anything of one comes, for its watermark must wait for all of them, and
// returns where it wants them read from. The heartbeats of the generation go on meanwhile.
func (s *Source) begin(ctx context.Context, assigned map[event.Partition]int64, r receiver) (map[event.Partition]int64, error) {
	wanted := map[event.Partition]int64{}
	for p, offset := range assigned {
		wanted[p] = max(offset, -1)
	}
	if err := r.Assigned(ctx, wanted); err != nil {
		return nil, err
	}
	begin := maps.Clone(assigned)
	for p, offset := range assigned {
		if next, ok := wanted[p]; ok && next >= 0 && next != offset {
			begin[p] = next
			s.positions.set(p, next)
		}
	}
	return begin, nil
}

// assigned returns the partitions of a generation and where to begin: a committed offset, our own position, or else
// broker.Earliest or broker.Latest.
func (s *Source) assigned(g *kafka.Generation) map[event.Partition]int64 {
	all := map[event.Partition]int64{}
	for topic, partitions := range g.Assignments {
		for _, a := range partitions {
			p := event.Partition{Topic: topic, ID: int32(a.ID)}
			offset := a.Offset
			if offset == kafka.LastOffset && s.isNew(p) {
				offset = kafka.FirstOffset
			}
			all[p] = s.positions.resume(p, offset)
		}
	}
	return all
}

// watch returns when ctx ends, a reader fails or topics change.
func (s *Source) watch(ctx context.Context, counts map[string]int) (changed map[string]int, err error) {
	tick := time.NewTicker(s.config.TopicInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case err := <-s.failure:
			return nil, err
		case <-tick.C:
		}
		found, err := s.lookTopics(ctx)
		if ctx.Err() != nil {
			return nil, nil
		}
		if fatal := s.survive("look topics up", err); fatal != nil {
			return nil, fatal
		}
		if len(found) > 0 && !maps.Equal(found, counts) {
			s.log.Info("topics have changed", "partitions", fmt.Sprint(found))
			return found, nil
		}
	}
}

func sameTopics(a, b map[string]int) bool {
	for t := range a {
		if _, ok := b[t]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

// membership is the generation that offsets can be committed for. Partitions belong to it until they are revoked.
type membership struct {
	mu         sync.Mutex
	generation *kafka.Generation // nil: none
	owned      map[event.Partition]bool
	metrics    *metrics
}

func (m *membership) begin(g *kafka.Generation, partitions map[event.Partition]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation, m.owned = g, map[event.Partition]bool{}
	for p := range partitions {
		m.owned[p] = true
	}
	m.metrics.partitions.Set(float64(len(m.owned)))
}

func (m *membership) release(p event.Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owned, p)
	m.metrics.partitions.Set(float64(len(m.owned)))
}

func (m *membership) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation = nil
}

// current returns the generation and what of next belongs to it, as kafka-go wants it.
func (m *membership) current(next map[event.Partition]int64) (g *kafka.Generation, offsets map[string]map[int]int64, stale int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	offsets = map[string]map[int]int64{}
	for p, offset := range next {
		if m.generation == nil || !m.owned[p] {
			stale++
			continue
		}
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int]int64{}
		}
		offsets[p.Topic][int(p.ID)] = offset
	}
	return m.generation, offsets, stale
}

func (m *membership) lost(g *kafka.Generation) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.generation != g
}

// Commit tells the group the offset of the next record of each partition. What belongs to partitions that have been taken
// away since is dropped and counted: whoever has them now commits them. An error means that it should be tried again.
func (s *Source) Commit(_ context.Context, next map[event.Partition]int64) error {
	generation, offsets, stale := s.member.current(next)
	s.metrics.commits.WithLabelValues(commitStale).Add(float64(stale))
	if len(offsets) == 0 {
		return nil
	}
	n := float64(len(next) - stale)
	err := generation.CommitOffsets(offsets)
	switch {
	case err == nil:
		s.metrics.commits.WithLabelValues(commitDone).Add(n)
		return nil
	case isStale(err) || s.member.lost(generation):
		s.metrics.commits.WithLabelValues(commitStale).Add(n)
		return nil
	}
	s.metrics.commits.WithLabelValues(commitFailed).Add(n)
	return fmt.Errorf("commit offsets of group %s: %w", s.config.Group, err)
}

// isStale reports whether the broker knows that the generation is over.
func isStale(err error) bool {
	for _, code := range []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.RebalanceInProgress, kafka.FencedInstanceID} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
