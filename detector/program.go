package detector

import (
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// program is a rule set as the engine runs it. It is immutable.
type program struct {
	set    *rules.Set
	rules  []*watch // as in the set
	groups []*group
	bySlot map[slotID]*watch
	words  int // of a mask over the rules
}

// watch is one rule with its detection.
type watch struct {
	rule       *rules.Rule
	index      int
	slot       slotID
	kind       string // of entity
	detection  detection
	closeAfter event.Time
	shadow     bool
	ordered    bool    // late events are left out: their order matters
	starter    starter // nil: every event makes a state
	addsUp     bool    // what other rules find, see [risk]
	evidence   string
	described  alert.Rule
}

// slots hands out slot ids. A rule keeps its slot as long as its fingerprint does not change.
type slots struct {
	ids  map[[16]byte]slotID
	last slotID
}

// numbers hands out numbers for kinds of entities. A kind keeps its number for ever: checkpoints use it.
type numbers struct {
	names []string
}

func (n *numbers) of(kind string) uint16 {
	if i := slices.Index(n.names, kind); i >= 0 {
		return uint16(i)
	}
	n.names = append(n.names, kind)
	return uint16(len(n.names) - 1)
}

func (s *slots) of(fingerprint [16]byte) slotID {
	id, ok := s.ids[fingerprint]
	if !ok {
		s.last++
		id = s.last
		s.ids[fingerprint] = id
	}
	return id
}

// compile makes the program of a set. Rules with a fingerprint that old has too keep their detection, so that the states
// that refer to it stay valid.
func compile(set *rules.Set, old *program, ids *slots, kinds *numbers, o Options) *program {
	p := &program{set: set, bySlot: map[slotID]*watch{}, words: (len(set.Rules) + 63) / 64}
	for i, r := range set.Rules {
		w := &watch{
			rule: r, index: i, slot: ids.of(r.Fingerprint), closeAfter: event.Time(r.CloseAfter.Milliseconds()),
			shadow: r.Mode == rules.Shadow, ordered: ordered(r.Detection), evidence: r.Evidence(),
			described: alert.Rule{ID: r.ID, Title: r.Title, Severity: r.Severity, Tags: slices.Clone(r.Tags), Advice: r.Advice},
		}
		if w.described.Tags == nil {
			w.described.Tags = []string{}
		}
		if before := old.slot(w.slot); before != nil {
			w.detection = before.detection
		} else {
			w.detection = newDetection(r, o)
		}
		w.starter, _ = w.detection.(starter)
		g := p.groupFor(r, kinds, o.Seed)
		w.kind = g.kind
		g.mask[i>>6] |= 1 << (i & 63)
		if _, w.addsUp = r.Detection.(*rules.Risk); w.addsUp {
			g.risks = append(g.risks, w)
		}
		g.rest = min(g.rest, max(event.Time(r.Window.Milliseconds()), minRest))
		p.rules = append(p.rules, w)
		p.bySlot[w.slot] = w
	}
	return p
}

func newDetection(r *rules.Rule, o Options) detection {
	switch d := r.Detection.(type) {
	case *rules.Distinct:
		return newDistinct(r, d, o)
	case *rules.Rate:
		return newRate(r, d, o)
	case *rules.Travel:
		return newTravel(r, d)
	case *rules.Simultaneous:
		return newSimultaneous(r, d)
	case *rules.OffHours:
		return newOffHours(r, d)
	case *rules.NewValue:
		return newNewValue(r, d)
	case *rules.Workflow:
		return newWorkflow(r, d)
	case *rules.Sequence:
		return newSequence(r, d)
	case *rules.Enumeration:
		return newEnumeration(r, d, o)
	case *rules.Inventory:
		return newInventory(r, d, o)
	case *rules.Contracted:
		return newContracted(r, d, o)
	case *rules.Risk:
		return newRisk(r, d)
	}
	panic("detector: rule " + r.ID + " has an unknown detection")
}

// ordered reports whether the detection means the order in which things happened.
func ordered(d rules.Detection) bool {
	switch d.(type) {
	case *rules.Workflow, *rules.Simultaneous, *rules.Sequence:
		return true
	}
	return false
}

func (p *program) groupFor(r *rules.Rule, kinds *numbers, seed uint64) *group {
	kind := r.EntityKind()
	if i := p.group(kind); i >= 0 {
		return p.groups[i]
	}
	g := &group{kind: kind, number: kinds.of(kind), fields: r.By, mask: make([]uint64, p.words), seed: kindSeed(kind, seed), rest: endOfTime}
	p.groups = append(p.groups, g)
	return g
}

func kindSeed(kind string, seed uint64) uint64 { return seed ^ xxh3.HashString(kind) }

// minRest is how long an entity is kept at least, in milliseconds: it costs more to make one than to keep it.
const minRest = 10_000

// group returns the index of the group of the given kind, -1 when there is none. A nil program has none.
func (p *program) group(kind string) int {
	if p == nil {
		return -1
	}
	return slices.IndexFunc(p.groups, func(g *group) bool { return g.kind == kind })
}

func (p *program) slot(s slotID) *watch {
	if p == nil {
		return nil
	}
	return p.bySlot[s]
}
