package detector

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// offHours finds access outside the declared hours or outside the hours that are usual for the entity, if the rule says
// so only from a country or network that is new to the entity as well.
//
// Hours are learned as hours of the day in the rule's time zone; the hours next to a usual one are usual too. Nothing is
// unusual before the entity has the minimum of events and of days with activity. How values become usual, and why an
// intruder cannot make his own so, stands at [habit]. An event without a place is never from a new one. An entity that does
// not come again is forgotten after 90 days, or sooner while it is new, see [history.rememberedFor].
type offHours struct {
	rule  *rules.Rule
	spec  *rules.OffHours
	place event.Field
}

func newOffHours(r *rules.Rule, spec *rules.OffHours) *offHours {
	d := &offHours{rule: r, spec: spec}
	if spec.NewPlace != event.NoField {
		d.place = event.FieldOf(spec.NewPlace)
	}
	return d
}

func (d *offHours) newState() state { return &offHoursState{d: d} }

func (d *offHours) describe(a *alert.Alert, known state, f finding) {
	v, ok := f.detail.(visit)
	if !ok {
		return
	}
	local := v.at.Std().In(d.location())
	a.Observed.Unit = "requests off hours"
	a.Observed.Detail = map[string]any{"local_time": local.Format("2006-01-02T15:04:05Z07:00"), "time_zone": d.location().String()}
	why := "outside the declared hours, "
	if d.spec.Declared == nil {
		why = "outside its " + known.(*offHoursState).explainHours(a.Observed.Detail)
		a.Observed.Detail["days_of_history"] = v.days
	} else {
		why += d.spec.Declared.String()
	}
	from := ""
	if v.place != "" {
		from = fmt.Sprintf(" from %s, where it was never seen before,", v.place)
		if v.place == hiddenPlace {
			from = " through a " + hiddenPlace + ", which it never used before,"
		}
		a.Observed.Detail["new_"+d.place.String()] = v.place
	}
	a.Summary = fmt.Sprintf("%s called the API at %s%s %s", a.Entity.ID, local.Format("Mon 15:04 MST"), from, why)
}

func (d *offHours) explain(known state, _ event.Time) explanation {
	s := known.(*offHoursState)
	enough := s.known.enough(d.spec.Learn)
	x := explanation{Detail: map[string]any{
		"declared": d.spec.Declared != nil, "time_zone": d.location().String(), "days_of_history": int(s.known.days),
		"events_of_history": s.known.events, "min_days": d.spec.Learn.MinDays, "min_events": d.spec.Learn.MinEvents, "enough_history": enough,
	}}
	var parts []string
	if d.spec.Declared == nil {
		parts = append(parts, s.explainHours(x.Detail))
	} else {
		parts = append(parts, "hours are declared, not learned")
	}
	if d.place != (event.Field{}) {
		parts = append(parts, s.explainPlaces(x.Detail))
	}
	if s.newest != 0 {
		x.Detail["newest"] = alert.Time(s.newest)
	}
	if d.spec.Declared == nil || d.place != (event.Field{}) {
		parts = append(parts, s.known.explain(d.spec.Learn))
	}
	x.Summary = strings.Join(parts, "; ")
	return x
}

// explainHours names the hours in which the entity comes. The hours next to them are not unusual either.
func (s *offHoursState) explainHours(detail map[string]any) string {
	var usual [24]bool
	hours := []map[string]any{}
	values := slices.Clone(s.hours.values)
	slices.SortFunc(values, func(a, b habitValue) int { return cmp.Compare(a.value, b.value) })
	for _, v := range values {
		usual[v.value%24] = v.usual
		hours = append(hours, map[string]any{"hour": v.value, "days": v.days, "usual": v.usual})
	}
	detail["hours"] = hours
	ranges := hourRanges(usual)
	if ranges == "" {
		return "no usual hours yet"
	}
	return fmt.Sprintf("usual hours %s (%s)", ranges, s.d.location())
}

// explainPlaces names the places that are usual. Only hashes of them are kept, so that those of more than two letters have
// no name.
func (s *offHoursState) explainPlaces(detail map[string]any) string {
	places, usual := []map[string]any{}, []string{}
	unnamed := 0
	for _, v := range s.places.values {
		name := placeOfHash(v.value)
		places = append(places, map[string]any{s.d.place.String(): name, "days": v.days, "usual": v.usual})
		switch {
		case !v.usual:
		case name == "":
			unnamed++
		default:
			usual = append(usual, name)
		}
	}
	slices.SortFunc(places, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a[s.d.place.String()]), fmt.Sprint(b[s.d.place.String()]))
	})
	slices.Sort(usual)
	detail["places"] = places
	what := "usual " + plural(s.d.place)
	switch {
	case len(usual)+unnamed == 0:
		return "no " + what + " yet"
	case unnamed > 0:
		return fmt.Sprintf("%d %s", len(usual)+unnamed, what)
	}
	return what + " " + strings.Join(usual, ", ")
}

