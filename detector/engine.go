package detector

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// Options are the engine's settings. Nothing here changes which alerts there are, except Disorder and, where they are
// reached, Limits; then the lanes and the seed matter too.
type Options struct {
	Disorder time.Duration // how far behind the newest event of a partition the watermark stays
	Lanes    int           // a power of two, at most 1024
	Workers  int           // goroutines that work on lanes; 0: one for each core
	Seed     uint64        // of the places of entities: it changes nothing that can be seen
	// ValueSeed is of the hashes of counted values. Estimates depend on it, a little; a secret one keeps attackers from
	// choosing values that count as one.
	ValueSeed uint64
	Limits    Limits
	Shadow    bool // return the alerts of rules in shadow mode as well, to judge them; nothing else changes
}

// DefaultOptions returns a disorder of two seconds, 64 lanes, all cores and the default limits.
func DefaultOptions() Options {
	return Options{Disorder: 2 * time.Second, Lanes: 64, Workers: runtime.GOMAXPROCS(0), Limits: DefaultLimits()}
}

// Engine detects. Its methods are for one goroutine, that of its owner; only [Engine.NewPreparer] and what it returns may be
// used elsewhere.
type Engine struct {
	options    Options
	program    atomic.Pointer[program]
	ids        slots
	kinds      numbers
	rewrite    bool // the next checkpoint must have every lane whole
	partitions partitions
	queue      queue
	lanes      []*lane
	shift      int // of a hash, to get its lane
	ready      []ref
	watermark  event.Time // everything before it was applied
	stats      Stats
	warm       atomic.Int64 // see [Engine.visit]
}

// New returns an engine without events.
func New(set *rules.Set, o Options) *Engine {
	return newEngine(set, o, slots{ids: map[[16]byte]slotID{}}, numbers{})
}

func newEngine(set *rules.Set, o Options, ids slots, kinds numbers) *Engine {
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Lanes < 1 || o.Lanes > 1024 || o.Lanes&(o.Lanes-1) != 0 {
		panic("detector: the number of lanes must be a power of two up to 1024")
	}
	e := &Engine{options: o, ids: ids, kinds: kinds, watermark: noTime}
	e.partitions.disorder = event.Time(o.Disorder.Milliseconds())
	p := compile(set, nil, &e.ids, &e.kinds, o)
	e.program.Store(p)
	for e.shift = 64; 1<<(64-e.shift) < o.Lanes; {
		e.shift--
	}
	for range o.Lanes {
		e.lanes = append(e.lanes, newLane(p, o))
	}
	e.stats.use(p)
	return e
}

// Push takes over a prepared batch. Batches of one partition come in the order of their offsets; records that were pushed
// before, as after a rebalance that gave the partition back, are left out.
func (e *Engine) Push(pr *Prepared) {
	if pr.program != e.program.Load() { // prepared before a reload
		pr = e.NewPreparer().PrepareCopies(pr.batch, pr.kinds, pr.meant)
	}
	p := e.partitions.get(pr.batch.Partition)
	if pr.batch.Anew {
		p.next, p.applied, p.fences = pr.batch.First, pr.batch.First, nil
	}
	known := p.next
	p.next = max(p.next, pr.batch.Next)
	pr.from, pr.clock = max(known, pr.batch.First), p.clock.clone()
	for i := range pr.batch.Events {
		if ev := &pr.batch.Events[i]; ev.Offset >= known && e.enqueue(p, ev, pr, i) {
			pr.left++
		}
	}
	if pr.left == 0 {
		pr.release()
		return
	}
	p.pending = append(p.pending, pr)
	p.waiting += pr.left
	e.stats.Events += uint64(pr.left)
	e.stats.Pending += pr.left
}

// enqueue gives the event its place in the order. It reports false when the event was applied before the checkpoint from which
// the engine was restored.
func (e *Engine) enqueue(p *partition, ev *event.Event, pr *Prepared, index int) bool {
	order := p.observe(ev.Time, e.partitions.disorder)
	if len(p.fences) > 0 && p.contains(ev.Offset, order) {
		return false
	}
	// What comes after the partition no longer held the watermark back goes behind that.
	order = max(order, e.watermark)
	if order > ev.Time {
		e.stats.Late++
	}
	e.queue.add(ref{order, pr, int32(index), int32(p.number)})
	return true
}

