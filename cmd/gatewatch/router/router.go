// Package router reads raw topics and writes the keyed topic: a copy of each event to every partition that an entity of the
// event belongs to, for each kind of entity that the rules group by. Package keyed says what it writes and why nothing is
// lost or doubled when routers come and go.
//
// Who owns what: the source's goroutine of a raw partition owns its input and encodes; kgo's goroutines report
// acknowledgements, which are all that the two share; the goroutine of Run commits.
package router

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/keyed"
	"github.com/gatewatch/gatewatch/rules"
)

// Committer commits source positions: the offset of the next record for each partition.
type Committer interface {
	Commit(ctx context.Context, next map[event.Partition]int64) error
}

// DeadLetters keeps rejected records. Write returns when they are safe; one goroutine at a time calls it.
type DeadLetters interface {
	Write(ctx context.Context, rejected []ingest.Rejected) error
}

// Options are what a router works with.
type Options struct {
	Config      Config // valid, with a topic
	Cluster     *connection.Cluster
	Topics      []string // the raw ones
	Rules       *rules.Set
	Committer   Committer
	DeadLetters DeadLetters
	HideAddress bool                  // source addresses are pseudonyms
	Registerer  prometheus.Registerer // nil: no metrics
	Log         *slog.Logger          // nil: none
	Kgo         []kgo.Opt             // beside those of the cluster
}

// Router is an [ingest.Receiver].
type Router struct {
	o       Options
	client  *kgo.Client
	metrics *metrics
	budget  *semaphore.Weighted // of bytes that are not acknowledged
	plan    atomic.Pointer[plan]
	failure chan error // why nothing more can be written

	partitions int32 // of the keyed topic

	mu      sync.Mutex
	all     map[event.Partition]*input
	owned   map[event.Partition]bool
	letters sync.Mutex
}

// plan is what inputs work by. It is immutable.
type plan struct {
	set   *rules.Set
	shape keyed.Shape
}

// New connects to nothing yet.
func New(o Options) (*Router, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{
		o: o, budget: semaphore.NewWeighted(int64(o.Config.MaxBytes)), failure: make(chan error, 1),
		all: map[event.Partition]*input{}, owned: map[event.Partition]bool{},
	}
	var err error
	if r.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := r.use(o.Rules, nil); err != nil {
		return nil, err
	}
	options := append(o.Cluster.KgoOptions(),
		kgo.DefaultProduceTopic(o.Config.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(o.Config.Linger), kgo.ProducerBatchCompression(compressions[o.Config.Compression]),
		kgo.ProducerBatchMaxBytes(maxBatch), kgo.MaxBufferedRecords(1<<20), // the budget is what bounds
		kgo.UnknownTopicRetries(-1), // that the topic is gone is found out elsewhere
	)
	if r.client, err = kgo.NewClient(append(options, o.Kgo...)...); err != nil {
		return nil, fmt.Errorf("set up a producer: %w", err)
	}
	return r, nil
}

// Close gives up what is not acknowledged.
func (r *Router) Close() { r.client.Close() }

// use makes the plan of a rule set and raw topics.
func (r *Router) use(set *rules.Set, inputs []keyed.Input) error {
	kinds := detector.NewEntities(set).Kinds()
	if len(kinds) > keyed.MaxKinds {
		return fmt.Errorf("the rules watch %d kinds of entities; at most %d can be routed", len(kinds), keyed.MaxKinds)
	}
	for _, kind := range kinds {
		r.metrics.copies.WithLabelValues(kind)
	}
	r.plan.Store(&plan{set: set, shape: keyed.Shape{Kinds: kinds, Inputs: inputs, Partitions: r.partitions}})
	return nil
}

// Reload swaps the rules: each raw partition goes by the new ones from its next batch on.
func (r *Router) Reload(_ context.Context, set *rules.Set) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.use(set, r.plan.Load().shape.Inputs)
}

// Run commits until ctx ends, or until something fails for good.
func (r *Router) Run(ctx context.Context) error {
	commit := time.NewTicker(r.o.Config.CommitEvery)
	defer commit.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.failure:
			return err
		case <-commit.C:
			r.commit(ctx, r.positions())
		case <-look.C:
			if err := r.look(ctx); err != nil {
				return err
			}
		}
	}
}

// fail ends Run with err.
func (r *Router) fail(err error) {
	select {
	case r.failure <- err:
	default: // one reason is enough
	}
}

// positions returns what can be committed and is not.
func (r *Router) positions() map[event.Partition]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[event.Partition]int64{}
	for p := range r.owned {
		if in := r.all[p]; in != nil {
			if offset := in.committable(); offset > in.committed.Load() {
				next[p] = offset
			}
		}
	}
	return next
}

func (r *Router) commit(ctx context.Context, next map[event.Partition]int64) {
	if len(next) == 0 {
		return
	}
	if err := r.o.Committer.Commit(ctx, next); err != nil {
		if ctx.Err() == nil {
			r.o.Log.Warn("cannot commit positions; will try again", "error", err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, offset := range next {
		if in := r.all[p]; in != nil {
			in.committed.Store(offset)
		}
	}
}

// Assigned implements [ingest.Receiver].
func (r *Router) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	var inputs []keyed.Input
	err := r.insist(ctx, "look topics up", func() (err error) {
		inputs, err = r.inputs(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.use(r.plan.Load().set, inputs); err != nil {
		return err
	}
	for p, offset := range next {
		r.owned[p] = true
		// What comes back as it was left goes on: what is not acknowledged yet is still on its way, in order. Otherwise somebody
		// else has had the partition since, and has committed more.
		if in := r.all[p]; in == nil || in.next != offset {
			r.all[p] = r.newInput(p, offset)
		}
	}
	return nil
}

func (r *Router) input(p event.Partition) *input {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[p]
}

// Receive implements [ingest.Receiver].
func (r *Router) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	if err := r.bury(ctx, rejected); err != nil {
		return err
	}
	in := r.input(b.Partition)
	if in.next >= 0 && b.First < in.next { // the topic was made anew
		in = r.newInput(b.Partition, b.First)
		r.mu.Lock()
		r.all[b.Partition] = in
		r.mu.Unlock()
	}
	if err := in.receive(ctx, b); err != nil {
		return err
	}
	if b.Release != nil {
		b.Release()
	}
	return nil
}

// CaughtUp implements [ingest.Receiver].
func (r *Router) CaughtUp(p event.Partition, now time.Time) { r.input(p).caughtUp(now) }

// Revoked implements [ingest.Receiver]: it returns once everything that was received is acknowledged and committed, or ctx
// ends.
func (r *Router) Revoked(ctx context.Context, p event.Partition) {
	in := r.input(p)
	if err := in.finish(ctx); err != nil {
		r.o.Log.Warn("a partition is given up before all that was read of it is written; it will be read again", "partition", p, "error", err)
	}
	if offset := in.committable(); offset > in.committed.Load() {
		r.commit(ctx, map[event.Partition]int64{p: offset})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, p)
}

// buryAgain is how long a failed write of dead letters rests.
const buryAgain = time.Second

// bury keeps rejected records. While that fails, as on a full disk, nothing more of the partition is read.
func (r *Router) bury(ctx context.Context, rejected []ingest.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	for tries := 0; ; tries++ {
		r.letters.Lock()
		err := r.o.DeadLetters.Write(ctx, rejected)
		r.letters.Unlock()
		if err == nil {
			return nil
		}
		if tries == 0 {
			r.o.Log.Error("cannot keep rejected records; routing waits until it can", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(buryAgain):
		}
	}
}
