package detector

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// newValue finds the first uses of a value by an entity that has used others for some time: a country, a network, an
// endpoint, a user agent, a scope.
//
// Nothing is new before the entity has the minimum of events and of days with activity. After that a value is new until it
// was seen on as many different days as the learning takes, and each of them is a finding: see [habit]. Of user agents the
// family counts, so that a new version is not new. Of scopes each counts by itself. An event without the value is never a
// finding.
//
// At most Max values of an entity are remembered. An entity that had more than that while it was learned has no habit to judge
// by, and is never a finding. What comes later cannot switch that on, nor push out what is usual while others can go.
// An entity that does not come again is forgotten after 90 days, or sooner while it is new.
type newValue struct {
	rule *rules.Rule
	spec *rules.NewValue
}

func newNewValue(r *rules.Rule, spec *rules.NewValue) *newValue {
	return &newValue{rule: r, spec: spec}
}

func (d *newValue) newState() state { return &newValueState{d: d} }

func (d *newValue) describe(a *alert.Alert, s state, f finding) {
	v, ok := f.detail.(novelty)
	if !ok {
		return
	}
	field := d.spec.Value.String()
	a.Observed.Unit = "requests with a new " + singular(d.spec.Value)
	a.Observed.Detail = map[string]any{"new_" + field: v.value, "usual": v.usual, "usual_values": v.values, "days_of_history": v.days}
	a.Summary = fmt.Sprintf("%s used the %s %s, which is new to it; %s %s before", a.Entity.ID, singular(d.spec.Value), v.value, v.before(), one(v.days, "day", "days"))
}

// before says what was usual until then, up to three values.
func (v novelty) before() string {
	switch n := v.values; {
	case n == 0:
		return "none was usual in the"
	case n > 3:
		return fmt.Sprintf("%s and %s were usual in the", strings.Join(v.usual[:3], ", "), one(n-3, "other", "others"))
	case n > 1:
		return strings.Join(v.usual, ", ") + " were usual in the"
	}
	return v.usual[0] + " was usual in the"
}

func (d *newValue) explain(known state, _ event.Time) explanation {
	s := known.(*newValueState)
	enough := s.known.enough(d.spec.Learn)
	usual := s.usual()
	x := explanation{Detail: map[string]any{
		"value": d.spec.Value.String(), "usual": usual, "days_of_history": int(s.known.days), "events_of_history": s.known.events,
		"min_days": d.spec.Learn.MinDays, "min_events": d.spec.Learn.MinEvents, "enough_history": enough, "too_many_values": s.crowded,
	}}
	if s.newest != 0 {
		x.Detail["newest"] = alert.Time(s.newest)
	}
	what := "no usual " + plural(d.spec.Value) + " yet"
	switch {
	case s.crowded:
		what = fmt.Sprintf("more than %s: no habit to judge by", one(d.spec.Max, singular(d.spec.Value), plural(d.spec.Value)))
	case len(usual) > 0:
		what = "usual " + plural(d.spec.Value) + " " + strings.Join(usual, ", ")
	}
	x.Summary = what + "; " + s.known.explain(d.spec.Learn)
	return x
}

// novelty is what an alert tells about the new value.
type novelty struct {
	value  string
	usual  []string // the first of them, sorted
	values int      // that are usual
	days   int      // with activity before this one
}

// maxUsual is how many of the usual values an alert names.
const maxUsual = 10

type newValueState struct {
	d       *newValue
	known   history
	values  habit
	names   []string // of the values, shortened
	crowded bool     // had too many values while it was learned
	newest  event.Time
}

func (s *newValueState) observe(o observation) finding {
	day := dayOf(o.event.Time)
	experienced := s.known.enough(s.d.spec.Learn) && day > 0
	fresh, seen := s.look(o.event, day, experienced)
	f := finding{value: 1}
	if !seen {
		return f
	}
	before := int(s.known.days) - int(b2u(s.known.lastDay == day))
	s.known.see(day)
	s.newest = max(s.newest, o.event.Time)
	if fresh == "" || !experienced || s.crowded {
		return f
	}
	f.over, f.suspicious = true, true
	usual := slices.DeleteFunc(s.usual(), func(name string) bool { return name == fresh }) // it may have become so just now
	f.detail = novelty{value: fresh, usual: usual[:min(len(usual), maxUsual)], values: len(usual), days: before}
	return f
}

