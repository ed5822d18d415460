package kafka

import (
	"context"
	"errors"
	"fmt"

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
	if nowID, now, err := p.client.ProducerID(ctx); err != nil || nowID != id || now != epoch {
		return errors.Join(errEpoch, err)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
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
