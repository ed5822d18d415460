package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const topic = "telemetry"

// newCluster starts a broker in this process.
func newCluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(2), kfake.GroupMinSessionTimeout(time.Millisecond)}, opts...)
	c, err := kfake.NewCluster(opts...)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// produce writes n records with the values first, first+1, … in turn to the partitions.
func produce(t testing.TB, c *kfake.Cluster, topic string, partitions, first, n int, opts ...kgo.Opt) {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)
	client, err := kgo.NewClient(opts...)
	must(t, err)
	defer client.Close()
	var records []*kgo.Record
	for i := first; i < first+n; i++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: fmt.Append(nil, i)})
	}
	must(t, client.ProduceSync(t.Context(), records...).FirstErr())
}

func config(c *kfake.Cluster) kafka.Config {
	config := kafka.DefaultConfig()
	config.Brokers = c.ListenAddrs()
	config.Topics = []string{topic}
	config.FetchWait = 20 * time.Millisecond
	config.HeartbeatInterval = 20 * time.Millisecond
	config.TopicInterval = 20 * time.Millisecond
	config.SessionTimeout = 10 * time.Second
	config.RevokeTimeout = time.Second
	return config
}

// process is a source that runs.
type process struct {
	*kafka.Source
	*recorder
	log  *logs
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, c kafka.Config, r *recorder) *process {
	t.Helper()
	must(t, c.Validate())
	p := &process{recorder: r, log: &logs{changed: make(chan struct{})}, done: make(chan error, 1)}
	var err error
	p.Source, err = kafka.New(kafka.Options{
		Config: c, NewDecoder: func() kafka.Decoder { return &plain{} }, Log: slog.New(slog.NewTextHandler(p.log, nil)),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() {
		err := p.Run(ctx, r)
		fmt.Fprintln(p.log, "Run returned", err)
		p.done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

// end stops the source and waits for its end.
func (p *process) end(t testing.TB) {
	t.Helper()
	p.stop()
	must(t, p.wait(t))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.next) > 0 {
		t.Errorf("still assigned at the end: %v", p.next)
	}
}

func (p *process) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the source does not end")
		return nil
	}
}

// logs is what was logged.
type logs struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed and replaced with every line
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits until the log says s.
func (l *logs) until(t testing.TB, s string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		done, changed := strings.Contains(l.text.String(), s), l.changed
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("never logged %q", s)
		}
	}
}

func (l *logs) count(s string) int { return strings.Count(l.String(), s) }

func TestReadsAllPartitions(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(5, topic, "other"))
	produce(t, c, topic, 5, 0, 10_000)
	produce(t, c, "other", 5, 10_000, 100)
	conf := config(c)
	conf.Topics = []string{topic, "other"}
	p := start(t, conf, newRecorder())
	p.untilValues(t, 10_100)
	produce(t, c, topic, 5, 10_100, 100)
	p.untilValues(t, 10_200)
	p.until(t, "word of all partitions being read", func() bool { return len(p.caughtUp) == 10 })
	p.end(t)
	p.check(t, 10_200)
}

func TestGoesOnWhereItCommitted(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(3, topic))
	produce(t, c, topic, 3, 0, 3000)
	r := newRecorder()
	p := start(t, config(c), r)
	p.untilValues(t, 3000)
	must(t, p.Commit(t.Context(), p.positions()))
	p.end(t)
	produce(t, c, topic, 3, 3000, 3000)
	p = start(t, config(c), r)
	p.untilValues(t, 6000)
	p.end(t)
	p.check(t, 6000)
}

func TestStartLatest(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	produce(t, c, topic, 2, 0, 10)
	conf := config(c)
	conf.Start = kafka.StartLatest
	conf.TopicInterval = 200 * time.Millisecond // the new partitions have records before they are found
	p := start(t, conf, newRecorder())
	p.until(t, "both partitions", func() bool { return len(p.caughtUp) == 2 })
	produce(t, c, topic, 2, 10, 10)
	p.untilValues(t, 10)
	produceToNew(t, c, 4, 20)
	p.untilValues(t, 14)
	p.end(t)
	p.check(t, 14)
}

// produceToNew makes the topic have more partitions and writes one record to each before anybody can know.
func produceToNew(t *testing.T, c *kfake.Cluster, partitions, first int) {
	t.Helper()
	grow(t, c, partitions)
	produce(t, c, topic, partitions, first, partitions)
}

