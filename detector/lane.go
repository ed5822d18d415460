package detector

import (
	"container/heap"
	"math/bits"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// lane owns the entities of one hash range. One goroutine at a time works on it, with events in their order.
type lane struct {
	program *program
	tables  []table // one for each group of the program
	timers  timers
	// nextTick is the next tick of the sweep, due the time before which fire has nothing to do.
	nextTick, due event.Time
	pressures     []pressure // one for each group
	options       Options
	bytes         int64 // that the entities of all groups take
	mostBytes     int64 // 0: any number
	orphans       int   // timers of entities that were evicted, at most
	alerts        []raised
	buffer        []byte   // for names of combinations
	signals       []signal // of the event at hand, see [lane.assess]
	stats         laneStats
	saving        saving
}

// laneStats counts since the last collection.
type laneStats struct {
	matches []uint64 // events applied to each rule
	raised  []uint64 // versions raised by each rule
	skipped []uint64 // late events left out by each rule because their order matters
	bytes   []int64  // of each group
}

// raised is an alert and its place in the order of all alerts.
type raised struct {
	alert  *alert.Alert
	at     event.Time
	rule   int
	shadow bool
}

func newLane(p *program, o Options) *lane {
	l := &lane{options: o, mostBytes: o.Limits.bytes(o.Lanes), nextTick: noTime, due: noTime, saving: saving{epoch: 1}}
	l.use(p, nil)
	return l
}

// use changes the program. Tables of groups that the new program has too are kept.
func (l *lane) use(p *program, old *program) {
	tables := make([]table, len(p.groups))
	bytes := make([]int64, len(p.groups))
	pressures := make([]pressure, len(p.groups))
	l.bytes = 0
	for i, g := range p.groups {
		if j := old.group(g.kind); j >= 0 {
			tables[i], bytes[i], pressures[i] = l.tables[j], l.stats.bytes[j], l.pressures[j]
		}
		pressures[i].limit = l.options.Limits.entities(g.kind, l.options.Lanes)
		l.bytes += bytes[i]
	}
	l.keepTimers(p, old)
	l.program, l.tables, l.pressures = p, tables, pressures
	l.stats = laneStats{matches: make([]uint64, len(p.rules)), raised: make([]uint64, len(p.rules)), skipped: make([]uint64, len(p.rules)), bytes: bytes}
}

// keepTimers moves the timers of rules that live on to the new numbers of their groups.
func (l *lane) keepTimers(p, old *program) {
	kept := l.timers[:0]
	for _, t := range l.timers {
		if p.bySlot[t.slot] == nil {
			continue
		}
		t.group = p.group(old.groups[t.group].kind)
		kept = append(kept, t)
	}
	clear(l.timers[len(kept):])
	l.timers, l.due = kept, noTime
	heap.Init(&l.timers)
}

// forget closes the episodes of rules that p no longer has, frees what those rules knew, and numbers the others anew.
func (l *lane) forget(p *program, now event.Time) {
	for g := range l.tables {
		l.tables[g].each(func(n *entity) {
			if before := len(n.cells); l.forgetCells(n, p, now) != before {
				l.measure(g, n)
			}
		})
	}
}

// forgetCells returns how many cells are left.
func (l *lane) forgetCells(n *entity, p *program, now event.Time) int {
	if slices.ContainsFunc(n.cells, func(c cell) bool { return p.bySlot[c.slot] == nil }) {
		l.change(n)
	}
	kept := n.cells[:0]
	for i := range n.cells {
		c := n.cells[i]
		if r := p.bySlot[c.slot]; r != nil {
			c.index = uint16(r.index)
			kept = append(kept, c)
			continue
		}
		if c.episode != nil && c.episode.version > 0 {
			c.episode.version++
			l.raise(alert.Closed, n, &c, l.program.bySlot[c.slot], c.episode.worst, now)
		}
	}
	clear(n.cells[len(kept):])
	n.cells = kept
	return len(kept)
}

// apply shows the event to the rules of the group that match it. n is the entity, nil when it is not known yet.
func (l *lane) apply(groupIndex int, key entityKey, n *entity, mask []uint64, o observation) {
	g := l.program.groups[groupIndex]
	l.fire(o.now)
	if n == nil || n.key != key { // a timer or an insertion may have cost an entity that was looked up ahead its place
		n = l.meet(groupIndex, key, mask, o)
	}
	l.change(n)
	before, measure, alerts := len(n.cells), n.hit(o.now), len(l.alerts)
	for w, word := range mask {
		for word &= g.mask[w]; word != 0; word &= word - 1 {
			l.observe(groupIndex, n, l.program.rules[w<<6+bits.TrailingZeros64(word)], o)
		}
	}
	l.assess(groupIndex, n, alerts, o.now, &o)
	if measure || len(n.cells) != before {
		l.measure(groupIndex, n)
	}
	if l.mostBytes > 0 && l.bytes > l.mostBytes {
		l.relieve(o.now, n)
	}
}

// meet returns the entity with the key, which is made if need be.
func (l *lane) meet(groupIndex int, key entityKey, mask []uint64, o observation) *entity {
	t, g := &l.tables[groupIndex], l.program.groups[groupIndex]
	if n := t.get(key); n != nil {
		return n
	}
	concerned := 0
	for w, word := range mask {
		concerned += bits.OnesCount64(word & g.mask[w])
	}
	l.makeRoom(groupIndex, o.now)
	n := &entity{key: key, name: strings.Clone(g.name(o.event, &l.buffer)), cells: make([]cell, 0, concerned), kind: g.number}
	t.put(n)
	l.begin(n)
	return n
}

func (l *lane) observe(groupIndex int, n *entity, r *watch, o observation) {
	if r.ordered && o.late() {
		l.stats.skipped[r.index]++
		return
	}
	l.stats.matches[r.index]++
	c := n.find(r.slot)
	if c == nil {
		if r.starter != nil && !r.starter.starts(o) {
			return
		}
		c = n.learn(r)
	}
	f := c.state.observe(o)
	if f.wakeAt != 0 {
		l.wakeAt(timer{at: f.wakeAt, group: groupIndex, entity: n, slot: r.slot, wake: true})
	}
	if f.suspicious || c.episode != nil {
		l.judge(groupIndex, n, c, r, f, o.now, &o)
	}
}

// judge moves the entity's episode on. o is nil when a timer, not an event, led to the finding.
func (l *lane) judge(groupIndex int, n *entity, c *cell, r *watch, f finding, now event.Time, o *observation) {
	ep := c.episode
	if !f.suspicious {
		if ep.version == 0 {
			c.episode = nil
		}
		return
	}
	at := now
	if o != nil {
		at = o.event.Time
	}
	suspected := ep == nil
	if suspected {
		ep = &episode{firstSeen: at}
		c.episode = ep
	}
	ep.note(f, o)
	if !f.over {
		if suspected {
			l.signal(groupIndex, signal{by: r, at: at, state: c.state, finding: f, episode: ep})
		}
		return
	}
	if f.evidence != nil {
		at = event.Time(f.evidence.Time)
	}
	opened := ep.version == 0
	state, emit := ep.exceed(f, at)
	if opened {
		l.wakeAt(timer{at: max(now, ep.lastSeen+r.closeAfter), group: groupIndex, entity: n, slot: r.slot})
	}
	if emit {
		a := l.raise(state, n, c, r, f, now)
		l.signal(groupIndex, signal{by: r, at: at, state: c.state, finding: f, episode: ep, alert: a})
	}
}

// note collects evidence of a suspicious event.
func (ep *episode) note(f finding, o *observation) {
	if f.related != nil {
		ep.related.join(f.related)
	}
	for i := range f.path {
		ep.firstSeen = min(ep.firstSeen, event.Time(f.path[i].Time))
		ep.collect(f.path[i])
		ep.related.collectEvidence(&f.path[i])
	}
	switch {
	case f.evidence != nil:
		ep.collect(*f.evidence)
		ep.related.collectEvidence(f.evidence)
		return
	case o == nil:
		return
	case ep.wants():
		ep.collect(evidenceOf(*o))
	default:
		ep.skipped++
	}
	if o != nil {
		ep.related.collect(o.event)
	}
}

func (l *lane) raise(state alert.State, n *entity, c *cell, r *watch, f finding, now event.Time) *alert.Alert {
	ep := c.episode
	entity := alert.Entity{Kind: r.kind, ID: n.name}
	a := &alert.Alert{
		Schema: alert.SchemaVersion, ID: alert.NewID(r.rule.ID, entity, alert.Time(ep.opened)), Version: ep.version, State: state,
		Rule: r.described, Entity: entity,
		FirstSeen: alert.Time(ep.firstSeen), LastSeen: alert.Time(ep.lastSeen), DetectedAt: alert.Time(now),
		Observed: alert.Observed{Value: f.value, Exact: f.err == 0, Error: f.err, Limit: f.limit},
		Evidence: append([]alert.Evidence(nil), ep.evidence...),
		Related:  ep.related.collected(),
	}
	r.describe(a, c.state, f)
	if state == alert.Closed {
		a.Summary = over(a.LastSeen.Std().Sub(a.FirstSeen.Std())) + a.Summary
	}
	l.stats.raised[r.index]++
	l.alerts = append(l.alerts, raised{a, now, r.index, r.shadow})
	return a
}

// describe has the detection write what it has found. Its sentence names the entity as people can read it, whatever its caller has
// made of the id.
func (w *watch) describe(a *alert.Alert, s state, f finding) {
	id := a.Entity.ID
	a.Entity.ID = shortText(id)
	w.detection.describe(a, s, f)
	a.Entity.ID = id
}

// fireTimers runs the timers that are due at now.
func (l *lane) fireTimers(now event.Time) {
	for len(l.timers) > 0 && l.timers[0].at <= now {
		t := heap.Pop(&l.timers).(timer)
		r := l.program.bySlot[t.slot]
		c := t.entity.find(t.slot)
		if r == nil || c == nil {
			continue
		}
		l.change(t.entity)
		if t.wake {
			l.wake(t, r, c)
		} else {
			l.closeQuiet(t, r, c)
		}
	}
}

func (l *lane) wake(t timer, r *watch, c *cell) {
	w, ok := c.state.(waker)
	if !ok {
		return
	}
	f := w.wake(t.at)
	if f.wakeAt != 0 {
		l.wakeAt(timer{at: f.wakeAt, group: t.group, entity: t.entity, slot: t.slot, wake: true})
	}
	if f.suspicious {
		alerts := len(l.alerts)
		l.judge(t.group, t.entity, c, r, f, t.at, nil)
		l.assess(t.group, t.entity, alerts, t.at, nil)
		l.measure(t.group, t.entity)
	}
}

// closeQuiet closes the episode when its time is up, or looks again later.
func (l *lane) closeQuiet(t timer, r *watch, c *cell) {
	ep := c.episode
	if ep == nil || ep.version == 0 {
		return
	}
	if due := ep.lastSeen + r.closeAfter; due > t.at {
		l.wakeAt(timer{at: due, group: t.group, entity: t.entity, slot: t.slot})
		return
	}
	ep.version++
	l.raise(alert.Closed, t.entity, c, r, ep.worst, t.at)
	c.episode = nil
	l.measure(t.group, t.entity)
}

func (l *lane) measure(groupIndex int, n *entity) {
	size := n.measured()
	if size == n.bytes {
		return
	}
	l.change(n)
	l.account(groupIndex, int64(size)-int64(n.bytes))
	n.bytes = size
}

// wakeAt sets a timer.
func (l *lane) wakeAt(t timer) {
	heap.Push(&l.timers, t)
	l.due = min(l.due, t.at)
}

// timer is a time at which an entity must be looked at although nothing may happen.
type timer struct {
	at     event.Time
	group  int
	entity *entity
	slot   slotID
	wake   bool // the state has asked for it; otherwise an episode may have become quiet
}

// timers is a heap of timers, the next one first.
type timers []timer

// Len implements heap.Interface.
func (t timers) Len() int { return len(t) }

// Less implements heap.Interface.
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }

// Swap implements heap.Interface.
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	old := *t
	n := len(old) - 1
	x := old[n]
	old[n] = timer{}
	*t = old[:n]
	return x
}
