package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// producer writes transactions under one transactional id. After an error of any of its methods it must not be used any
// more: what became of the transaction is for its successor to find out.
type producer struct{ client *kgo.Client }

// newProducer ends what others have begun under the id, and fences them.
func (t *Topic) newProducer(ctx context.Context, id string) (*producer, error) {
	options := append(t.cluster.KgoOptions(), producing(t.options.Topic)...)
	options = append(options, kgo.TransactionalID(id), kgo.TransactionTimeout(t.options.TransactionTimeout))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("set up a Kafka client: %w", err)
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("initialise transactional id %s: %w", id, err)
	}
	return &producer{client}, nil
}

var errEpoch = errors.New("the producer's epoch changed within a transaction")

// commit writes the records as one transaction and notes their offsets in them. It ends with ctx.
func (p *producer) commit(ctx context.Context, records []*kgo.Record) error {
	// The client does not give up records that may be on their way.
	stop := context.AfterFunc(ctx, p.client.Close)
	defer stop()
	if err := p.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	id, epoch, err := p.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err := p.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	if err := p.settled(ctx, records); err != nil {
		return err
	}
	if nowID, now, err := p.client.ProducerID(ctx); err != nil || nowID != id || now != epoch {
		return errors.Join(errEpoch, err)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// settled waits until the client knows the partitions that it has written to. It sends the first records of a topic before it
// has taken note of the topic, and if they are acknowledged in that moment EndTransaction finds no partition that takes part:
// it aborts where it should commit, and says that all is well (franz-go 1.22.2).
func (p *producer) settled(ctx context.Context, records []*kgo.Record) error {
	for _, r := range records {
		for {
			leader, _, err := p.client.PartitionLeader(r.Topic, r.Partition)
			if err != nil {
				return fmt.Errorf("find the leader of %s/%d: %w", r.Topic, r.Partition, err)
			}
			if leader >= 0 {
				break
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

func (p *producer) close() { p.client.Close() }

// fencing reports whether the error is what a broker answers to a producer that was followed. It also does so after the
// transaction timeout.
func fencing(err error) bool {
	for _, e := range []error{
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.FencedInstanceID, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