// look notes the event's values and returns the first that was not usual, and whether there was any value.
func (s *newValueState) look(e *event.Event, day uint16, experienced bool) (fresh string, seen bool) {
	switch s.d.spec.Value.Kind() {
	case event.Scopes:
		for _, scope := range e.Scopes {
			if name := s.see(scope, day, experienced); fresh == "" {
				fresh = name
			}
		}
		return fresh, len(e.Scopes) > 0
	case event.UserAgent:
		var room [2 * maxName]byte
		family := unsafeString(event.AppendUserAgentFamily(room[:0], e.UserAgent))
		return s.see(family, day, experienced), family != ""
	}
	value := placeOf(s.d.spec.Value, e)
	return s.see(value, day, experienced), value != ""
}

// see notes a value and returns what to call it if it was not usual, "" if it was.
func (s *newValueState) see(text string, day uint16, experienced bool) (fresh string) {
	if text == "" {
		return ""
	}
	hash := uint32(xxh3.HashString(text))
	full := len(s.values.values) == s.d.spec.Max
	at, added, usual := s.values.see(hash, day, !experienced, s.d.spec.Learn, s.d.spec.Max)
	if added {
		s.crowded = s.crowded || full && !experienced
		s.name(at, text)
	}
	if usual || !experienced {
		return ""
	}
	return shortName(text)
}

// name keeps what the value at a place is called.
func (s *newValueState) name(at int, text string) {
	if at == len(s.names) {
		s.names = append(s.names, "")
	}
	s.names[at] = shortName(text)
}

// usual lists the values that are usual, sorted.
func (s *newValueState) usual() []string {
	list := []string{}
	for i, v := range s.values.values {
		if v.usual {
			list = append(list, s.names[i])
		}
	}
	slices.Sort(list)
	return list
}

func (s *newValueState) touch() int {
	return int(s.known.days) + s.values.touch()
}

func (s *newValueState) idle(now event.Time) bool {
	return now-s.newest > s.known.rememberedFor(s.d.spec.Learn)
}

func (s *newValueState) size() int {
	n := int(unsafe.Sizeof(*s)) + s.values.size() + room(len(s.names))*int(unsafe.Sizeof(""))
	for _, name := range s.names {
		n += len(name)
	}
	return n
}

func (d *newValue) appendDetail(b []byte, detail any) []byte {
	v, ok := detail.(novelty)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = wire.AppendString(b, v.value)
	b = binary.AppendUvarint(b, uint64(v.days))
	b = binary.AppendUvarint(b, uint64(v.values))
	b = binary.AppendUvarint(b, uint64(len(v.usual)))
	for _, name := range v.usual {
		b = wire.AppendString(b, name)
	}
	return b
}

func (d *newValue) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	v := novelty{value: r.String(), days: int(r.Uvarint()), values: int(r.Uvarint()), usual: []string{}}
	for range r.Count(1) {
		v.usual = append(v.usual, r.String())
	}
	return v
}

const newValueVersion = 1

func (s *newValueState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, newValueVersion)
	b = s.known.appendBinary(b)
	b = binary.AppendVarint(b, int64(s.newest))
	b = wire.AppendBool(b, s.crowded)
	b = s.values.appendBinary(b)
	for _, name := range s.names {
		b = wire.AppendString(b, name)
	}
	return b, nil
}

func (d *newValue) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("new_value", newValueVersion)
	s := &newValueState{d: d}
	s.known.read(&r)
	s.newest = event.Time(r.Varint())
	s.crowded = r.Bool()
	s.values.read(&r)
	for range s.values.values {
		s.names = append(s.names, r.String())
	}
	return s, r.Rest, r.Err
}
