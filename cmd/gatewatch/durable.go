package main

import (
	"context"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	"github.com/gatewatch/gatewatch/detector"
)

// openStore opens the folder of the state, if that is where it is. The sinks come after it, because they are closed before it.
func (s *service) openStore(ctx context.Context) error {
	if s.config.State.shared() {
		return nil
	}
	store, err := disk.Open(ctx, disk.Options{
		Dir: s.config.State.folder(s.config.dir), Version: version(), Log: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.store = store
	s.onClose(func(context.Context) error { return store.Close() })
	return nil
}

// restore makes an engine of what the store holds.
func (s *service) restore(ctx context.Context) (*pipeline.Durable, error) {
	dir, began := s.config.State.folder(s.config.dir), time.Now()
	d, err := s.remember(ctx, s.store, s.config.engineOptions())
	if err != nil {
		return nil, err
	}
	if m := d.Restored.Manifest; m.Number > 0 {
		s.sight.restarted(m.At)
		s.log.Info("state restored", "dir", dir, "checkpoint", m.Number, "made", m.At.Format(time.RFC3339), "took", time.Since(began).Round(time.Millisecond))
	} else {
		s.log.Info("a new state begins", "dir", dir)
	}
	return d, nil
}

// remember makes an engine of what the store holds, and a feed of its outbox.
func (s *service) remember(ctx context.Context, store state.Store, engine detector.Options) (*pipeline.Durable, error) {
	outbox := state.NewOutbox(store)
	restored, err := pipeline.Restore(ctx, store, outbox, s.rules.set, engine)
	if err != nil {
		return nil, err
	}
	outbox.Use(s.sinkNames()...)
	return &pipeline.Durable{
		Store: store, Outbox: outbox, Feed: s.queue.Attach(outbox), Interval: s.config.State.Interval, Restored: restored,
	}, nil
}

func (s *service) sinkNames() []string {
	var names []string
	for _, status := range s.queue.Status() {
		names = append(names, status.Sink)
	}
	return names
}

// saveLast makes a last checkpoint, so that the next start has nothing to read again. Without it the next start reads a
// little more.
func (s *service) saveLast(ctx context.Context) {
	if s.pipeline == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout/2)
	defer cancel()
	if err := s.pipeline.Checkpoint(ctx); err != nil {
		s.log.Warn("no last checkpoint; the next start goes back to the one before", "error", err)
	}
}
