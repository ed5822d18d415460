package detector

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// Restoration makes an engine of a checkpoint. Its methods are for one goroutine; it decodes in several.
type Restoration struct {
	engine  *Engine
	meta    meta
	readers []*laneReader // each has the lanes whose number, modulo theirs, is its own
	work    sync.WaitGroup
}

// laneReader decodes the chunks of some lanes. Its goroutine owns it and these lanes.
type laneReader struct {
	engine   *Engine
	entities *entityReader
	chunks   chan Chunk
	closed   map[goneEntity][]*alert.Alert // alerts of rules that are gone, by the entity that has them
	err      error
}

// Restore begins to restore an engine with the given rules from a checkpoint's meta data ([Cut.Meta]). Its chunks follow.
// What rules know is kept if their fingerprint is the same as then. The seeds are those of the checkpoint.
func Restore(set *rules.Set, o Options, encoded []byte) (*Restoration, error) {
	m, err := readMeta(encoded)
	if err != nil {
		return nil, fmt.Errorf("restore the engine: %w", err)
	}
	o.Seed, o.ValueSeed = m.Seed, m.ValueSeed
	ids := slots{ids: map[[16]byte]slotID{}, last: m.LastSlot}
	for slot, rule := range m.Rules {
		ids.ids[rule.Fingerprint] = slot
	}
	r := &Restoration{engine: newEngine(set, o, ids, numbers{m.Kinds}), meta: m}
	r.engine.watermark = m.Watermark
	r.restorePartitions()
	r.start()
	return r, nil
}

func (r *Restoration) restorePartitions() {
	for _, p := range r.meta.Partitions {
		in := r.engine.partitions.get(p.ID)
		in.next, in.applied, in.fences = p.Resume, p.Resume, p.Applied
		in.clock = clock{max: p.Max, running: p.Running, leaps: p.Leaps}
		in.finished = true // until it is assigned
	}
}

func (r *Restoration) start() {
	workers := min(runtime.GOMAXPROCS(0), len(r.engine.lanes))
	if r.meta.Lanes != len(r.engine.lanes) {
		workers = 1 // an entity's lane is another now
		r.engine.rewrite = true
	}
	for range workers {
		lr := &laneReader{engine: r.engine, chunks: make(chan Chunk, 4), closed: map[goneEntity][]*alert.Alert{}}
		lr.entities = r.entityReader()
		r.readers = append(r.readers, lr)
		r.work.Go(lr.run)
	}
}

// entityReader knows which rules of the checkpoint are still there.
func (r *Restoration) entityReader() *entityReader {
	p := r.engine.program.Load()
	er := &entityReader{kinds: r.meta.Kinds, slots: map[slotID]*remembered{}, now: r.meta.Watermark}
	for slot, rule := range r.meta.Rules {
		rule := rule.remembered
		rule.watch = p.bySlot[slot]
		er.slots[slot] = &rule
	}
	return er
}

// Add takes a chunk over. Chunks of a lane come in the order in which they were made.
func (r *Restoration) Add(c Chunk) error {
	if c.Lane < 0 {
		return fmt.Errorf("restore the engine: lane %d: %w", c.Lane, wire.ErrCorrupt)
	}
	r.readers[c.Lane%len(r.readers)].chunks <- c
	return nil
}

