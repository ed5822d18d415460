package detector

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// travel finds two places of one entity between which nobody can travel in the time between.
//
// Whenever the entity changes its place, the new one is compared with its last few places within a day. The distance is the great circle between
// the two points less both accuracy radii; hops below the minimal distance, within one network (ASN) or one address never
// count. Hops to or from a discounted address (see [rules.Discount]) count a quarter. Places without coordinates are not
// places.
type travel struct {
	rule *rules.Rule
	spec *rules.Travel
}

// placeMemory is how long a place is remembered: no two points on earth are further apart than that at airliner speed.
const placeMemory = 24 * 3600 * 1000

func newTravel(r *rules.Rule, spec *rules.Travel) *travel { return &travel{r, spec} }

func (t *travel) newState() state { return &travelState{t: t} }

func (t *travel) describe(a *alert.Alert, _ state, f finding) {
	a.Observed.Unit = "km/h"
	hop, ok := f.detail.(hop)
	if !ok {
		return
	}
	a.Observed.Detail = map[string]any{
		"from": hop.from.describe(), "to": hop.to.describe(),
		"distance_km": math.Round(hop.km), "seconds": float64(hop.apart) / 1000,
	}
	a.Summary = fmt.Sprintf("%s was in %s and %s later in %s, %s km away: %s km/h (limit %s)", a.Entity.ID, hop.from.name(),
		longDuration(time.Duration(hop.apart)*time.Millisecond), hop.to.name(), number(math.Round(hop.km)),
		number(math.Round(f.value)), number(f.limit))
}

func (t *travel) explain(known state, now event.Time) explanation {
	s := known.(*travelState)
	places, names := []map[string]any{}, []string{}
	for _, p := range slices.Backward(s.places) {
		if now-p.at > placeMemory {
			continue
		}
		places = append(places, p.describe())
		names = append(names, fmt.Sprintf("%s at %s", p.name(), at(p.at)))
	}
	x := explanation{Detail: map[string]any{"places": places, "limit": t.spec.SpeedKMH, "unit": "km/h"}}
	switch len(names) {
	case 0:
		x.Summary = "in no known place within a day"
	case 1:
		x.Summary = "last in " + names[0]
	default:
		x.Summary = fmt.Sprintf("last in %s, before in %s", names[0], strings.Join(names[1:], ", "))
	}
	x.Summary += fmt.Sprintf(" (limit %s km/h)", number(t.spec.SpeedKMH))
	return x
}

// sighting is one place of an entity.
type sighting struct {
	geo        *event.Geo
	at         event.Time
	discounted bool
}

// same reports whether two sightings are of one place and network.
func (s sighting) same(o sighting) bool {
	return s.geo == o.geo || s.geo.Latitude == o.geo.Latitude && s.geo.Longitude == o.geo.Longitude && s.geo.ASN == o.geo.ASN
}

func (s sighting) name() string {
	if s.geo.City != "" {
		return s.geo.City + " (" + s.geo.Country + ")"
	}
	return s.geo.Country
}

func (s sighting) describe() map[string]any {
	return map[string]any{
		"time": s.at.String(), "city": s.geo.City, "country": s.geo.Country, "latitude": s.geo.Latitude,
		"longitude": s.geo.Longitude, "radius_km": s.geo.RadiusKM, "asn": s.geo.ASN, "network": s.geo.ASOrg,
		"anonymous": s.geo.Anonymous.String(),
	}
}

// hop is the way between two sightings.
type hop struct {
	from, to sighting
	km       float64
	apart    event.Time
}

type travelState struct {
	t      *travel
	places []sighting // the most recent last
	first  [2]sighting
	// weight adds up discounted hops until they count, at most an hour apart.
	weight float64
	lastAt event.Time
}

func (s *travelState) observe(o observation) finding {
	e := o.event
	if e.Geo == nil || !e.Geo.HasPlace {
		return finding{}
	}
	here := sighting{e.Geo, e.Time, discounted(&s.t.spec.Discount, e)}
	moved := len(s.places) > 0 && !s.places[len(s.places)-1].same(here)
	var worst hop
	var speed float64
	if moved {
		worst, speed = s.worst(here)
	}
	s.remember(here)
	f := finding{value: speed, limit: s.t.spec.SpeedKMH}
	if speed > s.t.spec.SpeedKMH {
		f.suspicious, f.over, f.detail = true, s.counts(worst), worst
	}
	return f
}