// CaughtUp says that the partition holds nothing that was not pushed, at wall-clock time now. While a partition is caught
// up its time passes with the clock on the wall, and soon it no longer holds the others back.
func (e *Engine) CaughtUp(p event.Partition, now event.Time) { e.partitions.get(p).caughtUp(now) }

// Progress says that what reads the partition has come to event time t: it knows of events that are not shown to this engine.
func (e *Engine) Progress(p event.Partition, t event.Time) { e.partitions.get(p).clock.trust(t) }

// Assign says that events of the partition will come: the watermark waits for them.
func (e *Engine) Assign(p event.Partition) { e.partitions.get(p).finished = false }

// Finish says that no more events of the partition will come: the watermark no longer waits for it.
func (e *Engine) Finish(p event.Partition) { e.partitions.get(p).finished = true }

// Advance applies every event that the watermark has passed, and returns what was raised, in order.
func (e *Engine) Advance() []*alert.Alert { return e.advance(e.partitions.watermark()) }

// Flush applies everything, as if nothing would ever come again: every episode ends.
func (e *Engine) Flush() []*alert.Alert {
	e.partitions.settle()
	return e.advance(endOfTime)
}

// sliceEvents is how many events are applied between two synchronisations of the workers.
const sliceEvents = 16384

func (e *Engine) advance(to event.Time) []*alert.Alert {
	if to = bucketStart(to); to <= e.watermark {
		return nil
	}
	applied := 0
	for {
		e.ready = e.queue.take(e.ready[:0], to, sliceEvents, e.partitions.rank)
		if len(e.ready) == 0 {
			break
		}
		e.parallel(len(e.ready), e.work)
		e.release()
		applied += len(e.ready)
	}
	e.watermark = to
	for _, p := range e.partitions.list {
		p.applied = p.next
	}
	e.parallel(applied, func(worker, workers int) {
		for i := worker; i < len(e.lanes); i += workers {
			e.lanes[i].fire(to)
		}
	})
	return e.collect()
}

// inline is how many events are not worth waking other workers for.
const inline = 256

// parallel calls work once for each worker and waits for all.
func (e *Engine) parallel(events int, work func(worker, workers int)) {
	if events < inline || e.options.Workers == 1 {
		work(0, 1)
		return
	}
	var wg sync.WaitGroup
	for worker := 1; worker < e.options.Workers; worker++ {
		wg.Go(func() { work(worker, e.options.Workers) })
	}
	work(0, e.options.Workers)
	wg.Wait()
}

// work applies the ready events to the worker's lanes. Every worker goes through all events: that costs less than sorting
// them by lane first.
//
// What is known of an entity is rarely in the processor's cache, and an event waits for memory several times: for the place
// in the table, the entity, its cells, each state. So the events are taken in blocks, and each step is done for the whole
// block before the next one: the processor then waits for many of them at once.
func (e *Engine) work(worker, workers int) {
	p := e.program.Load()
	var block [blockVisits]visitor
	n := 0
	for i := range e.ready {
		r := &e.ready[i]
		keys := r.prepared.keys[int(r.index)*len(p.groups):][:len(p.groups)]
		for g, key := range keys {
			if key == (entityKey{}) {
				continue
			}
			lane := int(key.Hi >> e.shift)
			if lane%workers != worker {
				continue
			}
			mask := r.prepared.masks[int(r.index)*p.words:][:p.words]
			block[n] = visitor{lane: e.lanes[lane], ref: r, group: g, key: key, mask: mask}
			if n++; n == blockVisits {
				e.visit(block[:n])
				n = 0
			}
		}
	}
	e.visit(block[:n])
}

// blockVisits is how many look-ups are under way at once.
const blockVisits = 32

// visitor is one event on its way to one entity.
type visitor struct {
	lane   *lane
	ref    *ref
	group  int
	key    entityKey
	mask   []uint64
	entity *entity
}

func (e *Engine) visit(block []visitor) {
	for i := range block {
		v := &block[i]
		v.entity = v.lane.tables[v.group].get(v.key)
	}
	warm := 0
	for i := range block {
		if n := block[i].entity; n != nil && len(n.cells) > 0 {
			warm += int(n.cells[0].slot)
		}
	}
	for i := range block {
		v := &block[i]
		if v.entity == nil {
			continue
		}
		for c := range v.entity.cells {
			if index := v.entity.cells[c].index; v.mask[index>>6]>>(index&63)&1 != 0 {
				warm += v.entity.cells[c].state.touch()
			}
		}
	}
	e.warm.Store(int64(warm)) // or the compiler would leave the reading out
	for i := range block {
		v := &block[i]
		b := v.ref.prepared.batch
		v.lane.apply(v.group, v.key, v.entity, v.mask,
			observation{event: &b.Events[v.ref.index], now: v.ref.order, source: b.Partition})
	}
}

