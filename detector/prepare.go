package detector

import (
	"slices"
	"sync/atomic"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// Preparer finds out which rules an event concerns and which entities it belongs to. That depends on nothing but the event
// and the rules, so each reading goroutine does it for its own events, with a Preparer of its own.
type Preparer struct {
	current *atomic.Pointer[program]
	program *program
	matcher *rules.Matcher
	buffer  []byte
}

// Prepared is a batch ready for [Engine.Push].
type Prepared struct {
	batch   *event.Batch
	program *program
	masks   []uint64    // program.words for each event: the rules that match
	keys    []entityKey // one for each event and group, zero when no rule of the group matches or the entity is unknown
	left    int         // events not yet applied
	kinds   []string    // that the copies may be meant for; nil: every event is meant for all
	meant   []uint64    // bit i of one for each event: for kinds[i]

	// Set by [Engine.Push]:
	from  int64 // offset of the first record that was not pushed before
	clock clock // of the partition before that
}

// NewPreparer returns a Preparer for one goroutine.
func (e *Engine) NewPreparer() *Preparer { return &Preparer{current: &e.program} }

// Prepare matches the events of a batch, which it takes over.
func (p *Preparer) Prepare(b *event.Batch) *Prepared { return p.PrepareCopies(b, nil, nil) }

// PrepareCopies is Prepare for copies of events that are meant for some kinds of entities only: bit i of meant, one for each
// event, stands for kinds[i]. Both must stay as they are until the batch is released.
func (p *Preparer) PrepareCopies(b *event.Batch, kinds []string, meant []uint64) *Prepared {
	if current := p.current.Load(); current != p.program {
		p.program, p.matcher = current, current.set.NewMatcher()
	}
	words, groups := p.program.words, len(p.program.groups)
	pr := &Prepared{batch: b, program: p.program, masks: make([]uint64, len(b.Events)*words), keys: make([]entityKey, len(b.Events)*groups), kinds: kinds, meant: meant}
	for i := range b.Events {
		p.match(&b.Events[i], pr.masks[i*words:(i+1)*words], pr.keys[i*groups:(i+1)*groups])
	}
	pr.leaveOut()
	return pr
}

// leaveOut takes the entities away that the copies are not meant for: their copies are elsewhere.
func (pr *Prepared) leaveOut() {
	if pr.kinds == nil {
		return
	}
	groups := len(pr.program.groups)
	for g, group := range pr.program.groups {
		bit := uint64(0)
		if i := slices.Index(pr.kinds, group.kind); i >= 0 {
			bit = 1 << i
		}
		for i, kinds := range pr.meant {
			if kinds&bit == 0 {
				pr.keys[i*groups+g] = entityKey{}
			}
		}
	}
}

func (p *Preparer) match(e *event.Event, mask []uint64, keys []entityKey) {
	copy(mask, p.matcher.Match(e))
	for g, group := range p.program.groups {
		if !group.concerned(mask) {
			continue
		}
		if name := group.name(e, &p.buffer); name != "" {
			keys[g] = group.key(name)
		}
	}
}
