package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// request is records for one transaction. It may be joined with others.
type request struct {
	ctx     context.Context // of who waits for it
	records []*kgo.Record
	bytes   int
	ahead   ahead
	err     error      // it was left out of the transaction
	done    chan error // has room for the one answer
}

// ahead is what a request was made to follow. A caller that gave up waiting leaves a request behind which may be done or
// not; the next that it makes must not overwrite what that one wrote.
type ahead struct {
	first, entries uint64 // sequence of the first, and number of entries that are appended; 0 if none
	checkpoint     uint64 // its number; 0 if none
}

// follows checks the request against the newest entry and checkpoint, and moves them on.
func (a ahead) follows(last, checkpoint *uint64) error {
	if a.entries > 0 && a.first != *last+1 {
		return fmt.Errorf("sequence %d, want %d", a.first, *last+1)
	}
	if a.checkpoint > 0 && a.checkpoint != *checkpoint+1 {
		return fmt.Errorf("the next checkpoint is %d", *checkpoint+1)
	}
	*last += a.entries
	*checkpoint = max(*checkpoint, a.checkpoint)
	return nil
}

// groupBytes bounds the records of requests that are joined; a larger request is a transaction of its own.
const groupBytes = 4 << 20

// possession writes the transactions of the owner of one partition, one after the other. Its goroutine, run, owns the
// producer; the index of the store is what it has written and read.
type possession struct {
	topic     *Topic
	log       *partitionLog
	trouble   *trouble
	store     *Store
	self      owner
	producer  *producer // nil: there was trouble with the last
	position  int64     // everything below is in the index
	requests  chan *request
	next      *request // taken from requests and not done
	grace     time.Duration
	onAttempt func(n uint64) // for tests: before a transaction
}

// claim takes the partition from whoever has it.
func (p *possession) claim(ctx context.Context) error {
	producer, err := p.topic.newProducer(ctx, p.transactionalID())
	if err != nil {
		return err
	}
	p.self.Transaction++
	record, err := p.ownerRecord()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, p.topic.options.TransactionTimeout)
		defer cancel()
		err = producer.commit(ctx, []*kgo.Record{record})
	}
	if err != nil {
		producer.close()
		return fmt.Errorf("claim partition: %w", err)
	}
	p.producer, p.position = producer, record.Offset+1
	return nil
}

func (p *possession) transactionalID() string {
	return fmt.Sprintf("%s-%d", p.topic.options.Topic, p.log.partition)
}

func (p *possession) ownerRecord() (*kgo.Record, error) {
	value, err := json.Marshal(p.self)
	if err != nil {
		return nil, fmt.Errorf("encode owner: %w", err)
	}
	return &kgo.Record{Key: []byte(ownerKey), Value: value, Partition: p.log.partition}, nil
}

// run serves requests until ctx ends or the partition is lost; it returns why.
func (p *possession) run(ctx context.Context) error {
	defer func() {
		if p.producer != nil {
			p.producer.close()
		}
	}()
	for {
		group, err := p.group(ctx)
		if err != nil {
			return err
		}
		err = p.serve(ctx, group)
		if final := ctx.Err(); final != nil && err != nil {
			err = errClosed
		}
		if errors.Is(err, errClosed) || running(err, 0) {
			return err // which answers all, and all that come
		}
		for _, r := range group {
			r.done <- errors.Join(r.err, err)
		}
	}
}

// group waits for a request and takes what else is there.
func (p *possession) group(ctx context.Context) ([]*request, error) {
	if p.next == nil {
		select {
		case <-ctx.Done():
			return nil, errClosed
		case p.next = <-p.requests:
		}
	}
	group, bytes := []*request{p.next}, p.next.bytes
	p.next = nil
	for {
		select {
		case r := <-p.requests:
			if bytes += r.bytes; bytes > groupBytes {
				p.next = r
				return group, nil
			}
			group = append(group, r)
		default:
			return group, nil
		}
	}
}

