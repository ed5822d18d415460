package detector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// A checkpoint is everything the engine knows at one moment, the cut, in binary form. It is made without stopping the flow of
// events: [Engine.Cut] only notes which entities have changed since the cut before, [Engine.Save] encodes some of them at
// a time between advances, and an entity that is about to change before its turn is encoded just before that.
//
// Most lanes are saved as a delta: the entities that have changed and the keys of those that are gone. A lane whose deltas
// have become as large as itself is saved whole, as a base, which makes everything older of the lane obsolete. That keeps what is
// written in the order of what changes, and what is read at a restart in the order of what there is.
//
// Events that wait for the watermark are not part of it: they are read again, from the offsets that [Cut.Positions] has.
// What was applied of them before the cut is known by the watermark, because the order of events depends on the contents of
// their partition alone: see [partition.applied].

// Cut is a checkpoint that has begun.
type Cut struct {
	Meta      []byte                    // what is no entity's
	Positions map[event.Partition]int64 // the offset from which to read each input again
	Lanes     int
	Bases     []int // lanes that this checkpoint has whole
}

// Chunk is a part of what a checkpoint has of one lane.
type Chunk struct {
	Lane int
	Base bool // of a lane that the checkpoint has whole
	Data []byte
}

const (
	chunkVersion = 1
	// chunkBytes is where a chunk ends, with the entity that goes beyond.
	chunkBytes = 128 << 10
)

// saving is a lane's part in checkpoints. The fields of entities that belong to it: changed is the epoch of the latest change,
// saved the epoch of the latest cut for which the entity was encoded, 0 when no store has it.
type saving struct {
	tracked bool      // there was a cut: before the first one nothing has to be noted, for it takes everything
	epoch   uint32    // number of cuts so far, from 1
	changed []*entity // since the latest cut, each once
	dead    int       // of these, at least
	gone    []goneEntity

	// Of the checkpoint under way:
	active  bool
	base    bool
	todo    []*entity
	todoes  []goneEntity
	chunk   []byte
	done    []Chunk // complete chunks that were not collected yet
	err     error
	scratch []byte

	// What the store holds of the lane, in bytes.
	baseBytes, deltaBytes int
}

// goneEntity is an entity that was dropped.
type goneEntity struct {
	kind uint16
	key  entityKey
}

// change is called before anything of the entity changes.
func (l *lane) change(n *entity) {
	s := &l.saving
	if n.changed == s.epoch || !s.tracked {
		return
	}
	if s.active && n.saved != s.epoch && (s.base || n.changed == s.epoch-1) {
		l.save(n)
	}
	n.changed = s.epoch
	s.changed = append(s.changed, n)
}

// begin is called for an entity that has just been made.
func (l *lane) begin(n *entity) {
	if s := &l.saving; s.tracked {
		n.changed = s.epoch
		s.changed = append(s.changed, n)
	}
}

// dropped is called when an entity has been taken out of its table.
func (l *lane) dropped(groupIndex int, n *entity) {
	l.change(n)
	s := &l.saving
	if n.saved != 0 {
		s.gone = append(s.gone, goneEntity{l.program.groups[groupIndex].number, n.key})
	}
	n.key, n.cells = entityKey{}, nil // a timer may still point to it
	if s.tracked {
		s.bury()
	}
}

// bury keeps entities that came and went between two cuts from taking memory until the next one: a flood brings millions.
func (s *saving) bury() {
	const few = 1024
	if s.dead++; s.dead < few || 2*s.dead < len(s.changed) {
		return
	}
	s.changed = slices.DeleteFunc(s.changed, func(n *entity) bool { return n.key == entityKey{} })
	s.dead = 0
}

// cut begins the lane's part of a checkpoint.
func (l *lane) cut(whole bool) (base bool) {
	s := &l.saving
	if base = whole || l.worthBase(); base {
		s.todo, s.todoes = l.entities(s.todo[:0]), nil
		clear(s.changed)
		s.changed, s.gone = s.changed[:0], nil
		s.baseBytes, s.deltaBytes = 0, 0
	} else {
		s.todo, s.changed = s.changed, s.todo[:0]
		s.todoes, s.gone = s.gone, nil
	}
	s.epoch++
	s.tracked, s.dead = true, 0
	s.active, s.base, s.err = true, base, nil
	s.chunk = append(s.chunk[:0], chunkVersion)
	s.chunk = binary.AppendUvarint(s.chunk, uint64(len(s.todoes)))
	for _, g := range s.todoes {
		s.chunk = binary.AppendUvarint(s.chunk, uint64(g.kind))
		s.chunk = binary.LittleEndian.AppendUint64(s.chunk, g.key.Hi)
		s.chunk = binary.LittleEndian.AppendUint64(s.chunk, g.key.Lo)
	}
	return base
}

// worthBase reports whether the lane as a whole is not much more than what would have to be written and kept otherwise.
func (l *lane) worthBase() bool {
	s := &l.saving
	used := 0
	for i := range l.tables {
		used += l.tables[i].used
	}
	return s.deltaBytes >= s.baseBytes || 4*len(s.changed) >= 3*used
}

// entities appends all entities of the lane.
func (l *lane) entities(all []*entity) []*entity {
	for i := range l.tables {
		all = append(all, l.tables[i].all()...)
	}
	return all
}

// skips is how many entities that need no encoding are passed over in the time that encoding one takes.
const skips = 16

