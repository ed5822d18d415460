package detector

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// simultaneous finds one entity active in more places at once than is right: continents, countries or networks.
//
// A place is active while it was seen within the window. An alternation is an event from another place than the event
// before it: one move between two places is a single alternation, two sessions in parallel make many. Both limits must be
// exceeded, the places (more than rules.Simultaneous.Limit) and the alternations (at least rules.Simultaneous.Alternations). An
// alternation to or from a discounted address counts a quarter.
type simultaneous struct {
	rule  *rules.Rule
	spec  *rules.Simultaneous
	field event.Field
	width event.Time
}

// Bounds on what one entity is remembered by: more places or alternations than this change nothing.
const (
	maxActivePlaces = 16
	maxAlternations = 64
)

func newSimultaneous(r *rules.Rule, spec *rules.Simultaneous) *simultaneous {
	return &simultaneous{r, spec, event.FieldOf(spec.Across), event.Time(r.Window.Milliseconds())}
}

func (d *simultaneous) newState() state { return &simultaneousState{d: d} }

func (d *simultaneous) describe(a *alert.Alert, _ state, f finding) {
	what := map[event.FieldKind]string{event.Continent: "continents", event.Country: "countries", event.ASN: "networks"}[d.spec.Across]
	a.Observed.Unit = what
	a.Observed.Window = shortDuration(d.rule.Window)
	use, ok := f.detail.(parallelUse)
	if !ok {
		return
	}
	a.Observed.Detail = map[string]any{"places": use.places, "alternations": use.alternations}
	a.Summary = fmt.Sprintf("%s was active in %s %s at once: %s, with %s in %s", a.Entity.ID, number(f.value), what,
		strings.Join(use.places, " and "), count(use.alternations, "alternation"), longDuration(d.rule.Window))
}

// parallelUse is what an alert tells beyond the number of places.
type parallelUse struct {
	places       []string
	alternations int
}

type simultaneousState struct {
	d            *simultaneous
	places       []activity
	alternations []alternation // in order of time
	last         string        // the place of the event before
	lastDiscount bool
}

type activity struct {
	place string
	at    event.Time // newest
}

type alternation struct {
	at     event.Time
	weight float32
}

func (s *simultaneousState) observe(o observation) finding {
	e := o.event
	place := s.d.field.Text(e)
	if place == "" {
		return finding{}
	}
	s.expire(o.now)
	s.move(place, e, discounted(&s.d.spec.Discount, e))
	f := finding{value: float64(len(s.places)), limit: float64(s.d.spec.Limit)}
	if len(s.places) <= s.d.spec.Limit {
		return f
	}
	weight := s.weight()
	f.suspicious = 2*weight >= float64(s.d.spec.Alternations)
	f.over = weight >= float64(s.d.spec.Alternations)
	if f.suspicious {
		f.detail = s.use()
	}
	return f
}

// move notes that the entity acts from place now. A late event joins its place but tells nothing about alternation.
func (s *simultaneousState) move(place string, e *event.Event, discount bool) {
	known := s.touch(place, e.Time)
	if !known && len(s.places) < maxActivePlaces {
		s.places = append(s.places, activity{strings.Clone(place), e.Time})
	}
	if s.last != "" && s.last != place {
		a := alternation{at: e.Time, weight: 1}
		if discount || s.lastDiscount {
			a.weight = discountedWeight
		}
		if len(s.alternations) == maxAlternations {
			copy(s.alternations, s.alternations[1:])
			s.alternations = s.alternations[:maxAlternations-1]
		}
		s.alternations = append(s.alternations, a)
	}
	if s.last != place {
		s.last = strings.Clone(place)
	}
	s.lastDiscount = discount
}

func (s *simultaneousState) touch(place string, at event.Time) bool {
	for i := range s.places {
		if s.places[i].place == place {
			s.places[i].at = max(s.places[i].at, at)
			return true
		}
	}
	return false
}

func (s *simultaneousState) expire(now event.Time) {
	kept := s.places[:0]
	for _, p := range s.places {
		if p.at > now-s.d.width {
			kept = append(kept, p)
		}
	}
	s.places = kept
	i := 0
	for i < len(s.alternations) && s.alternations[i].at <= now-s.d.width {
		i++
	}
	s.alternations = append(s.alternations[:0], s.alternations[i:]...)
	if len(s.places) == 0 {
		s.last = ""
	}
}

func (s *simultaneousState) weight() (w float64) {
	for _, a := range s.alternations {
		w += float64(a.weight)
	}
	return w
}

func (s *simultaneousState) use() parallelUse {
	u := parallelUse{alternations: len(s.alternations)}
	for _, p := range s.places {
		u.places = append(u.places, p.place)
	}
	sort.Strings(u.places)
	return u
}

func (s *simultaneousState) idle(now event.Time) bool {
	for _, p := range s.places {
		if p.at > now-s.d.width {
			return false
		}
	}
	return true
}

func (s *simultaneousState) size() int {
	return int(unsafe.Sizeof(*s)) + cap(s.places)*int(unsafe.Sizeof(activity{})) + cap(s.alternations)*int(unsafe.Sizeof(alternation{}))
}

const simultaneousVersion = 1

func (s *simultaneousState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, simultaneousVersion)
	b = wire.AppendString(b, s.last)
	b = wire.AppendBool(b, s.lastDiscount)
	b = binary.AppendUvarint(b, uint64(len(s.places)))
	for _, p := range s.places {
		b = wire.AppendString(b, p.place)
		b = binary.AppendVarint(b, int64(p.at))
	}
	b = binary.AppendUvarint(b, uint64(len(s.alternations)))
	for _, a := range s.alternations {
		b = binary.AppendVarint(b, int64(a.at))
		b = wire.AppendFloat(b, float64(a.weight))
	}
	return b, nil
}

func (d *simultaneous) decode(b []byte) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("simultaneous", simultaneousVersion)
	s := &simultaneousState{d: d, last: r.String(), lastDiscount: r.Bool()}
	for range r.Count(2) {
		s.places = append(s.places, activity{r.String(), event.Time(r.Varint())})
	}
	for range r.Count(9) {
		s.alternations = append(s.alternations, alternation{event.Time(r.Varint()), float32(r.Float())})
	}
	return s, r.Rest, r.Err
}
