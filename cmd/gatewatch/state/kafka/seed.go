package kafka

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// seed is the record of the whole topic.
type seed struct {
	Format string `json:"format"`
	Seed   uint64 `json:"seed"`
}

var errFound = errors.New("found")

// findSeed reads the seed, or draws it. Of two that draw, both take the one that is committed: each ends the transaction of
// the one before when it begins its own, and looks again before it writes.
func (t *Topic) findSeed(ctx context.Context) error {
	log := t.log(0)
	found, err := t.readSeed(ctx, log, log.stable)
	if found || err != nil {
		return err
	}
	p, err := t.newProducer(ctx, t.options.Topic+"-seed")
	if err != nil {
		return err
	}
	defer p.close()
	if found, err = t.readSeed(ctx, log, log.end); found || err != nil {
		return err
	}
	var random [8]byte
	rand.Read(random[:]) // never fails
	drawn := seed{Format: formatVersion, Seed: binary.LittleEndian.Uint64(random[:])}
	value, err := json.Marshal(drawn)
	if err != nil {
		return fmt.Errorf("encode seed: %w", err)
	}
	if err := p.commit(ctx, []*kgo.Record{{Key: []byte(seedKey), Value: value}}); err != nil {
		return fmt.Errorf("write seed: %w", err)
	}
	if found, err = t.readSeed(ctx, log, log.end); !found && err == nil {
		err = errors.New("the seed that was written is not in the log")
	}
	return err
}

// readSeed looks for the seed up to an offset. It is the first record of partition 0, so that the search is long only if there is none.
func (t *Topic) readSeed(ctx context.Context, log *partitionLog, to func(context.Context) (int64, error)) (found bool, err error) {
	end, err := to(ctx)
	if err != nil {
		return false, err
	}
	_, err = log.read(ctx, 0, end, func(r *kgo.Record) error {
		if string(r.Key) != seedKey {
			return nil
		}
		return errors.Join(t.takeSeed(r.Value), errFound)
	})
	if errors.Is(err, errFound) {
		found = true
		if !running(err, 0) {
			err = nil
		}
	}
	return found, err
}

func (t *Topic) takeSeed(value []byte) error {
	var s seed
	if err := json.Unmarshal(value, &s); err != nil {
		return fmt.Errorf("%w: read seed: %w", state.ErrCorrupt, err)
	}
	if s.Format != formatVersion {
		return fmt.Errorf("%w: format %q, want %q; %s", state.ErrVersion, s.Format, formatVersion, versionAdvice)
	}
	t.seed = s.Seed
	return nil
}
