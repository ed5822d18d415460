package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	kafka "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka/broker"
)

// reader reads one partition while it is assigned. Its goroutine owns it.
type reader struct {
	source    *Source
	partition event.Partition
	next      int64 // offset of the next record, or broker.Earliest or broker.Latest
	anew      bool  // next is that of a partition made anew, of which nothing was handed over
	taker     taker
	receiver  receiver
	metrics   *partitionMetrics
	trouble   trouble
	log       *slog.Logger
	caughtUp  time.Time // what the receiver was told last
	lookedUp  time.Time // when the leader that failed was looked up
}

func (s *Source) newReader(p event.Partition, next int64, r receiver) *reader {
	log := s.log.With("topic", p.Topic, "partition", p.ID)
	return &reader{
		source: s, partition: p, next: next, taker: r.taker(p), receiver: r, metrics: s.metrics.partition(p), log: log,
		trouble: trouble{log: log, patience: patience},
	}
}

// run reads until ctx ends, whatever happens, and then hands the partition over.
func (r *reader) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for ctx.Err() == nil {
		before := r.next
		err := r.read(ctx)
		if ctx.Err() != nil {
			break
		}
		r.source.metrics.failed(err)
		r.trouble.note("read", err)
		if r.next != before {
			pause.Reset()
		}
		sleep(ctx, pause.NextBackOff())
	}
	r.revoke(ctx)
}

func (r *reader) revoke(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.source.config.RevokeTimeout)
	defer cancel()
	r.receiver.Revoked(ctx, r.partition)
	r.metrics.close()
	r.source.unread.forget(r.partition)
}

// read reads from the leader until something fails.
func (r *reader) read(ctx context.Context) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // ends whatever waits for the broker
	if r.next < 0 {
		if r.next, err = r.begin(conn); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := r.fetch(ctx, conn); err != nil {
			return err
		}
		r.trouble.note("read", nil)
	}
	return ctx.Err()
}

// connect opens a connection to the leader. After a failure it does not trust what was known before.
func (r *reader) connect(ctx context.Context) (*broker.Conn, error) {
	address, err := r.source.directory.leader(ctx, r.partition, r.lookedUp)
	r.lookedUp = time.Now()
	if err != nil {
		return nil, fmt.Errorf("look the leader up: %w", err)
	}
	return broker.Open(ctx, r.source.cluster, address, r.source.config.broker())
}

func (r *reader) begin(conn *broker.Conn) (int64, error) {
	next, err := conn.Offset(r.partition.Topic, r.partition.ID, r.next)
	if err != nil {
		return r.next, fmt.Errorf("find where to begin: %w", err)
	}
	return next, nil
}

// fetch asks for records once and hands over what comes.
func (r *reader) fetch(ctx context.Context, conn *broker.Conn) error {
	response, err := conn.Fetch(broker.Fetch{
		Topic: r.partition.Topic, Partition: r.partition.ID, Offset: r.next,
		MaxBytes: int32(r.source.config.FetchBytes), MaxWait: r.source.config.FetchWait,
	})
	switch {
	case err != nil:
		return err
	case errors.Is(response.Err, kafka.OffsetOutOfRange):
		return r.reposition(conn)
	case response.Err != nil:
		return response.Err
	}
	if err := r.deliver(ctx, response); err != nil {
		return err
	}
	unread := max(0, response.HighWatermark-r.next)
	r.metrics.lag.Set(float64(unread))
	r.source.unread.set(r.partition, unread)
	if at, ok := response.CaughtUp(); ok && at.Sub(r.caughtUp) >= caughtUpEvery {
		r.caughtUp = at
		r.receiver.CaughtUp(r.partition, at)
	}
	return nil
}

// caughtUpEvery keeps a partition that brings a record at a time from telling after each that there is no other.
const caughtUpEvery = 50 * time.Millisecond

// deliver hands the records of a response over in batches, the last one without waiting for more: what has arrived must not
// lie about.
func (r *reader) deliver(ctx context.Context, response *broker.Response) error {
	r.metrics.bytes.Add(float64(response.Bytes))
	config := &r.source.config
	records := 0
	for offset, value := range response.Records() {
		r.taker.add(offset, value, response)
		records++
		// One record can hold thousands of events and thousands of records none.
		events, bytes := r.taker.size()
		if max(events, records) >= config.BatchEvents || bytes >= config.BatchBytes {
			if err := r.handOver(ctx, offset+1, records, nil); err != nil {
				return err
			}
			records = 0
		}
	}
	skipped := r.skipped(response)
	if response.Next == r.next && len(skipped) == 0 {
		return nil
	}
	return r.handOver(ctx, response.Next, records, skipped)
}

// handOver gives the receiver what was decoded: everything before offset next. A batch can be empty, when transactions left
// nothing but their markers; it still says how far the partition is done.
func (r *reader) handOver(ctx context.Context, next int64, records int, skipped []ingest.Rejected) error {
	if err := r.taker.handOver(ctx, stretch{r.next, next, r.anew}, skipped); err != nil {
		if ctx.Err() == nil {
			r.source.fail(fmt.Errorf("hand over records of %s partition %d: %w", r.partition.Topic, r.partition.ID, err))
		}
		return err
	}
	r.next, r.anew = next, false
	r.source.positions.set(r.partition, next)
	r.metrics.records.Add(float64(records))
	return nil
}

// skipped returns what could not be read as rejected records, one for each stretch.
func (r *reader) skipped(response *broker.Response) []ingest.Rejected {
	var all []ingest.Rejected
	for _, s := range response.Skipped() {
		reason := ingest.NotJSON
		if s.TooLarge {
			reason = ingest.TooLarge
		}
		all = append(all, ingest.Rejected{
			Partition: r.partition, Offset: s.First, Reason: reason, Size: s.Size,
			Detail: fmt.Sprintf("%s; offsets %d to %d are skipped", s.Why, s.First, s.Next-1),
		})
		r.source.metrics.unreadable.Inc()
	}
	return all
}

// reposition goes on with the earliest record after the wanted one has gone: deleted because it was too old, or because the
// topic was made anew.
func (r *reader) reposition(conn *broker.Conn) error {
	first, err := conn.Offset(r.partition.Topic, r.partition.ID, broker.Earliest)
	if err != nil {
		return fmt.Errorf("find the earliest record: %w", err)
	}
	if first > r.next {
		r.metrics.gap.Add(float64(first - r.next))
		r.source.onGap(r.partition, first-r.next)
		r.log.Warn("records were deleted before they were read; is kafka's retention too short, or gatewatch too slow?",
			"from", r.next, "to", first-1, "records", first-r.next)
	} else {
		r.log.Warn("the partition ends before the offset to read; was the topic made anew? reading from its beginning",
			"offset", r.next, "beginning", first)
		r.anew = true
	}
	r.source.metrics.resets.Inc()
	r.next = first
	r.source.positions.set(r.partition, first)
	return nil
}
