package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	kafkastate "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/keyed"
	"github.com/gatewatch/gatewatch/rules"
)

// sharing is the mode in which several processes share a topic that is keyed by entity, and the state beside it. What a process
// knows of a partition it gets from the process that had it before, by way of a compacted topic.
type sharing struct {
	fleet  *pipeline.Fleet
	source *kafka.Source
	routed bool // the topic is written by gatewatch route
}

// sharedTopic is the topic that processes share: that of the routers, or that of the gateway.
func (c *config) sharedTopic() (topic string, routed bool, err error) {
	switch {
	case c.Route.Topic != "":
		return c.Route.Topic, true, nil
	case len(c.Kafka.KeyedBy) == 0:
		return "", false, errors.New("state is shared, but nothing says how the telemetry is keyed: name the topic of `gatewatch route` " +
			"as route.topic, or the fields by which the gateway keys its own topic as kafka.keyed_by")
	case len(c.Kafka.Topics) != 1:
		return "", false, errors.New("state is shared, so kafka.topics must name one topic: the partitions of its state are those of the topic")
	case c.Ingest.HTTP.Listen != "" && (c.Ingest.HTTP.Topic == "" || c.Ingest.HTTP.Topic == c.Kafka.Topics[0]):
		return "", false, errors.New("ingest.http puts what is pushed into any partition, but kafka.keyed_by says that the topic is keyed: " +
			"run `gatewatch route`, which keys it, or take ingest.http out")
	}
	return c.Kafka.Topics[0], false, nil
}

