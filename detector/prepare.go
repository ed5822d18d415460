package detector

import (
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

	// Set by [Engine.Push]:
	from  int64 // offset of the first record that was not pushed before
	clock clock // of the partition before that
}

// NewPreparer returns a Preparer for one goroutine.
func (e *Engine) NewPreparer() *Preparer { return &Preparer{current: &e.program} }

// Prepare matches the events of a batch, which it takes over.
func (p *Preparer) Prepare(b *event.Batch) *Prepared {
	if current := p.current.Load(); current != p.program {
		p.program, p.matcher = current, current.set.NewMatcher()
	}
	words, groups := p.program.words, len(p.program.groups)
	pr := &Prepared{batch: b, program: p.program, masks: make([]uint64, len(b.Events)*words), keys: make([]entityKey, len(b.Events)*groups)}
	for i := range b.Events {
		p.match(&b.Events[i], pr.masks[i*words:(i+1)*words], pr.keys[i*groups:(i+1)*groups])
	}
	return pr
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
