package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrClosed is returned by [Queue.Enqueue] after [Queue.Close].
var ErrClosed = errors.New("delivery queue is closed")

// closeGrace bounds what follows after the time for draining is up: cancelled deliveries return and sinks close.
const closeGrace = 5 * time.Second

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

	// OnAcknowledged is told, from the goroutine of the sink, that a sink has settled all alerts up to a sequence number;
	// only when it has returned does the queue count them as acknowledged. nil: nobody listens.
	OnAcknowledged func(sink string, through uint64)

	// OnBlocked is told that a sink's full queue has held up detection, from and to wall clock. It must not call the
	// queue. nil: nobody listens.
	OnBlocked func(sink string, from, to time.Time)

	// Sequence and Settled let a durable outbox continue where an earlier queue ended. Sequence is the number before that
	// of the first alert to be enqueued. Settled is what each sink had acknowledged: enqueued alerts up to there are not
	// delivered to it again. A sink without an entry gets everything.
	Sequence uint64
	Settled  map[string]uint64
}

// Queue delivers alerts to all sinks. Its methods may be called by any goroutine; each sink belongs to one goroutine that
// the queue owns and that ends in [Queue.Close].
type Queue struct {
	lines  []*line
	log    *slog.Logger
	cancel context.CancelFunc
	work   sync.WaitGroup

	onBlocked      func(sink string, from, to time.Time)
	onAcknowledged func(sink string, through uint64)

	mu       sync.Mutex // guards what follows and the state of all lines
	last     uint64     // sequence number of the latest alert
	draining int        // callers that want no batch to wait
	closed   bool
	closing  chan struct{} // closed with the queue
	progress chan struct{} // closed and renewed at every acknowledgement
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
	q := &Queue{
		log: o.Logger, cancel: cancel, last: o.Sequence,
		onBlocked: o.OnBlocked, onAcknowledged: o.OnAcknowledged,
		closing: make(chan struct{}), progress: make(chan struct{}),
	}
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
	m := newMetrics(o.Registerer)
	for _, d := range o.Destinations {
		q.lines = append(q.lines, newLine(q, d, m.of(d.name()), o))
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(newDepth(q)); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Enqueue hands alerts to every sink in the order given and blocks while the queue of one of them is full. It returns the
// sequence number of the last alert that was accepted; with an error that may be before the end, and everything accepted
// will be delivered all the same. When [Queue.Acknowledged] has reached that number, all sinks are done with these alerts.
// The alerts are shared from now on and must not change.
func (q *Queue) Enqueue(ctx context.Context, alerts []*alert.Alert) (through uint64, err error) {
	q.mu.Lock()
	through = q.last
	q.mu.Unlock()
	for _, a := range alerts {
		n, err := q.enqueue(ctx, a)
		if err != nil {
			return through, fmt.Errorf("enqueue alert %s version %d: %w", a.ID, a.Version, err)
		}
		through = n
	}
	return through, nil
}

func (q *Queue) enqueue(ctx context.Context, a *alert.Alert) (uint64, error) {
	it := item{alert: a, size: sizeOf(a)}
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.closed {
			return 0, ErrClosed
		}
		full := q.full(it)
		if full == nil {
			break
		}
		if err := q.await(ctx, full); err != nil {
			return 0, err
		}
	}
	q.last++
	it.sequence, it.at = q.last, time.Now()
	for _, l := range q.lines {
		l.push(it)
	}
	return q.last, nil
}

// full returns a sink that has no room for it, or nil.
func (q *Queue) full(it item) *line {
	for _, l := range q.lines {
		if !l.hasRoom(it) {
			return l
		}
	}
	return nil
}

// await waits, with the lock released, until l may have room again.
func (q *Queue) await(ctx context.Context, l *line) error {
	room := l.room
	l.block()
	q.mu.Unlock()
	var err error
	select {
	case <-room:
	case <-q.closing:
	case <-ctx.Done():
		err = ctx.Err()
	}
	q.mu.Lock()
	l.unblock()
	return err
}

// sizeOf returns the size of the alert's JSON form, which stands for its memory as well. What has no JSON form is refused
// by the sinks and counts little until then.
func sizeOf(a *alert.Alert) int {
	var buf bytes.Buffer
	if err := WriteJSON(&buf, a); err != nil {
		return 1 << 10
	}
	return buf.Len()
}

// Acknowledged returns the sequence number up to which every sink has settled, that is delivered or dead-lettered, all
// alerts.
func (q *Queue) Acknowledged() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acknowledged()
}

func (q *Queue) acknowledged() uint64 {
	low := q.last
	for _, l := range q.lines {
		low = min(low, l.settled)
	}
	return low
}

// Status is a sink as an operator wants to see it.
type Status struct {
	Sink              string
	Settled           uint64 // sequence number up to which the sink has settled all alerts
	Alerts, MaxAlerts int    // waiting or under way, and their bound
	Bytes, MaxBytes   int
	Age               time.Duration // of the oldest of those
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

// Drain delivers without waiting for batches to fill and returns when all alerts enqueued before the call are settled.
func (q *Queue) Drain(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	goal := q.last
	q.draining++
	defer func() { q.draining-- }()
	for _, l := range q.lines {
		l.wakeUp()
	}
	for q.acknowledged() < goal {
		progress := q.progress
		q.mu.Unlock()
		select {
		case <-progress:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			return fmt.Errorf("drain delivery: %w: %s", ctx.Err(), q.undelivered())
		}
	}
	return nil
}

// undelivered names the sinks that still have something to deliver.
func (q *Queue) undelivered() string {
	var parts []string
	for _, l := range q.lines {
		if n := len(l.pending); n > 0 {
			parts = append(parts, fmt.Sprintf("%d alerts not delivered to %s", n, l.name))
		}
	}
	return strings.Join(parts, ", ")
}

// Close accepts no more alerts, drains until ctx is done, then cancels what is under way and closes the sinks. It returns
// at most 5 seconds after ctx is done; an error names the sinks that did not get everything or did not stop.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	close(q.closing)
	q.mu.Unlock()

	drained := q.Drain(ctx)
	q.cancel()
	stopped := make(chan struct{})
	go func() {
		q.work.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(closeGrace + time.Second/2):
		return errors.Join(drained, errors.New("close delivery: a sink does not stop"))
	}
	errs := []error{drained}
	for _, l := range q.lines {
		errs = append(errs, l.closeErr)
	}
	return errors.Join(errs...)
}
