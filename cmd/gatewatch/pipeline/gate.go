package pipeline

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
)

// gate stops the reading of a partition that is far ahead of the others, so that what waits for the watermark stays bounded.
// The partition that the others wait for is never stopped.
type gate struct {
	preparer *detector.Preparer // of the partition's goroutine

	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) wait(ctx context.Context, stopped <-chan struct{}) error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return nil
	}
	select {
	case <-shut:
		return nil
	case <-stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.shut != nil:
		close(g.shut)
		g.shut = nil
	case !open && g.shut == nil:
		g.shut = make(chan struct{})
	}
}

// gates is the gates of all partitions. Readers use their own gate; the owner of the engine opens and shuts them.
type gates struct {
	mu  sync.Mutex
	all map[event.Partition]*gate
}

func newGates() gates { return gates{all: map[event.Partition]*gate{}} }

func (gs *gates) open(id event.Partition, preparer *detector.Preparer) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.all[id] = &gate{preparer: preparer}
}

func (gs *gates) close(id event.Partition) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	delete(gs.all, id)
}

func (gs *gates) get(id event.Partition) *gate {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.all[id]
}

func (gs *gates) partitions() []event.Partition {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return slices.Collect(maps.Keys(gs.all))
}

func (gs *gates) update(e *detector.Engine, most int) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for id, g := range gs.all {
		pending, holdsBack := e.PendingEvents(id)
		g.set(pending < most || holdsBack)
	}
}
