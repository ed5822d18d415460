package detector

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strconv"
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
	width event.Time
}

// Bounds on what one entity is remembered by: more places or alternations than this change nothing.
const (
	maxActivePlaces = 16
	maxAlternations = 64
)

func newSimultaneous(r *rules.Rule, spec *rules.Simultaneous) *simultaneous {
	return &simultaneous{r, spec, event.Time(r.Window.Milliseconds())}
}

func (d *simultaneous) newState() state { return &simultaneousState{d: d} }

func (d *simultaneous) describe(a *alert.Alert, _ state, f finding) {
	what := d.unit()
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

func (d *simultaneous) unit() string { return plural(event.FieldOf(d.spec.Across)) }

func (d *simultaneous) explain(known state, now event.Time) explanation {
	s := known.(*simultaneousState)
	s.expire(now)
	places := []map[string]any{}
	for _, p := range s.places {
		places = append(places, map[string]any{"place": d.name(p.place), "last_seen": alert.Time(p.at)})
	}
	x := explanation{Detail: map[string]any{
		"value": len(s.places), "limit": d.spec.Limit, "unit": d.unit(), "window": shortDuration(d.rule.Window), "places": places,
		"alternations": len(s.alternations), "alternations_counted": s.weight(), "alternations_limit": d.spec.Alternations,
	}}
	in := inTheLast(d.rule.Window)
	limits := fmt.Sprintf("(limit %d, with %s)", d.spec.Limit, count(d.spec.Alternations, "alternation"))
	if len(s.places) == 0 {
		x.Summary = fmt.Sprintf("not active in any place %s %s", in, limits)
		return x
	}
	use := s.use()
	x.Summary = fmt.Sprintf("active in %s %s: %s, with %s %s", one(len(s.places), singular(event.FieldOf(d.spec.Across)), d.unit()), in,
		strings.Join(use.places, " and "), count(use.alternations, "alternation"), limits)
	return x
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
	last         placeCode     // the place of the event before; 0: none
	lastDiscount bool
	first        [2]activity
}

type activity struct {
	place placeCode
	at    event.Time // newest
}

// placeCode is a place in few bytes: the letters of a country or continent, or the number of a network.
type placeCode uint32

func (d *simultaneous) code(g *event.Geo) placeCode {
	switch {
	case g == nil:
		return 0
	case d.spec.Across == event.ASN:
		return placeCode(g.ASN)
	case d.spec.Across == event.Country:
		return letters(g.Country)
	}
	return letters(g.Continent)
}

func letters(s string) placeCode {
	if len(s) != 2 {
		return 0
	}
	return placeCode(s[0])<<8 | placeCode(s[1])
}

func (d *simultaneous) name(c placeCode) string {
	if d.spec.Across == event.ASN {
		return "AS" + strconv.Itoa(int(c))
	}
	return string([]byte{byte(c >> 8), byte(c)})
}

type alternation struct {
	at     event.Time
	weight float32
}

func (s *simultaneousState) observe(o observation) finding {
	e := o.event
	place := s.d.code(e.Geo)
	if place == 0 {
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
func (s *simultaneousState) move(place placeCode, e *event.Event, discount bool) {
	known := s.renew(place, e.Time)
	if !known && len(s.places) < maxActivePlaces {
		if s.places == nil {
			s.places = s.first[:0]
		}
		s.places = append(s.places, activity{place, e.Time})
	}
	if s.last != 0 && s.last != place {
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
	s.last, s.lastDiscount = place, discount
}

func (s *simultaneousState) renew(place placeCode, at event.Time) bool {
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
	s.alternations = slices.Delete(s.alternations, 0, i)
	if len(s.places) == 0 {
		s.last = 0
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
		u.places = append(u.places, s.d.name(p.place))
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

func (s *simultaneousState) touch() int {
	n := 0
	for i := range s.places {
		n += int(s.places[i].place)
	}
	return n
}

func (s *simultaneousState) size() int {
	n := int(unsafe.Sizeof(*s)) + room(len(s.alternations))*int(unsafe.Sizeof(alternation{}))
	if len(s.places) > len(s.first) {
		n += room(len(s.places)) * int(unsafe.Sizeof(activity{}))
	}
	return n
}

func (d *simultaneous) appendDetail(b []byte, detail any) []byte {
	u, ok := detail.(parallelUse)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	return binary.AppendUvarint(wire.AppendStrings(b, u.places), uint64(u.alternations))
}

func (d *simultaneous) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	return parallelUse{places: r.Strings(), alternations: int(r.Uvarint())}
}

const simultaneousVersion = 1

func (s *simultaneousState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, simultaneousVersion)
	b = binary.AppendUvarint(b, uint64(s.last))
	b = wire.AppendBool(b, s.lastDiscount)
	b = binary.AppendUvarint(b, uint64(len(s.places)))
	for _, p := range s.places {
		b = binary.AppendUvarint(b, uint64(p.place))
		b = binary.AppendVarint(b, int64(p.at))
	}
	b = binary.AppendUvarint(b, uint64(len(s.alternations)))
	for _, a := range s.alternations {
		b = binary.AppendVarint(b, int64(a.at))
		b = wire.AppendFloat(b, float64(a.weight))
	}
	return b, nil
}

func (d *simultaneous) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("simultaneous", simultaneousVersion)
	s := &simultaneousState{d: d, last: placeCode(r.Uvarint()), lastDiscount: r.Bool()}
	for range r.Count(2) {
		s.places = append(s.places, activity{placeCode(r.Uvarint()), event.Time(r.Varint())})
	}
	for range r.Count(9) {
		s.alternations = append(s.alternations, alternation{event.Time(r.Varint()), float32(r.Float())})
	}
	return s, r.Rest, r.Err
}
