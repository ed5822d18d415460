package detector

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// sequence finds known-bad sequences: [rules.Sequence] says what is one.
//
// A finding is over with the request that completes it, or when the time for an absent last step is over. All that came until
// then is used up: the next finding needs all its steps anew. While one waits for an absent last step, others are not found on
// their own: that step would end them all, and without it the one finding uses them up. Late events are left out.
//
// What is kept of each step is the latest time at which a chain of requests may have begun that has come to this step. A chain
// that began earlier never completes when that one does not, so that this finds every sequence (the latest-start form of
// matching an episode in a stream: Mannila, Toivonen and Verkamo 1997, Discovery of Frequent Episodes in Event Sequences).
// Of steps that take several requests there is one such time for each of them.
type sequence struct {
	rule   *rules.Rule
	spec   *rules.Sequence
	within event.Time
	taken  []int // the steps that are not absent, as indices of all
	places []int // of each step: where it stands in taken; of an absent one, which of them follows it
}

func newSequence(r *rules.Rule, spec *rules.Sequence) *sequence {
	d := &sequence{rule: r, spec: spec, within: event.Time(r.Window.Milliseconds())}
	for i, s := range spec.Steps {
		d.places = append(d.places, len(d.taken))
		if !s.Absent {
			d.taken = append(d.taken, i)
		}
	}
	return d
}

// starts implements [starter]: with strict order nothing but the first step begins a sequence, unless it must be absent.
func (d *sequence) starts(o observation) bool {
	return d.spec.AnyOrder || d.spec.Steps[0].Absent || d.spec.Step(o.event) == 0
}

func (d *sequence) newState() state {
	return &sequenceState{d: d, newest: noTime, avoided: noTime, waiting: chain{start: noTime}}
}

// times is how many requests the step at a place takes.
func (d *sequence) times(place int) int { return d.spec.Steps[d.taken[place]].Times }

// live reports whether a chain that began at start can still be completed at now.
func (d *sequence) live(start, now event.Time) bool { return now-start < d.within }

// passage is what an alert tells: the steps in the order in which they were taken, absent ones in their places.
type passage struct {
	start event.Time // of the first request
	steps []passed
}

type passed struct {
	name   string
	times  int        // 0: the step is absent
	at     event.Time // of the step's last request; [noTime] when that is not known any more
	absent bool
}

func (d *sequence) describe(a *alert.Alert, _ state, f finding) {
	a.Observed.Unit = "sequence"
	a.Observed.Window = shortDuration(d.rule.Window)
	p, ok := f.detail.(passage)
	if !ok {
		return
	}
	order := "strict"
	if d.spec.AnyOrder {
		order = "any"
	}
	a.Observed.Detail = map[string]any{"started": alert.Time(p.start), "order": order, "steps": p.detail()}
	a.Summary = a.Entity.ID + " did " + p.summary(d.rule.Window)
}

func (p *passage) detail() []map[string]any {
	list := make([]map[string]any, len(p.steps))
	for i, s := range p.steps {
		step := map[string]any{"step": s.name}
		switch {
		case s.absent:
			step["absent"] = true
		case s.at != noTime:
			step["time"] = alert.Time(s.at)
		}
		if s.times > 1 {
			step["times"] = s.times
		}
		list[i] = step
	}
	return list
}

// summary writes: reset → no confirm → transfer within 4 minutes (known-bad sequence in at most 10 minutes).
func (p *passage) summary(window time.Duration) string {
	first := slices.IndexFunc(p.steps, func(s passed) bool { return !s.absent })
	last := len(p.steps) - 1
	for last > first && p.steps[last].absent {
		last--
	}
	if first < 0 {
		return ""
	}
	before, after := named(p.steps[:first]), named(p.steps[last+1:])
	var path []string
	requests := 0
	for _, s := range p.steps[first : last+1] {
		path = append(path, s.words())
		requests += s.times
	}
	text := strings.Join(path, " → ")
	if requests > 1 {
		text += " within " + longDuration(ms(p.steps[last].at-p.start))
	}
	if before != "" {
		text += fmt.Sprintf(" without %s in the %s before", before, strings.TrimPrefix(longDuration(window), "1 "))
	}
	if after != "" {
		text += fmt.Sprintf(", and then no %s for %s", after, longDuration(window))
	}
	if requests > 1 {
		text += fmt.Sprintf(" (known-bad sequence in at most %s)", longDuration(window))
	}
	return text
}

