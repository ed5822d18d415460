package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrClosed is returned by [Feed.Enqueue] after [Queue.Close].
var ErrClosed = errors.New("delivery queue is closed")

// What follows after the time for draining is up.
const (
	closeGrace  = 5 * time.Second // cancelled deliveries return and sinks close
	outboxGrace = time.Second     // outboxes are told what was delivered last
)

// Destination is a sink and the bounds of its queue.
type Destination struct {
	Sink   Sink
	Config Config
	Name   string // where two sinks are of one kind; "": the sink's own name
}

func (d Destination) name() string {
	if d.Name != "" {
		return d.Name
	}
	return d.Sink.Name()
}

// Options are what a [Queue] needs.
type Options struct {
	Destinations []Destination
	DeadLetters  DeadLetters           // required
	Registerer   prometheus.Registerer // nil: no metrics
	Logger       *slog.Logger          // nil: no log

	// OnBlocked is told what has held up detection, from and to wall clock: a sink whose queue was full, or, as "", an
	// outbox that was too slow. It must not call the queue or a feed. nil: nobody listens.
	OnBlocked func(sink string, from, to time.Time)
}

// Queue delivers the records of its feeds to all sinks. Its methods may be called by any goroutine; each sink, and each
// outbox, belongs to one goroutine that the queue owns and that ends in [Queue.Close].
type Queue struct {
	lines   []*line
	letters DeadLetters
	log     *slog.Logger
	cancel  context.CancelFunc
	work    sync.WaitGroup
	metrics *metrics

	onBlocked func(sink string, from, to time.Time)

	mu       sync.Mutex // guards what follows and the state of all lines and feeds
	feeds    []*Feed
	draining int // callers that want no batch to wait
	closed   bool
	progress chan struct{} // closed and renewed whenever somebody may have waited for it
}

// NewQueue starts delivery. The queue closes the sinks when it is closed itself; when NewQueue fails, it leaves them alone.
func NewQueue(o Options) (*Queue, error) {
	if o.DeadLetters == nil {
		return nil, errors.New("start delivery: no place for dead letters")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	q := &Queue{letters: o.DeadLetters, log: o.Logger, cancel: cancel, onBlocked: o.OnBlocked, progress: make(chan struct{})}
	if err := q.addLines(o); err != nil {
		cancel()
		return nil, fmt.Errorf("start delivery: %w", err)
	}
	for _, l := range q.lines {
		q.work.Go(func() { l.run(ctx) })
	}
	return q, nil
}

func (q *Queue) addLines(o Options) error {
	names := make(map[string]bool, len(o.Destinations))
	for _, d := range o.Destinations {
		name := d.name()
		if names[name] {
			return fmt.Errorf("two sinks are named %q: give them names", name)
		}
		names[name] = true
		if err := d.Config.Validate(); err != nil {
			return fmt.Errorf("sink %s: %w", name, err)
		}
	}
	q.metrics = newMetrics(o.Registerer)
	for _, d := range o.Destinations {
		q.lines = append(q.lines, newLine(q, d, q.metrics.of(d.name()), o))
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(newDepth(q)); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Status is a sink as an operator wants to see it.
type Status struct {
	Sink              string
	Alerts, MaxAlerts int           // records waiting in memory or under way, and their bound
	Bytes, MaxBytes   int           // of those
	Spilled           uint64        // records that the sink has yet to read from outboxes
	Age               time.Duration // of the oldest of those in memory
	Blocking          bool          // the full queue holds up detection
	Failure           string        // why the latest delivery failed; "": it did not
	FailingSince      time.Time     // zero when Failure is empty
}

// Status returns the state of all sinks in the order of the configuration.
func (q *Queue) Status() []Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Status, len(q.lines))
	for i, l := range q.lines {
		all[i] = l.status()
	}
	return all
}

// changed wakes everybody who waits for a condition. The lock is held, as it is for all that follow.
func (q *Queue) changed() {
	close(q.progress)
	q.progress = make(chan struct{})
}

// await waits, with the lock released, until a condition holds or ctx is done.
func (q *Queue) await(ctx context.Context, done func() bool) error {
	for !done() {
		progress := q.progress
		q.mu.Unlock()
		select {
		case <-progress:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return ctx.Err()
		}
	}
	return nil
}

// Drain delivers without waiting for batches to fill and returns when everything enqueued before the call is settled. What
// belongs to feeds that have failed is not waited for.
func (q *Queue) Drain(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drain(ctx, slices.Clone(q.feeds))
}

func (q *Queue) drain(ctx context.Context, feeds []*Feed) error {
	goals := make(map[*Feed]uint64)
	for _, f := range feeds {
		goals[f] = f.last
	}
	q.draining++
	defer func() { q.draining-- }()
	for _, l := range q.lines {
		l.wakeUp()
	}
	err := q.await(ctx, func() bool {
		for f, goal := range goals {
			if !f.stopped && f.acknowledged() < goal {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("drain delivery: %w: %s", err, undelivered(q.lines, feeds))
	}
	return nil
}

// undelivered names the sinks that have something of the feeds still to deliver.
func undelivered(lines []*line, feeds []*Feed) string {
	var parts []string
	for i, l := range lines {
		n := uint64(0)
		for _, f := range feeds {
			n += f.last - f.cursors[i].taken
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d alerts not delivered to %s", n, l.name))
		}
	}
	return strings.Join(parts, ", ")
}

// Close accepts no more records, drains until ctx is done, then cancels what is under way and closes the sinks. It returns
// at most 5 seconds after ctx is done; an error names the sinks that did not get everything or did not stop. What an outbox
// keeps is not lost, and no error: it is delivered after the next start.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.changed()
	drained := q.drain(ctx, slices.Clone(q.feeds))
	if drained != nil {
		drained = q.lost(drained)
	}
	q.mu.Unlock()

	errs := []error{drained, q.stop()}
	for _, l := range q.lines {
		errs = append(errs, l.closeErr)
	}
	return errors.Join(errs...)
}

// lost returns the error unless everything that was not delivered is safe in outboxes.
func (q *Queue) lost(err error) error {
	for _, f := range q.feeds {
		if !f.stopped && (f.durable < f.last || f.outbox == nil && f.acknowledged() < f.last) {
			return err
		}
	}
	q.log.Info("alerts stay in the outbox and are delivered after the next start", "what", undelivered(q.lines, q.feeds))
	return nil
}

// stop ends all goroutines, within its bound.
func (q *Queue) stop() error {
	q.cancel()
	defer time.AfterFunc(outboxGrace, q.cancelFeeds).Stop()
	q.stopFeeds()
	stopped := make(chan struct{})
	go func() {
		q.work.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		q.cancelFeeds()
		return nil
	case <-time.After(closeGrace + time.Second/2):
		return errors.New("close delivery: a sink does not stop")
	}
}

func (q *Queue) stopFeeds() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.feeds {
		f.stop(ErrClosed)
	}
}

func (q *Queue) cancelFeeds() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.feeds {
		f.cancel()
	}
}