// worst returns the hop to here that needs the highest speed, in km/h.
func (s *travelState) worst(here sighting) (worst hop, speed float64) {
	for _, p := range s.places {
		h, ok := s.t.hop(p, here)
		if !ok {
			continue
		}
		// Within one second the speed would say more about clocks than about travel.
		if v := h.km / (float64(max(h.apart, 1000)) / 3_600_000); v > speed {
			worst, speed = h, v
		}
	}
	return worst, speed
}

func (t *travel) hop(a, b sighting) (hop, bool) {
	if a.at > b.at {
		a, b = b, a
	}
	if a.geo == b.geo || a.geo.ASN != 0 && a.geo.ASN == b.geo.ASN || b.at-a.at > placeMemory {
		return hop{}, false
	}
	km := greatCircle(a.geo, b.geo) - a.geo.RadiusKM - b.geo.RadiusKM
	if km < t.spec.MinDistance {
		return hop{}, false
	}
	return hop{a, b, km, b.at - a.at}, true
}

func (s *travelState) counts(h hop) bool {
	if !h.from.discounted && !h.to.discounted {
		return true
	}
	if h.to.at-s.lastAt > 3600_000 {
		s.weight = 0
	}
	s.weight += discountedWeight
	s.lastAt = max(s.lastAt, h.to.at)
	if s.weight < 1 {
		return false
	}
	s.weight = 0
	return true
}

// remember keeps the newest sighting of each place, the most recently visited places last.
func (s *travelState) remember(here sighting) {
	for i, p := range s.places {
		if p.same(here) {
			if here.at < p.at {
				return
			}
			copy(s.places[i:], s.places[i+1:])
			s.places[len(s.places)-1] = here
			return
		}
	}
	if len(s.places) >= s.t.spec.Places {
		copy(s.places, s.places[1:])
		s.places = s.places[:len(s.places)-1]
	}
	if s.places == nil {
		s.places = s.first[:0]
	}
	s.places = append(s.places, here)
}

func (s *travelState) touch() int {
	n := 0
	for i := range s.places {
		n += int(s.places[i].at)
	}
	return n
}

func (s *travelState) idle(now event.Time) bool {
	for _, p := range s.places {
		if now-p.at <= placeMemory {
			return false
		}
	}
	return true
}

func (s *travelState) size() int {
	if len(s.places) <= len(s.first) {
		return int(unsafe.Sizeof(*s))
	}
	return int(unsafe.Sizeof(*s)) + room(len(s.places))*int(unsafe.Sizeof(sighting{}))
}

// earthRadius is the mean radius in kilometres (IUGG).
const earthRadius = 6371.0088

// greatCircle returns the distance between two points in kilometres by the haversine formula.
func greatCircle(a, b *event.Geo) float64 {
	const degree = math.Pi / 180
	sinLat := math.Sin((b.Latitude - a.Latitude) * degree / 2)
	sinLon := math.Sin((b.Longitude - a.Longitude) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}

func (t *travel) appendDetail(b []byte, detail any) []byte {
	h, ok := detail.(hop)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = h.to.appendBinary(h.from.appendBinary(b))
	return binary.AppendVarint(wire.AppendFloat(b, h.km), int64(h.apart))
}

func (t *travel) readDetail(r *wire.Reader, known *interner) any {
	if !r.Bool() {
		return nil
	}
	return hop{from: readSighting(r, known), to: readSighting(r, known), km: r.Float(), apart: event.Time(r.Varint())}
}

func (s sighting) appendBinary(b []byte) []byte {
	b = binary.AppendVarint(b, int64(s.at))
	b = wire.AppendBool(b, s.discounted)
	return appendGeo(b, s.geo)
}

func readSighting(r *wire.Reader, known *interner) sighting {
	return sighting{at: event.Time(r.Varint()), discounted: r.Bool(), geo: known.geo(r)}
}

const travelVersion = 1

func (s *travelState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, travelVersion)
	b = wire.AppendFloat(b, s.weight)
	b = binary.AppendVarint(b, int64(s.lastAt))
	b = binary.AppendUvarint(b, uint64(len(s.places)))
	for _, p := range s.places {
		b = p.appendBinary(b)
	}
	return b, nil
}

func (t *travel) decode(b []byte, known *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("travel", travelVersion)
	s := &travelState{t: t, weight: r.Float(), lastAt: event.Time(r.Varint())}
	for range r.Count(8) {
		s.places = append(s.places, readSighting(&r, known))
	}
	return s, r.Rest, r.Err
}
