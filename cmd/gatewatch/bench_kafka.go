package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	source "github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

const benchPartitions = 12

// benchKafka measures the whole way, twice: a backlog as fast as it goes, then live traffic at half that rate with some
// misuse in it, for the delay from event to alert.
func benchKafka(ctx context.Context, f benchFlags, set *rules.Set, decoding *decoding) (*kafkaResult, error) {
	topic := fmt.Sprintf("gatewatch-bench-%d", time.Now().UnixNano())
	r := &kafkaResult{Broker: "in this process", Events: f.events}
	brokers := f.brokers
	if len(brokers) == 0 {
		broker, err := startBroker(topic, benchPartitions)
		if err != nil {
			return nil, err
		}
		defer broker.close()
		brokers = broker.addresses()
	} else {
		r.Broker = strings.Join(brokers, ",")
		if err := createTopic(ctx, brokers, topic); err != nil {
			return nil, err
		}
	}
	if err := produceBacklog(ctx, f, brokers, topic); err != nil {
		return nil, err
	}
	forgetful, err := startBench(ctx, brokers, topic, set, decoding, nil)
	if err != nil {
		return nil, err
	}
	err = forgetful.measureBacklog(ctx, r)
	forgetful.stop()
	if err != nil {
		return nil, err
	}
	return r, benchDurable(ctx, f, r, brokers, topic, set, decoding)
}

// benchDurable measures the same with checkpoints, then the delay of live traffic, then a restart.
func benchDurable(ctx context.Context, f benchFlags, r *kafkaResult, brokers []string, topic string, set *rules.Set, decoding *decoding) (err error) {
	delivery := &delayRecorder{}
	store, err := openBenchStore(ctx, set, delivery)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	b, err := startBench(ctx, brokers, topic, set, decoding, store)
	if err != nil {
		return err
	}
	b.delivery = delivery
	with := *r
	err = b.measureBacklog(ctx, &with)
	if err == nil {
		err = b.measureLive(ctx, f, r, brokers, topic)
	}
	if err == nil {
		err = b.pipeline.Checkpoint(ctx)
	}
	b.stop()
	if err != nil {
		return err
	}
	r.State = &stateResult{EventsPerSecond: with.EventsPerSecond, Throughput: with.EventsPerSecond / r.EventsPerSecond}
	return errors.Join(store.costs(r.State), store.restart(ctx, r.State))
}

func createTopic(ctx context.Context, brokers []string, topic string) error {
	client := &kafka.Client{Addr: kafka.TCP(brokers...), Timeout: 10 * time.Second}
	response, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: benchPartitions, ReplicationFactor: 1}},
	})
	if err == nil {
		err = response.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

func produceBacklog(ctx context.Context, f benchFlags, brokers []string, topic string) error {
	lines, err := newSteadyLines(f, 0, 1)
	if err != nil {
		return err
	}
	w := newProducer(brokers, topic)
	w.Compression = kafka.Lz4
	defer w.Close()
	for n := 0; n < f.events; n += 24_000 {
		if err := produce(ctx, w, lines.next(min(24_000, f.events-n))); err != nil {
			return err
		}
	}
	return nil
}

// benchRun is a source and a pipeline at work.
type benchRun struct {
	pipeline *pipeline.Pipeline
	delivery *delayRecorder
	cancel   context.CancelFunc
	work     sync.WaitGroup
	failure  atomic.Pointer[error]
}

func startBench(ctx context.Context, brokers []string, topic string, set *rules.Set, decoding *decoding, store *benchStore) (*benchRun, error) {
	c := source.DefaultConfig()
	c.Brokers, c.Topics, c.Group = brokers, []string{topic}, topic
	if store != nil {
		c.Group += "-durable"
	}
	s, err := source.New(source.Options{Config: c, NewDecoder: func() source.Decoder { return decoding.newDecoder() }})
	if err != nil {
		return nil, err
	}
	b := &benchRun{delivery: &delayRecorder{}}
	o := pipeline.Options{DeadLetters: &rejectCounter{}, Committer: s}
	if store == nil {
		o.Engine, o.Delivery = detector.New(set, detector.DefaultOptions()), b.delivery
	} else {
		o.Engine, o.Delivery, o.Durable = store.durable.Restored.Engine, store.durable.Feed, store.durable
		if o.Metrics, err = pipeline.NewMetrics(store.metrics, time.Now); err != nil {
			return nil, err
		}
	}
	b.pipeline = pipeline.New(o)
	ctx, b.cancel = context.WithCancel(ctx)
	for _, run := range []func(context.Context) error{b.pipeline.Run, func(ctx context.Context) error { return s.Run(ctx, b.pipeline) }} {
		b.work.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				b.failure.Store(&err)
			}
		})
	}
	return b, nil
}