// placeOfHash finds the two letters of a country by trying all; see also [hiddenPlace].
func placeOfHash(hash uint32) string {
	if hash == uint32(xxh3.HashString(hiddenPlace)) {
		return hiddenPlace
	}
	var name [2]byte
	for name[0] = 'A'; name[0] <= 'Z'; name[0]++ {
		for name[1] = 'A'; name[1] <= 'Z'; name[1]++ {
			if uint32(xxh3.Hash(name[:])) == hash {
				return string(name[:])
			}
		}
	}
	return ""
}

func (d *offHours) location() *time.Location {
	if d.spec.Location == nil {
		return time.UTC
	}
	return d.spec.Location
}

// visit is what an alert tells about the event.
type visit struct {
	at    event.Time
	place string // "" when the place does not matter
	days  int
}

type offHoursState struct {
	d      *offHours
	known  history
	hours  habit // not used when hours are declared
	places habit // not used when places do not matter
	newest event.Time
}

func (s *offHoursState) observe(o observation) finding {
	d, e := s.d, o.event
	day := dayOf(e.Time)
	experienced := s.known.enough(d.spec.Learn) && day > 0
	s.known.see(day)
	s.newest = max(s.newest, e.Time)
	off := s.offHours(e.Time, day, experienced)
	place, fresh := s.newPlace(e, day, experienced)
	f := finding{value: 1, limit: 0}
	if !off || d.place != (event.Field{}) && !fresh {
		return f
	}
	f.over, f.suspicious = true, true
	f.detail = visit{at: e.Time, place: strings.Clone(place), days: int(s.known.days)}
	return f
}

// offHours reports whether t is unusual, and learns it.
func (s *offHoursState) offHours(t event.Time, day uint16, experienced bool) bool {
	local := t.Std().In(s.d.location())
	if s.d.spec.Declared != nil {
		return !s.d.spec.Declared.Contains(local)
	}
	hour := uint32(local.Hour())
	usual := s.hours.usual(hour) || s.hours.usual((hour+1)%24) || s.hours.usual((hour+23)%24)
	s.hours.see(hour, day, !experienced, s.d.spec.Learn, maxHabitValues)
	return experienced && !usual
}

// newPlace returns the event's place and whether it is new to the entity, and learns it.
func (s *offHoursState) newPlace(e *event.Event, day uint16, experienced bool) (place string, fresh bool) {
	if s.d.place == (event.Field{}) {
		return "", false
	}
	place = placeOf(s.d.place, e)
	if place == "" {
		return "", false
	}
	_, _, usual := s.places.see(uint32(xxh3.HashString(place)), day, !experienced, s.d.spec.Learn, maxHabitValues)
	return place, experienced && !usual
}

func (s *offHoursState) touch() int {
	return int(s.known.days) + s.hours.touch()
}

func (s *offHoursState) idle(now event.Time) bool {
	if s.d.spec.Declared != nil && s.d.place == (event.Field{}) {
		return true
	}
	return now-s.newest > s.known.rememberedFor(s.d.spec.Learn)
}

func (s *offHoursState) size() int {
	return int(unsafe.Sizeof(*s)) + s.hours.size() + s.places.size()
}

func (d *offHours) appendDetail(b []byte, detail any) []byte {
	v, ok := detail.(visit)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = binary.AppendVarint(b, int64(v.at))
	b = wire.AppendString(b, v.place)
	return binary.AppendUvarint(b, uint64(v.days))
}

func (d *offHours) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	return visit{at: event.Time(r.Varint()), place: r.String(), days: int(r.Uvarint())}
}

const offHoursVersion = 1

func (s *offHoursState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, offHoursVersion)
	b = s.known.appendBinary(b)
	b = binary.AppendVarint(b, int64(s.newest))
	b = s.hours.appendBinary(b)
	return s.places.appendBinary(b), nil
}

func (d *offHours) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("off_hours", offHoursVersion)
	s := &offHoursState{d: d}
	s.known.read(&r)
	s.newest = event.Time(r.Varint())
	s.hours.read(&r)
	s.places.read(&r)
	return s, r.Rest, r.Err
}
