package pipeline

import (
	"context"
	"fmt"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/rules"
)

// Restored is what a store has kept of an engine.
type Restored struct {
	Engine   *detector.Engine
	Manifest state.Manifest // Number is 0 when the store held no checkpoint: then the engine is a new one
	Closed   []*alert.Alert // that were open under rules which are gone or have changed

	// Known is what the outbox has of alerts that the engine will raise again. The pipeline takes out what was.
	Known map[state.Version]state.Raised
}

// Restore makes an engine of what the store holds.
func Restore(ctx context.Context, store state.Store, outbox *state.Outbox, set *rules.Set, o detector.Options) (*Restored, error) {
	o.Seed = store.Seed()
	r := &Restored{}
	var restoration *detector.Restoration
	begin := func(m state.Manifest) (err error) {
		r.Manifest = m
		restoration, err = detector.Restore(set, o, m.Engine)
		return err
	}
	ok, err := store.Load(ctx, begin, func(c state.Chunk) error {
		return restoration.Add(detector.Chunk{Lane: c.Lane, Base: c.Base, Data: c.Data})
	})
	if restoration != nil { // whatever happened: it has goroutines
		var failed error
		r.Engine, r.Closed, failed = restoration.Finish()
		err = firstOf(err, failed)
	}
	if err != nil {
		return nil, fmt.Errorf("restore the state: %w", err)
	}
	if !ok {
		r.Engine = detector.New(set, o)
	}
	r.Known, err = outbox.Raised(ctx, r.Manifest.Sequence)
	if err != nil {
		return nil, fmt.Errorf("restore the state: %w", err)
	}
	return r, nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