func TestGroupSharesPartitions(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(6, topic))
	produce(t, c, topic, 6, 0, 600)
	r1, r2 := newRecorder(), newRecorder()
	p1 := start(t, config(c), r1)
	p1.untilValues(t, 600)
	// What a receiver does when a partition is taken away: commit what it has processed.
	r1.revoker = func(ctx context.Context, p event.Partition) {
		next, ok := p1.positions()[p]
		if !ok {
			return
		}
		if err := p1.Commit(ctx, map[event.Partition]int64{p: next}); err != nil {
			t.Error(err)
		}
	}
	p2 := start(t, config(c), r2)
	p2.untilAssigned(t, 3)
	p1.untilAssigned(t, 3)
	produce(t, c, topic, 6, 600, 600)
	p1.untilValues(t, 900)
	p2.untilValues(t, 300)
	p2.end(t)
	p1.untilValues(t, 1200) // what p2 has read but not committed comes to p1 too
	p1.end(t)
	r1.check(t, 1200)
	r2.check(t, 300)
}

func TestCommitOfLostPartitionIsDropped(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	produce(t, c, topic, 2, 0, 10)
	p := start(t, config(c), newRecorder())
	p.untilValues(t, 10)
	positions := p.positions()
	p.end(t)
	must(t, p.Commit(t.Context(), positions))
}

func TestMissingTopicAppears(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "other"))
	conf := config(c)
	conf.Topics = []string{topic, "other"}
	p := start(t, conf, newRecorder())
	p.untilAssigned(t, 1) // the one that is there does not wait for the other
	produce(t, c, "other", 1, 0, 10)
	p.untilValues(t, 10)
	must(t, c.CreateTopic(topic, 3, nil))
	p.untilAssigned(t, 4)
	produce(t, c, topic, 3, 10, 30)
	p.untilValues(t, 40)
	p.end(t)
	p.check(t, 40)
	if n := p.log.count("does not exist"); n != 1 {
		t.Errorf("logged %d times that a topic is missing", n)
	}
}

func TestWaitsForItsOnlyTopic(t *testing.T) {
	c := newCluster(t)
	p := start(t, config(c), newRecorder())
	p.log.until(t, "does not exist")
	must(t, c.CreateTopic(topic, 3, nil))
	p.untilAssigned(t, 3)
	p.end(t)
}

func TestPartitionsGrow(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	produce(t, c, topic, 2, 0, 100)
	p := start(t, config(c), newRecorder())
	p.untilValues(t, 100)
	grow(t, c, 4)
	produce(t, c, topic, 4, 100, 100)
	p.untilValues(t, 200)
	p.end(t)
	p.check(t, 200)
}

func TestSlowPartitionWaitsAlone(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	r := newRecorder()
	release := make(chan struct{})
	r.stall[event.Partition{Topic: topic, ID: 0}] = release
	p := start(t, config(c), r)
	for i := range 10 {
		produce(t, c, topic, 2, 1000*i, 1000)
		p.untilValues(t, 500*(i+1)) // those of partition 1
	}
	close(release)
	p.untilValues(t, 10_000)
	p.end(t)
	p.check(t, 10_000)
}

func TestReceiverThatFailsEndsRun(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	produce(t, c, topic, 1, 0, 1)
	p := start(t, config(c), newRecorder())
	p.stop()
	must(t, p.wait(t))
	s, err := kafka.New(kafka.Options{Config: config(c), NewDecoder: func() kafka.Decoder { return &plain{} }})
	must(t, err)
	if err := s.Run(t.Context(), broken{newRecorder()}); err == nil || !strings.Contains(err.Error(), "the engine stopped") {
		t.Errorf("Run returned %v", err)
	}
}

// A receiver that cannot finish its work must not keep the partition from others for ever.
func TestRevokingIsBounded(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	r := newRecorder()
	r.revoker = func(ctx context.Context, _ event.Partition) { <-ctx.Done() }
	conf := config(c)
	conf.RevokeTimeout = 20 * time.Millisecond
	p := start(t, conf, r)
	p.untilAssigned(t, 2)
	p.end(t)
}

// broken is a receiver that takes nothing.
type broken struct{ *recorder }

func (broken) Receive(context.Context, *event.Batch, []ingest.Rejected) error {
	return fmt.Errorf("the engine stopped")
}

// grow gives the topic more partitions.
func grow(t *testing.T, c *kfake.Cluster, partitions int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	must(t, err)
	defer client.Close()
	must(t, createPartitions(t.Context(), client, partitions))
}