func named(steps []passed) string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return strings.Join(names, " or ")
}

func (s passed) words() string {
	switch {
	case s.absent:
		return "no " + s.name
	case s.times > 1:
		return fmt.Sprintf("%s ×%d", s.name, s.times)
	}
	return s.name
}

// passage tells what a complete chain is about.
func (d *sequence) passage(c *chain) passage {
	p := passage{start: c.start}
	for i, s := range d.spec.Steps {
		step := passed{name: s.Name, absent: s.Absent}
		if !s.Absent {
			step.at, step.times = c.at[d.places[i]], s.Times
		}
		p.steps = append(p.steps, step)
	}
	if d.spec.AnyOrder {
		slices.SortStableFunc(p.steps, func(a, b passed) int { return cmp.Compare(a.at, b.at) })
	}
	return p
}

// finding takes the evidence of a complete chain apart. Its last piece is left out when it is the event that led to the finding,
// and not the time that has passed.
func (d *sequence) finding(c *chain, waited bool) finding {
	f := finding{value: 1, over: true, suspicious: true, detail: d.passage(c)}
	r := wire.Reader{Rest: c.proofs}
	for range d.taken {
		if known := r.Bool(); known {
			f.path = append(f.path, readProof(&r))
		}
	}
	if r.Err != nil {
		f.path = nil // of a state that was not read back as it was written
	}
	if !waited && len(f.path) > 0 {
		f.path = f.path[:len(f.path)-1]
	}
	return f
}

func (d *sequence) explain(known state, now event.Time) explanation {
	s := known.(*sequenceState)
	steps := []map[string]any{}
	var done []string
	for place, i := range d.taken {
		n, step := s.seen(place, now), d.spec.Steps[i]
		steps = append(steps, map[string]any{"step": step.Name, "seen": n, "times": step.Times})
		switch {
		case n == 0:
		case n < step.Times:
			done = append(done, fmt.Sprintf("%s (%d of %d)", step.Name, n, step.Times))
		default:
			done = append(done, step.Name)
		}
	}
	x := explanation{Detail: map[string]any{"window": shortDuration(d.rule.Window), "steps": steps}}
	x.Summary = "no sequence under way"
	if len(done) > 0 {
		x.Summary = fmt.Sprintf("done of the sequence %s: %s", inTheLast(d.rule.Window), strings.Join(done, ", "))
	}
	if d.live(s.avoided, now) {
		x.Detail["avoided"] = alert.Time(s.avoided)
		x.Summary += fmt.Sprintf("; none can begin yet, because of %s at %s", named(d.absent(0)), at(s.avoided))
	}
	if s.waiting.start != noTime {
		x.Detail["due"] = alert.Time(s.due)
		x.Summary += fmt.Sprintf("; an alert follows unless there is %s before %s", named(d.absent(len(d.taken))), at(s.due))
	}
	return x
}

// absent lists the absent steps at a place.
func (d *sequence) absent(place int) (list []passed) {
	for i, s := range d.spec.Steps {
		if s.Absent && d.places[i] == place {
			list = append(list, passed{name: s.Name, absent: true})
		}
	}
	return list
}

func (d *sequence) appendDetail(b []byte, detail any) []byte {
	p, ok := detail.(passage)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = binary.AppendVarint(b, int64(p.start))
	b = binary.AppendUvarint(b, uint64(len(p.steps)))
	for _, s := range p.steps {
		b = wire.AppendString(b, s.name)
		b = binary.AppendUvarint(b, uint64(s.times))
		b = binary.AppendVarint(b, int64(s.at))
		b = wire.AppendBool(b, s.absent)
	}
	return b
}

func (d *sequence) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	p := passage{start: event.Time(r.Varint())}
	for range r.Count(4) {
		p.steps = append(p.steps, passed{name: r.String(), times: int(r.Uvarint()), at: event.Time(r.Varint()), absent: r.Bool()})
	}
	return p
}
