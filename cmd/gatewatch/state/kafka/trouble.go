package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// trouble says once that Kafka fails, and once that it works again.
type trouble struct {
	log   *slog.Logger
	mu    sync.Mutex
	since time.Time // zero: there is none
}

func newTrouble(log *slog.Logger) *trouble { return &trouble{log: log} }

func (t *trouble) begin(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() {
		return
	}
	t.since = time.Now()
	args := []any{"err", err}
	if advice := connection.Advice(err); advice != "" {
		args = append(args, "advice", advice)
	}
	t.log.Warn("state in Kafka cannot be reached, trying again", args...)
}

func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return
	}
	t.log.Info("state in Kafka can be reached again", "after", time.Since(t.since).Round(time.Millisecond))
	t.since = time.Time{}
}

// A verdict says whether it is of no use to repeat what failed with the error, for the nth time in a row.
type verdict func(err error, n int) bool

// running gives up on nothing that an operator can repair.
func running(err error, _ int) bool {
	return errors.Is(err, state.ErrFenced) || errors.Is(err, state.ErrCorrupt) || errors.Is(err, state.ErrVersion)
}

// starting gives up on what an operator must repair.
func starting(err error, n int) bool {
	for _, final := range []error{
		errUnfit, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.InvalidTransactionTimeout, kerr.InvalidReplicationFactor, kerr.InvalidTopicException, kerr.PolicyViolation,
		kerr.UnsupportedVersion,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	// A broker that dies during authentication looks like one that refuses.
	return running(err, n) || n >= 3 && connection.Advice(err) != ""
}

// retry repeats the operation until it works, its error is final, or ctx ends.
func (t *trouble) retry(ctx context.Context, final verdict, operation func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, 2*time.Second
	for n := 1; ; n++ {
		err := operation(ctx)
		if err == nil {
			t.end()
			return nil
		}
		if final(err, n) {
			return err
		}
		if ctx.Err() == nil && n > 2 { // a leader that moves is no trouble
			t.begin(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last error: %w)", context.Cause(ctx), err)
		case <-time.After(pause.NextBackOff()):
		}
	}
}