// Finish returns the engine when everything is decoded, and the last versions of the alerts that were open under rules that
// are gone or have changed.
func (r *Restoration) Finish() (*Engine, []*alert.Alert, error) {
	var errs []error
	var closed []*alert.Alert
	for _, lr := range r.readers {
		close(lr.chunks)
	}
	r.work.Wait()
	for _, lr := range r.readers {
		errs = append(errs, lr.err)
		for _, alerts := range lr.closed {
			closed = append(closed, alerts...)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, fmt.Errorf("restore the engine: %w", err)
	}
	hands := wire.Reader{Rest: r.meta.Hands}
	for _, l := range r.engine.lanes {
		l.wind(r.meta.Watermark)
		if len(r.engine.lanes) == r.meta.Lanes {
			l.readHands(&hands)
		}
	}
	if hands.Err != nil {
		return nil, nil, fmt.Errorf("restore the engine: %w", hands.Err)
	}
	r.engine.rewrite = r.engine.rewrite || r.rulesAreGone()
	slices.SortFunc(closed, func(a, b *alert.Alert) int { return cmp.Compare(a.ID, b.ID) })
	return r.engine, closed, nil
}

// rulesAreGone reports whether the store has something that must not come back with a rule of an old fingerprint.
func (r *Restoration) rulesAreGone() bool {
	p := r.engine.program.Load()
	for slot := range r.meta.Rules {
		if p.bySlot[slot] == nil {
			return true
		}
	}
	return false
}

func (lr *laneReader) run() {
	for c := range lr.chunks {
		if lr.err != nil {
			continue
		}
		if err := lr.add(c); err != nil {
			lr.err = fmt.Errorf("lane %d: %w", c.Lane, err)
		}
	}
}

func (lr *laneReader) add(c Chunk) error {
	r := wire.Reader{Rest: c.Data}
	r.Version("chunk", chunkVersion)
	for range r.Count(17) {
		gone := goneEntity{uint16(min(r.Uvarint(), math.MaxUint16)), entityKey{Hi: r.Uint64(), Lo: r.Uint64()}}
		lr.remove(gone)
	}
	for len(r.Rest) > 0 && r.Err == nil {
		if err := lr.addEntity(&r); err != nil {
			return err
		}
	}
	if c.Lane < len(lr.engine.lanes) {
		lr.engine.lanes[c.Lane].saving.count(c.Base, len(c.Data))
	}
	return r.Err
}

// table returns where entities of the kind with that number and key are, nil when no rule watches them.
func (lr *laneReader) table(gone goneEntity) *table {
	if int(gone.kind) >= len(lr.entities.kinds) {
		return nil
	}
	g := lr.engine.program.Load().group(lr.entities.kinds[gone.kind])
	if g < 0 {
		return nil
	}
	return &lr.engine.lanes[gone.key.Hi>>lr.engine.shift].tables[g]
}

func (lr *laneReader) remove(gone goneEntity) {
	delete(lr.closed, gone)
	if t := lr.table(gone); t != nil {
		t.delete(gone.key)
	}
}

func (lr *laneReader) addEntity(r *wire.Reader) error {
	n, kind, closed, err := lr.entities.read(r)
	if err != nil {
		return err
	}
	n.key = (&group{seed: kindSeed(kind, lr.engine.options.Seed)}).key(n.name)
	self := goneEntity{n.kind, n.key}
	delete(lr.closed, self)
	if len(closed) > 0 {
		lr.closed[self] = closed
	}
	t := lr.table(self)
	if t == nil {
		return nil // no rule watches its kind any more
	}
	n.saved = 1 // the store has it
	if old := t.get(n.key); old != nil {
		*old = *n
		return nil
	}
	t.put(n)
	return nil
}

// wind sets the lane's clockwork, which was at now: the ticks, the timers of what was restored, and its size as it was
// measured then.
func (l *lane) wind(now event.Time) {
	l.saving.tracked = true
	l.resume(now)
	for g := range l.tables {
		for _, n := range l.tables[g].all() {
			l.account(g, int64(n.bytes))
			for i := range n.cells {
				l.windCell(g, n, &n.cells[i])
			}
		}
	}
}

func (l *lane) windCell(g int, n *entity, c *cell) {
	if ep := c.episode; ep != nil && ep.version > 0 {
		l.wakeAt(timer{at: ep.lastSeen + l.program.bySlot[c.slot].closeAfter, group: g, entity: n, slot: c.slot})
	}
	if w, ok := c.state.(waker); ok && w.wakesAt() != 0 {
		l.wakeAt(timer{at: w.wakesAt(), group: g, entity: n, slot: c.slot, wake: true})
	}
}