func (b *benchRun) stop() {
	b.cancel()
	b.work.Wait()
}

// events is how many events the engine has.
func (b *benchRun) events(ctx context.Context) (n int, err error) {
	if failure := b.failure.Load(); failure != nil {
		return 0, *failure
	}
	err = b.pipeline.Inspect(ctx, func(e *detector.Engine) { n = int(e.Stats().Events) })
	return n, err
}

// awaitEvents waits until the engine has n events.
func (b *benchRun) awaitEvents(ctx context.Context, n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := b.events(ctx)
		if err != nil || got >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// measureBacklog times the second half of the backlog: joining the group and meeting the clients are not what is measured.
func (b *benchRun) measureBacklog(ctx context.Context, r *kafkaResult) error {
	if err := b.awaitEvents(ctx, r.Events/2); err != nil {
		return err
	}
	first, err := b.events(ctx)
	if err != nil {
		return err
	}
	started, cpu := time.Now(), cpuTime()
	if err := b.awaitEvents(ctx, r.Events); err != nil {
		return err
	}
	took := time.Since(started)
	r.CPUSeconds = (cpuTime() - cpu).Seconds()
	r.EventsPerSecond = float64(r.Events-first) / took.Seconds()
	r.EventsPerCPU = float64(r.Events-first) / r.CPUSeconds
	return nil
}

// Live part: so long, with one misuser after another.
const (
	liveFor     = 12 * time.Second
	livePause   = 3 * time.Second // before delays count: the watermark has to come from the past to the present
	misuseEvery = 100 * time.Millisecond
)

// measureLive produces at half the measured rate, as of now, and takes the time from event to alert.
func (b *benchRun) measureLive(ctx context.Context, f benchFlags, r *kafkaResult, brokers []string, topic string) error {
	lines, err := newSteadyLines(f, 0, 1)
	if err != nil {
		return err
	}
	r.LiveRate = r.EventsPerSecond / 2
	if len(f.brokers) == 0 {
		r.LiveRate = min(r.LiveRate, 100_000) // producer and broker work in this process too
	}
	w := newProducer(brokers, topic)
	defer w.Close()
	started := time.Now()
	sent, culprits := 0, 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(started) < liveFor {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := time.Now()
		due := int(r.LiveRate*now.Sub(started).Seconds()) - sent
		lines.at, lines.step = float64(now.UnixMilli()), 0
		batch := slices.Clone(lines.next(due))
		for ; time.Duration(culprits)*misuseEvery < now.Sub(started); culprits++ {
			batch = append(batch, misuse(culprits, now)...)
		}
		if err := produce(ctx, w, batch); err != nil {
			return err
		}
		sent += due
	}
	if err := b.awaitEvents(ctx, r.Events+sent+culprits*misuseCalls); err != nil {
		return err
	}
	delays := b.delivery.since(started.Add(livePause))
	if len(delays) == 0 {
		return errNoDelay
	}
	r.LiveAlerts = len(delays)
	r.DelayP50 = delays[len(delays)/2].Seconds()
	r.DelayP99 = delays[len(delays)*99/100].Seconds()
	return nil
}

var errNoDelay = errors.New("no alert came in the live part: these rules do not find one token that reads 60 user profiles in an instant")

const misuseCalls = 60

// misuse is one token that reads many profiles at once.
func misuse(culprit int, at time.Time) (lines [][]byte) {
	for i := range misuseCalls {
		lines = append(lines, fmt.Appendf(nil,
			`{"time":%q,"client_id":"culprit-%d","token_id":"culprit-token-%d","method":"GET","path":"/users/%d/profile","status":200}`,
			at.UTC().Format("2006-01-02T15:04:05.000Z"), culprit, culprit, 700_000+i))
	}
	return lines
}

// delayRecorder notes how long after its event each alert came.
type delayRecorder struct {
	mu     sync.Mutex
	all    []delay
	number uint64
}

type delay struct {
	event time.Time
	took  time.Duration
}

// Enqueue implements [pipeline.Delivery].
func (d *delayRecorder) Enqueue(_ context.Context, records []sinks.Record) (uint64, error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		a := r.Alert
		if a.State == alert.Open {
			d.all = append(d.all, delay{a.DetectedAt.Std(), now.Sub(a.DetectedAt.Std())})
		}
	}
	d.number += uint64(len(records))
	return d.number, nil
}

// Acknowledged implements [pipeline.Delivery].
func (d *delayRecorder) Acknowledged() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.number
}

// Drain implements [pipeline.Delivery].
func (d *delayRecorder) Drain(context.Context) error { return nil }

// since returns the delays of events after t, ascending.
func (d *delayRecorder) since(t time.Time) (list []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.all {
		if x.event.After(t) {
			list = append(list, x.took)
		}
	}
	slices.Sort(list)
	return list
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