// release counts the ready events as applied and lets go of batches that are no longer needed.
func (e *Engine) release() {
	for i := range e.ready {
		pr, p := e.ready[i].prepared, e.partitions.list[e.ready[i].partition]
		p.waiting--
		if pr.left--; pr.left == 0 {
			p.done()
			pr.release()
		}
	}
	e.stats.Pending -= len(e.ready)
	clear(e.ready)
}

func (pr *Prepared) release() {
	if pr.batch.Release != nil {
		pr.batch.Release()
	}
	pr.batch = nil
}

// collect returns what the lanes raised, in order: by event time, what a timer raised before what an event raised, then by
// rule, entity and version.
func (e *Engine) collect() (alerts []*alert.Alert) {
	var all []raised
	for _, l := range e.lanes {
		all = append(all, l.alerts...)
		clear(l.alerts)
		l.alerts = l.alerts[:0]
		e.stats.add(&l.stats)
	}
	slices.SortFunc(all, func(a, b raised) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.rule, b.rule),
			cmp.Compare(a.alert.Entity.ID, b.alert.Entity.ID), cmp.Compare(a.alert.Version, b.alert.Version))
	})
	for _, r := range all {
		if !r.shadow || e.options.Shadow {
			alerts = append(alerts, r.alert)
		}
	}
	return alerts
}

func (r raised) rank() int {
	if r.alert.State == alert.Closed {
		return 0
	}
	return 1
}

// Committable returns the offset before which every record of the partition was applied, or -1 when none was pushed.
func (e *Engine) Committable(id event.Partition) int64 {
	p := e.partitions.byID[id]
	switch {
	case p == nil:
		return -1
	}
	return p.resume()
}

// Next returns the offset from which the partition is to be read on, 0 when nothing is known of it.
func (e *Engine) Next(id event.Partition) int64 {
	if p := e.partitions.byID[id]; p != nil {
		return p.next
	}
	return 0
}

// Inputs returns every partition that something is known of, with the offset from which it is to be read on.
func (e *Engine) Inputs() map[event.Partition]int64 {
	all := map[event.Partition]int64{}
	for _, p := range e.partitions.list {
		all[p.id] = p.next
	}
	return all
}

// PendingEvents returns how many events of the partition wait for the watermark, and whether others wait for the partition.
func (e *Engine) PendingEvents(id event.Partition) (events int, holdsBack bool) {
	p := e.partitions.byID[id]
	if p == nil {
		return 0, true
	}
	t, holds := p.time()
	return p.waiting, holds && t-e.partitions.disorder <= e.partitions.watermark()
}

// Watermark returns the event time before which everything was applied, and false when there is none yet.
func (e *Engine) Watermark() (event.Time, bool) { return e.watermark, e.watermark != noTime }

// Reload swaps the rules. Rules whose fingerprint is unchanged keep everything they know; episodes of rules that are gone or
// changed are closed: those alerts are returned.
func (e *Engine) Reload(set *rules.Set) []*alert.Alert {
	e.saveAll()
	old := e.program.Load()
	p := compile(set, old, &e.ids, &e.kinds, e.options)
	e.program.Store(p)
	for _, l := range e.lanes {
		l.forget(p, e.watermark)
	}
	alerts := e.collect()
	e.stats.reload(p)
	for _, l := range e.lanes {
		l.use(p, old)
	}
	e.prepareAgain()
	return alerts
}

// prepareAgain matches what waits against the new rules.
func (e *Engine) prepareAgain() {
	preparer := e.NewPreparer()
	for _, p := range e.partitions.list {
		for _, pr := range p.pending {
			if pr.left == 0 { // applied, before an earlier batch was
				continue
			}
			again := preparer.PrepareCopies(pr.batch, pr.kinds, pr.meant)
			pr.program, pr.masks, pr.keys = again.program, again.masks, again.keys
		}
	}
}

// Rules returns the rule set in use.
func (e *Engine) Rules() *rules.Set { return e.program.Load().set }