// checkKeyed names the rules that a topic which the gateway keys by some fields cannot serve: what such a rule watches is spread
// over partitions.
func checkKeyed(set *rules.Set, keyedBy []string) error {
	var errs []error
	for _, r := range set.Rules {
		var by []string
		for _, f := range r.By {
			by = append(by, f.String())
		}
		missing := slices.DeleteFunc(slices.Clone(keyedBy), func(name string) bool { return slices.Contains(by, name) })
		if len(missing) > 0 {
			errs = append(errs, fmt.Errorf("rule %s groups by %s, but the topic is keyed by %s: its events are spread over partitions",
				r.ID, r.EntityKind(), strings.Join(keyedBy, ", ")))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w\nrun `gatewatch route`, which brings together what each rule groups by, or leave these rules out", errors.Join(errs...))
}

// connectShared makes the source and the pipelines of the partitions that it will be given.
func (s *service) connectShared(ctx context.Context, decoding *decoding, letters pipeline.DeadLetters, metrics *pipeline.Metrics) error {
	topic, routed, err := s.config.sharedTopic()
	if err != nil {
		return usageError{err}
	}
	partitions, err := s.awaitTopic(ctx, topic)
	if err != nil {
		return err
	}
	if err := s.checkKinds(ctx, topic, routed, s.rules.set); err != nil {
		return usageError{err}
	}
	cluster, name := s.config.State.topic(s.config.Kafka.Config)
	states, err := kafkastate.OpenTopic(ctx, kafkastate.Options{
		Connection: cluster, Topic: name, Partitions: partitions, ReplicationFactor: s.config.State.Replication, Log: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { states.Close(); return nil })
	source := s.config.Kafka
	source.Topics = []string{topic}
	s.source, err = kafka.New(kafka.Options{
		Config: source, NewDecoder: func() kafka.Decoder { return decoding.newDecoder() },
		NewKeyed: func() *keyed.Decoder { return keyed.NewDecoder(keyed.Options{Geo: s.geo}) }, Registerer: s.registry, Log: s.log,
		OnGap: s.sight.gap,
	})
	if err != nil {
		return usageError{err}
	}
	engine := s.config.engineOptions()
	engine.Workers, engine.Lanes = 1, lanesEach
	engine.Limits.Bytes /= int64(partitions)
	for kind, n := range engine.Limits.Entities {
		engine.Limits.Entities[kind] = (n + partitions - 1) / partitions
	}
	s.shared = &sharing{routed: routed, source: s.source, fleet: pipeline.NewFleet(pipeline.FleetOptions{
		Open: func(ctx context.Context, partition int32) (*pipeline.Durable, error) {
			store, err := states.Open(ctx, partition)
			if err != nil {
				return nil, err
			}
			d, err := s.remember(ctx, store, engine)
			if err != nil {
				return nil, errors.Join(err, store.Close())
			}
			if m := d.Restored.Manifest; m.Number > 0 && time.Since(m.At) > handover {
				s.sight.restarted(m.At, event.Partition{Topic: topic, ID: partition})
			}
			return d, nil
		},
		DeadLetters: letters, Committer: s.source, Metrics: metrics, Log: s.log, MaxPending: s.config.Engine.MaxPendingEvents,
	})}
	s.sight.unread, s.sight.engines, s.sight.tell = s.source.Unread, s.shared.fleet.Inspect, s.shared.fleet.Tell
	s.rules.onReload = func(ctx context.Context) error {
		if err := s.checkKinds(ctx, topic, routed, s.rules.set); err != nil {
			return err
		}
		decoding.use(s.rules.set)
		warnBlind(s.log, s.rules.set, s.geo)
		return s.shared.fleet.Reload(ctx, s.rules.set)
	}
	return nil
}

// handover is how old the checkpoint of a partition may be that comes from another process, before it is told that nobody
// watched the partition meanwhile.
const handover = 15 * time.Second

// lanesEach is the number of lanes of a partition. One goroutine works on them; what is saved whole is one of them at a time.
const lanesEach = 16

// checkKinds holds the rules against what the topic brings together.
func (s *service) checkKinds(ctx context.Context, topic string, routed bool, set *rules.Set) error {
	if !routed {
		return checkKeyed(set, s.config.Kafka.KeyedBy)
	}
	shape, err := lastShape(ctx, s.config.Kafka.Config, topic)
	if err != nil || shape == nil {
		return err
	}
	return pipeline.CheckKinds(set, shape.Kinds)
}

// awaitTopic returns the number of partitions of the topic, as soon as there is one.
func (s *service) awaitTopic(ctx context.Context, topic string) (int, error) {
	cluster, err := connection.New(s.config.Kafka.Config)
	if err != nil {
		return 0, usageError{err}
	}
	transport := cluster.Transport()
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: cluster.Addr(), Transport: transport, Timeout: s.config.Kafka.RequestTimeout}
	for tries := 0; ; tries++ {
		answer, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
		if err == nil && len(answer.Topics) == 1 {
			if err = answer.Topics[0].Error; err == nil {
				return len(answer.Topics[0].Partitions), nil
			}
		}
		if advice := connection.Advice(err); advice != "" && tries > 2 {
			return 0, fmt.Errorf("look topic %s up: %w; %s", topic, err, advice)
		}
		if tries == 0 {
			s.log.Warn("waiting for the topic that instances share; `gatewatch route` makes it", "topic", topic, "error", err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// lastShape returns what the latest record of the topic says about its kinds, nil when there is none.
func lastShape(ctx context.Context, c connection.Config, topic string) (*keyed.Shape, error) {
	cluster, err := connection.New(c)
	if err != nil {
		return nil, err
	}
	value, err := latestRecord(ctx, cluster, topic)
	if err != nil || value == nil {
		return nil, err
	}
	run, err := keyed.NewDecoder(keyed.Options{}).Decode(0, value)
	if err != nil {
		return nil, fmt.Errorf("topic %s: its latest record was not written by gatewatch route: %w; if the gateway itself keys the topic, "+
			"name it as kafka.topics, its key as kafka.keyed_by, and no route.topic", topic, err)
	}
	return &run.Header.Shape, nil
}

// run reads until ctx ends or something fails for good.
func (s *sharing) run(ctx context.Context, log *slog.Logger) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		select {
		case err := <-s.fleet.Failed():
			log.Error("a partition cannot go on", "error", err)
			failed <- err
			stop()
		case <-reading.Done():
			failed <- nil
		}
	}()
	var err error
	if s.routed {
		err = s.source.RunKeyed(reading, s.fleet.Copies())
	} else {
		err = s.source.Run(reading, s.fleet.Events())
	}
	stop()
	return errors.Join(err, <-failed)
}