// serve commits the requests that somebody still waits for.
func (p *possession) serve(ctx context.Context, group []*request) error {
	var records []*kgo.Record
	last, checkpoint := p.store.Last(), p.store.number()
	for _, r := range group {
		if r.err = r.ctx.Err(); r.err == nil {
			r.err = r.ahead.follows(&last, &checkpoint)
		}
		if r.err == nil {
			records = append(records, r.records...)
		}
	}
	if len(records) == 0 {
		return nil
	}
	begun := time.Now()
	defer func() { p.topic.metrics.transactions.Observe(time.Since(begun).Seconds()) }()
	return p.commit(ctx, records)
}

// commit repeats the transaction until it is known to be in the log.
func (p *possession) commit(ctx context.Context, records []*kgo.Record) error {
	for {
		err := p.attempt(ctx, records)
		if err == nil {
			p.trouble.end()
			return nil
		}
		if tooLarge(err) {
			return errors.Join(err, p.recover(ctx, err))
		}
		if err := p.recover(ctx, err); err != nil {
			return err
		}
		if p.store.transaction() == p.self.Transaction {
			return nil // it was in
		}
	}
}

// attempt writes the records once. If it fails, the outcome is not known.
func (p *possession) attempt(ctx context.Context, records []*kgo.Record) error {
	p.self.Transaction++
	record, err := p.ownerRecord()
	if err != nil {
		return err
	}
	if p.onAttempt != nil {
		p.onAttempt(p.self.Transaction)
	}
	all := make([]*kgo.Record, 0, len(records)+1)
	for _, r := range records { // copies: the client of an attempt that failed may still hold the ones before
		all = append(all, &kgo.Record{Key: r.Key, Value: r.Value, Partition: p.log.partition})
	}
	all = append(all, record)
	ctx, cancel := context.WithTimeout(ctx, p.topic.options.TransactionTimeout)
	defer cancel()
	slow := time.AfterFunc(slowness, func() { p.trouble.begin(errSlow) })
	defer slow.Stop()
	if err := p.producer.commit(ctx, all); err != nil {
		return err
	}
	p.position = record.Offset + 1
	for _, r := range all {
		p.topic.metrics.written.Add(float64(len(r.Key) + len(r.Value)))
	}
	return p.store.apply(all)
}

// slowness is the time after which a transaction that is under way is worth a line in the log.
const slowness = 5 * time.Second

var errSlow = fmt.Errorf("no answer for %s", slowness)

// recover finds out what the log says after a transaction failed with the error, and makes ready for the next. The index has
// what was committed then.
func (p *possession) recover(ctx context.Context, cause error) error {
	p.topic.metrics.recovered.Inc()
	p.producer.close()
	p.producer = nil
	if fencing(cause) {
		if err := p.look(ctx); err != nil {
			return err
		}
	} else {
		p.trouble.begin(cause)
	}
	return p.trouble.retry(ctx, running, p.resume)
}

// look waits for a claim of somebody else, without disturbing it, for as long as a claim takes.
func (p *possession) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.grace)
	defer cancel()
	for ctx.Err() == nil {
		page, err := p.log.fetch(ctx, p.position, fetchBytes)
		if err != nil {
			return nil // the rest of the recovery says so
		}
		if err := p.store.apply(page.records); err != nil {
			return err
		}
		p.position = page.next
		if err := p.lost(); err != nil {
			return err
		}
	}
	return nil
}

// resume initialises a producer and reads what was committed up to then.
func (p *possession) resume(ctx context.Context) error {
	producer, err := p.topic.newProducer(ctx, p.transactionalID())
	if err != nil {
		return err
	}
	if err = p.catchUp(ctx); err == nil {
		err = p.lost()
	}
	if err != nil {
		producer.close()
		return err
	}
	p.producer = producer
	return nil
}

// catchUp reads the log to its end.
func (p *possession) catchUp(ctx context.Context) error {
	end, err := p.log.end(ctx)
	if err != nil {
		return err
	}
	p.position, err = p.log.read(ctx, p.position, end, func(r *kgo.Record) error { return p.store.apply([]*kgo.Record{r}) })
	return err
}

// lost reports whether the log names another owner.
func (p *possession) lost() error {
	if p.store.owner() != p.self.Name {
		return state.ErrFenced
	}
	return nil
}