// saveSome goes on with the entities that are still to be encoded and reports whether that were the last ones. The budget is in
// parts of an entity, of which encoding one takes skips; what it leaves of the budget is returned.
func (l *lane) saveSome(budget int) (left int, finished bool) {
	s := &l.saving
	for len(s.todo) > 0 && budget > 0 {
		last := len(s.todo) - 1
		e := s.todo[last]
		s.todo[last], s.todo = nil, s.todo[:last]
		budget--
		if e.saved != s.epoch && e.key != (entityKey{}) {
			l.save(e)
			budget -= skips - 1
		}
	}
	if len(s.todo) > 0 {
		return budget, false
	}
	if s.active {
		l.endChunk()
		s.active = false
	}
	return budget, true
}

// save encodes an entity as it is now.
func (l *lane) save(n *entity) {
	s := &l.saving
	n.saved = s.epoch
	b, err := n.appendBinary(s.chunk, l.program, &s.scratch)
	if err != nil {
		s.err = err
		return
	}
	if s.chunk = b; len(b) >= chunkBytes {
		l.endChunk()
	}
}

func (l *lane) endChunk() {
	s := &l.saving
	if len(s.chunk) > emptyChunk || len(s.todoes) > 0 {
		s.done = append(s.done, Chunk{Base: s.base, Data: slices.Clone(s.chunk)})
		s.count(s.base, len(s.chunk))
	}
	s.todoes = nil
	s.chunk = append(s.chunk[:0], chunkVersion, 0)
}

// count notes what the store holds of the lane.
func (s *saving) count(base bool, bytes int) {
	if base {
		s.baseBytes += bytes
	} else {
		s.deltaBytes += bytes
	}
}

// emptyChunk is the size of a chunk without entities.
const emptyChunk = 2

// Cut begins a checkpoint of everything as it is after the last [Engine.Advance]. The one before must be finished.
func (e *Engine) Cut() Cut {
	c := Cut{Positions: map[event.Partition]int64{}, Lanes: len(e.lanes)}
	for i, l := range e.lanes {
		if l.cut(e.rewrite) {
			c.Bases = append(c.Bases, i)
		}
	}
	e.rewrite = false
	for _, p := range e.partitions.list {
		c.Positions[p.id] = p.resume()
	}
	c.Meta = e.appendMeta(nil)
	return c
}

// Save encodes up to n entities, passing over those that need it no more, and returns the chunks that are complete, and whether
// the checkpoint that [Engine.Cut] has begun is. It works in the goroutine of its caller alone: to share a few milliseconds with
// others, it would have to wait its turn behind whatever reads and decodes.
func (e *Engine) Save(n int) (chunks []Chunk, finished bool, err error) {
	finished = true
	budget, done := n*skips, false
	for i, l := range e.lanes {
		budget, done = l.saveSome(budget)
		finished = finished && done
		for _, c := range l.saving.done {
			c.Lane = i
			chunks = append(chunks, c)
		}
		clear(l.saving.done)
		l.saving.done = l.saving.done[:0]
		if l.saving.err != nil {
			err = l.saving.err
		}
	}
	return chunks, finished, err
}

// saveAll encodes what a checkpoint under way still needs: what follows changes too much at once.
func (e *Engine) saveAll() {
	for _, l := range e.lanes {
		l.saveSome(math.MaxInt)
	}
}

const metaVersion = 1

// meta is what a checkpoint has beside entities.
type meta struct {
	Watermark  event.Time
	Seed       uint64
	ValueSeed  uint64
	Lanes      int
	LastSlot   slotID
	Kinds      []string
	Hands      []byte // see [lane.appendHands]
	Rules      map[slotID]metaRule
	Partitions []metaPartition
}

type metaRule struct {
	Fingerprint [16]byte
	remembered
}

// metaPartition is an input as of the offset from which it is read again.
type metaPartition struct {
	ID      event.Partition
	Resume  int64
	Applied []fence
	Max     event.Time
	Running bool
	Leaps   []event.Time
}

func (e *Engine) appendMeta(b []byte) []byte {
	p := e.program.Load()
	m := meta{Watermark: e.watermark, Seed: e.options.Seed, ValueSeed: e.options.ValueSeed, Lanes: len(e.lanes), LastSlot: e.ids.last, Kinds: e.kinds.names, Rules: map[slotID]metaRule{}}
	for _, w := range p.rules {
		m.Rules[w.slot] = metaRule{w.rule.Fingerprint, remembered{Rule: w.described, Kind: w.kind, Shadow: w.shadow}}
	}
	for _, in := range e.partitions.list {
		c := in.clockAtResume()
		m.Partitions = append(m.Partitions, metaPartition{ID: in.id, Resume: in.resume(), Applied: in.fencesAt(e.watermark), Max: c.max, Running: c.running, Leaps: c.leaps})
	}
	for _, l := range e.lanes {
		m.Hands = l.appendHands(m.Hands)
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("detector: encode meta: %v", err)) // it holds nothing that JSON does not know
	}
	return append(append(b, metaVersion), encoded...)
}

func readMeta(b []byte) (m meta, err error) {
	r := wire.Reader{Rest: b}
	r.Version("checkpoint", metaVersion)
	if r.Err != nil {
		return m, r.Err
	}
	if err := json.Unmarshal(r.Rest, &m); err != nil {
		return m, fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
	}
	return m, nil
}
