package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	kafkastate "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// noPartition stands for all there is in a folder.
const noPartition = -1

// stateView is a state that is looked at: a folder, or the partitions of a topic.
type stateView struct {
	config     config
	set        *rules.Set
	log        *slog.Logger
	location   string
	topic      *kafkastate.Topic // nil: a folder
	partitions []int32
}

// openTime bounds the search for a cluster: somebody waits for the answer.
const openTime = 30 * time.Second

func (v *stateView) openTopic(ctx context.Context, only int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	connection, name := v.config.State.topic(v.config.Kafka.Config)
	v.location = v.config.State.Location
	v.topic, err = kafkastate.OpenTopicReadOnly(ctx, kafkastate.Options{Connection: connection, Topic: name, Log: v.log})
	if err != nil {
		return v.advise(err)
	}
	if v.partitions, err = choose(v.topic, only); err != nil {
		v.close()
	}
	return err
}

func (v *stateView) close() {
	if v.topic != nil {
		v.topic.Close()
	}
}

// lookedAt is a store that can be looked at.
type lookedAt interface {
	state.Store
	About() state.About
}

// unit is what one store holds.
type unit struct {
	partition int32 // or noPartition
	about     state.About
	manifest  state.Manifest // Number is 0 when there is no checkpoint
	engine    *detector.Engine
	rules     []detector.KnownRule
	chunks    int
	bytes     int64
	outbox    outboxContent
}

// outboxContent is what waits, or is kept because it may be raised again.
type outboxContent struct {
	alerts, blindSpots int
	last               uint64
	settled            map[string]uint64
}

func (o outboxContent) records() int { return o.alerts + o.blindSpots }

// waiting is how many records the sink has not settled.
func (o outboxContent) waiting(sink string) int {
	return min(o.records(), int(o.last-min(o.last, o.settled[sink])))
}

// readings is how often a partition is read at most. Its owner goes on, and compaction may remove what a reader was about to
// read: then there is a later checkpoint.
const readings = 3

// read reads everything that a store holds.
func (v *stateView) read(ctx context.Context, partition int32) (u *unit, err error) {
	for range readings {
		if u, err = v.readOnce(ctx, partition); v.topic == nil || !errors.Is(err, state.ErrCorrupt) {
			break
		}
	}
	return u, v.advise(err)
}

func (v *stateView) readOnce(ctx context.Context, partition int32) (*unit, error) {
	store, err := v.openStore(ctx, partition)
	if err != nil {
		return nil, err
	}
	u := &unit{partition: partition, about: store.About()}
	err = u.read(ctx, store, v.set, v.engineOptions())
	return u, errors.Join(err, store.Close())
}

func (v *stateView) openStore(ctx context.Context, partition int32) (lookedAt, error) {
	if v.topic != nil {
		return v.topic.OpenReadOnly(ctx, partition)
	}
	return disk.OpenReadOnly(ctx, disk.Options{Dir: v.location})
}

// engineOptions are those of the service, as far as they matter to what is restored.
func (v *stateView) engineOptions() detector.Options {
	o := v.config.engineOptions()
	if v.topic != nil {
		o.Lanes = lanesEach
	}
	return o
}

func (u *unit) read(ctx context.Context, store state.Store, set *rules.Set, o detector.Options) error {
	outbox := state.NewOutbox(store)
	restored, err := pipeline.Restore(ctx, &countingStore{store, u}, outbox, set, o)
	if err != nil {
		return err
	}
	u.engine, u.manifest = restored.Engine, restored.Manifest
	if u.manifest.Number > 0 {
		if u.rules, err = detector.KnownRules(set, u.manifest.Engine); err != nil {
			return err
		}
	}
	return u.readOutbox(ctx, outbox)
}

// outboxPage bounds what is in memory of the outbox at a time.
const outboxPage = 4 << 20

func (u *unit) readOutbox(ctx context.Context, outbox *state.Outbox) error {
	u.outbox.settled = outbox.Settled()
	for sequence := uint64(0); ; {
		records, last, err := outbox.After(ctx, sequence, outboxPage)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			u.outbox.last = max(outbox.Last(), sequence)
			return nil
		}
		for _, r := range records {
			if r.Alert != nil {
				u.outbox.alerts++
			} else {
				u.outbox.blindSpots++
			}
		}
		sequence = last
	}
}

// lost lists the rules whose knowledge cannot be shown, because the rules given are not those of the state.
func (u *unit) lost() (ids []string) {
	for _, r := range u.rules {
		if r.Status == detector.RuleChanged || r.Status == detector.RuleRemoved {
			ids = append(ids, fmt.Sprintf("%s (%s)", r.ID, r.Status))
		}
	}
	return ids
}

// countingStore counts what is loaded.
type countingStore struct {
	state.Store
	unit *unit
}

// Load implements [state.Store].
func (s *countingStore) Load(ctx context.Context, begin func(state.Manifest) error, each func(state.Chunk) error) (bool, error) {
	return s.Store.Load(ctx, begin, func(c state.Chunk) error {
		s.unit.chunks++
		s.unit.bytes += int64(len(c.Data))
		return each(c)
	})
}

// advise adds what to do to an error that does not say so.
func (v *stateView) advise(err error) error {
	advice := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, disk.ErrInUse):
		advice = "stop gatewatch first, then look"
	case errors.Is(err, disk.ErrAbsent), errors.Is(err, kafkastate.ErrAbsent):
		advice = "gatewatch run makes it; is it the right place?"
	case errors.Is(err, wire.ErrVersion):
		advice = "use the version of gatewatch that wrote it, or begin with a new state"
	case v.topic != nil && errors.Is(err, state.ErrCorrupt):
		advice = "stop the instances and begin with a new state topic: what was known of entities is lost, the positions in the consumer group are not"
	case strings.Contains(err.Error(), v.location): // the folder has said so itself
		return err
	case errors.Is(err, wire.ErrCorrupt), errors.Is(err, state.ErrCorrupt):
		advice = fmt.Sprintf("move the folder %s away and start anew: what was known of entities is lost, the positions in the consumer group are not", v.location)
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}
