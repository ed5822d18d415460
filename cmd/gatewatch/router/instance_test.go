package router

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/rules"
)

const (
	rawTopic   = "raw"
	keyedTopic = "keyed"
)

const testRules = `rules:
- {id: a, title: t, detect: rate, by: client_id, window: 1m, limit: 3}
- {id: b, title: t, detect: rate, by: subject, window: 1m, limit: 3, where: {method: GET}}
- {id: c, title: t, detect: rate, by: [client_id, token_id], window: 1m, limit: 3}
`

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t testing.TB, text string) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(text)})
	must(t, err)
	return set
}

func newCluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.GroupMinSessionTimeout(time.Millisecond))...)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func sourceConfig(c *kfake.Cluster, group string, topics ...string) kafka.Config {
	config := kafka.DefaultConfig()
	config.Brokers, config.Group, config.Topics = c.ListenAddrs(), group, topics
	config.FetchWait, config.HeartbeatInterval, config.TopicInterval = 20*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond
	config.SessionTimeout, config.RevokeTimeout = 3*time.Second, time.Second // who dies does not say so
	config.BatchEvents = 32
	return config
}

func options(t testing.TB, c *kfake.Cluster) Options {
	t.Helper()
	o := Options{Config: DefaultConfig(), Topics: []string{rawTopic}, Rules: parse(t, testRules), DeadLetters: &letters{}}
	o.Config.Topic, o.Config.Partitions, o.Config.CommitEvery = keyedTopic, 4, 20*time.Millisecond
	must(t, o.Config.Validate())
	config := sourceConfig(c, "any", rawTopic)
	var err error
	o.Cluster, err = connection.New(config.Config)
	must(t, err)
	return o
}

// letters keeps rejected records.
type letters struct {
	mu  sync.Mutex
	all []ingest.Rejected
}

func (l *letters) Write(_ context.Context, rejected []ingest.Rejected) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, rejected...)
	return nil
}

// instance is a router as a process of its own.
type instance struct {
	*Router
	source *kafka.Source
	dead   atomic.Bool // it does nothing more, as after SIGKILL or SIGSTOP
	net    *gate
	stop   context.CancelFunc
	work   sync.WaitGroup
}

func start(t *testing.T, c *kfake.Cluster) *instance {
	t.Helper()
	in := &instance{net: newGate()}
	o := options(t, c)
	o.Committer, o.Kgo = in, []kgo.Opt{kgo.Dialer(in.net.dial)}
	var err error
	in.Router, err = New(o)
	must(t, err)
	must(t, in.Open(t.Context()))
	in.source, err = kafka.New(kafka.Options{
		Config: sourceConfig(c, "routers", rawTopic), NewDecoder: func() kafka.Decoder { return ingest.NewDecoder(ingest.Options{}) },
	})
	must(t, err)
	var ctx context.Context
	ctx, in.stop = context.WithCancel(context.Background())
	run := func(f func(ctx context.Context) error) {
		in.work.Go(func() {
			if err := f(ctx); err != nil && !in.dead.Load() {
				t.Error(err)
			}
		})
	}
	run(in.Run)
	run(func(ctx context.Context) error { return in.source.Run(ctx, in) })
	t.Cleanup(func() { in.kill() })
	return in
}

// Commit and Revoked do nothing for the dead.
func (in *instance) Commit(ctx context.Context, next map[event.Partition]int64) error {
	if in.dead.Load() {
		return nil
	}
	return in.source.Commit(ctx, next)
}

func (in *instance) Revoked(ctx context.Context, p event.Partition) {
	if !in.dead.Load() {
		in.Router.Revoked(ctx, p)
	}
}

// kill ends everything at once: what is under way is lost.
func (in *instance) kill() {
	in.dead.Store(true)
	in.net.open()
	in.Close()
	in.stop()
	in.work.Wait()
}

// orphan takes the partitions away, as after a long pause; what the producer holds is still there.
func (in *instance) orphan() {
	in.dead.Store(true)
	in.stop()
	in.work.Wait()
}

// end is what SIGTERM does.
func (in *instance) end() {
	in.stop()
	in.work.Wait()
	in.Close()
}

// gate is a network whose requests can be held up.
type gate struct {
	mu   sync.Mutex
	free chan struct{} // closed: they pass
}

func newGate() *gate {
	g := &gate{free: make(chan struct{})}
	close(g.free)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.free:
	default:
		close(g.free)
	}
}

func (g *gate) wait() {
	g.mu.Lock()
	free := g.free
	g.mu.Unlock()
	<-free
}

func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &gatedConn{conn, g}, err
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c *gatedConn) Write(b []byte) (int, error) {
	c.gate.wait()
	return c.Conn.Write(b)
}
