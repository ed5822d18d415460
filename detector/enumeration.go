package detector

import (
	"cmp"
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// enumeration finds an entity that goes through the ids of objects, by any of three judgements within a sliding window; the one that
// exceeds its limit most is told.
//
// New objects: those that are answered (2xx or 304) and that the entity has touched on no earlier day, see [window.Touched]. Each
// counts once, when it is touched for the first time. A synchronising client knows what it reads each day, so its many objects
// are not new. While a smaller share than NewShare of its answered objects is new, up to four times the limit are excused: new
// orders turn up among old ones. More are not, so mixing known objects in hides little. An entity without enough history, to which
// everything is new, is judged by the limit for newcomers.
//
// Denied objects: different ids that are answered 403, 404 or 410. 401 speaks of the caller, not of the object: an expired token
// makes every answer a 401. What the entity has touched on an earlier day was its own, and has perhaps been deleted: it is not
// counted.
//
// Ids in sequence, whatever the answer, see [window.Walks] and [sequenceNumber]. Ids that are known from an earlier day are passed over:
// they lead a walk on, and are not counted.
//
// A late event counts for new and denied objects as long as its window is still there. A sequence is an order, so late events are left
// out of it.
type enumeration struct {
	rule  *rules.Rule
	spec  *rules.Enumeration
	width int64
	found int // answered objects, denied ones and first touches that are counted exactly
	deny  int
	slots int
	walk  window.WalkWindow
	seed  uint64
}

func newEnumeration(r *rules.Rule, spec *rules.Enumeration, o Options) *enumeration {
	width := r.Window.Milliseconds()
	return &enumeration{
		rule: r, spec: spec, width: width, seed: o.ValueSeed,
		found: o.Limits.values(exactValues(spec.Newcomer)),
		deny:  o.Limits.values(exactValues(spec.Denied)),
		slots: o.Limits.values(exactInstants(spec.Newcomer)),
		walk:  window.WalkWindow{Width: width, Step: uint64(spec.Step), Slots: o.Limits.values(exactInstants(spec.Sequential))},
	}
}

// exactInstants is how many instants are counted exactly: up to above the limit, unless that is large.
func exactInstants(limit int) int {
	if limit+limit/4 > mostSlots {
		return fewSlots
	}
	return max(fewSlots, limit+limit/4)
}

func (d *enumeration) newState() state { return &enumerationState{d: d} }

// excused is up to how many times the limit new objects are excused by known ones.
const excused = 4

// judgement is one of the things that an enumeration is judged by.
type judgement uint8

const (
	byNew judgement = iota
	byDenied
	bySequence
)

// answer is what a status says of the object that was asked for.
type answer uint8

const (
	neither answer = iota // it says nothing of the object
	answered
	denied
)

func answerOf(status int32) answer {
	switch {
	case status >= 200 && status < 300 || status == 304:
		return answered
	case status == 403 || status == 404 || status == 410:
		return denied
	}
	return neither
}

// enumerationState keeps what has never happened as nil: most entities are denied nothing.
type enumerationState struct {
	d       *enumeration
	known   history
	touched window.Touched
	found   *window.Distinct        // answered objects
	fresh   *window.Counter[uint32] // first touches
	denied  *window.Distinct
	walks   window.Walks
	newest  event.Time
	strange bool // the latest object of the sample was not known
}

func (s *enumerationState) observe(o observation) finding {
	if id := s.d.spec.Value(o.event); id != "" {
		s.note(&o, id)
	}
	return s.judge(o.now)
}

func (s *enumerationState) note(o *observation, id string) {
	d, at := s.d, int64(o.event.Time)
	s.newest = max(s.newest, o.event.Time)
	hash := xxh3.HashStringSeed(id, d.seed)
	result := answerOf(o.event.Status)
	known := d.spec.Found > 0 && s.recall(o.event.Time, hash, result)
	if result == denied && d.spec.Denied > 0 && !known {
		if s.denied == nil {
			s.denied = new(window.Distinct)
		}
		s.denied.Add(at, hash, d.width, d.deny)
	}
	if d.spec.Sequential == 0 || o.late() {
		return
	}
	if shape, number, ok := sequenceNumber(id); ok {
		s.walks.Add(at, shape, number, !known, d.walk)
	}
}

// recall reports whether the object was touched on an earlier day, and notes it when it is answered. Of an object that is not in the
// sample the latest one that was speaks.
func (s *enumerationState) recall(t event.Time, hash uint64, result answer) (known bool) {
	d, day := s.d, max(1, dayOf(t))
	s.known.see(day)
	var familiar window.Familiarity
	if result == answered {
		familiar = s.touched.Note(hash, day, d.spec.Remember)
		s.count(int64(t), hash, familiar)
	} else {
		familiar = s.touched.Look(hash, day)
	}
	if familiar != window.Unsampled {
		s.strange = familiar != window.Known
	}
	return !s.strange
}

// count counts an answered object.
func (s *enumerationState) count(at int64, hash uint64, familiar window.Familiarity) {
	d := s.d
	if s.found == nil {
		s.found = new(window.Distinct)
	}
	s.found.Add(at, hash, d.width, d.found)
	if familiar != window.New {
		return
	}
	if s.fresh == nil {
		s.fresh = new(window.Counter[uint32])
	}
	s.fresh.Add(at, s.touched.Weight(), d.width, d.slots)
}

// judge returns the judgement that exceeds its limit most, or comes closest to it.
func (s *enumerationState) judge(now event.Time) finding {
	var gravest finding
	var by judgement
	for j, judge := range [...]func(*enumerationState, event.Time) finding{
		byNew: (*enumerationState).judgeNew, byDenied: (*enumerationState).judgeDenied, bySequence: (*enumerationState).judgeSequence,
	} {
		f := judge(s, now)
		if f.over && !gravest.over || f.over == gravest.over && f.value*gravest.limit > gravest.value*f.limit || gravest.limit == 0 {
			gravest, by = f, judgement(j)
		}
	}
	gravest.growing = true
	switch {
	case gravest.over:
		gravest.detail = s.tally(now, by)
	case gravest.suspicious:
		gravest.detail = by // counting for a sentence that is seldom asked for would take too long
	}
	return gravest
}

func (s *enumerationState) judgeNew(now event.Time) finding {
	spec := s.d.spec
	f := finding{limit: float64(s.limit(now))}
	if s.fresh == nil {
		return f
	}
	f.value = float64(s.fresh.Total(int64(now), s.d.width))
	f.suspicious = 2*f.value >= f.limit
	if !f.suspicious {
		return f
	}
	chance := s.chance(f.value)
	f.err = s.fresh.Error(int64(now), s.d.width) + chance
	f.over = f.value*(1-2*chance) > f.limit
	if f.over && f.value <= excused*f.limit {
		all, _ := s.found.Count(int64(now), s.d.width)
		f.over = f.value >= spec.NewShare*float64(all)
	}
	return f
}

// limit is that for new objects.
func (s *enumerationState) limit(now event.Time) int {
	if s.newcomer(now) {
		return s.d.spec.Newcomer
	}
	return s.d.spec.Found
}

// newcomer reports whether the entity had too little history before today.
func (s *enumerationState) newcomer(now event.Time) bool {
	h := s.past(now)
	return !h.enough(s.d.spec.Learn)
}

// past is the entity's history, in which today is no day.
func (s *enumerationState) past(now event.Time) history {
	h := s.known
	if h.days > 0 && h.lastDay >= dayOf(now) {
		h.days--
	}
	return h
}

// chance is the relative standard error of a number of new objects that was estimated from a sample.
func (s *enumerationState) chance(n float64) float64 {
	return math.Sqrt(float64(s.touched.Weight()-1) / max(1, n))
}

func (s *enumerationState) judgeDenied(now event.Time) finding {
	f := finding{limit: float64(s.d.spec.Denied)}
	if s.denied == nil {
		return f
	}
	n, err := s.denied.Count(int64(now), s.d.width)
	return f.judged(n, err)
}

func (s *enumerationState) judgeSequence(now event.Time) finding {
	f := finding{limit: float64(s.d.spec.Sequential)}
	if s.d.spec.Sequential == 0 {
		return f
	}
	n, err := s.walks.Total(int64(now), s.d.width)
	return f.judged(n, err)
}

// judged compares a count with the limit.
func (f finding) judged(n int, err float64) finding {
	f.value, f.err = float64(n), err
	f.over, f.suspicious = f.value > f.limit, 2*f.value >= f.limit
	return f
}

func (s *enumerationState) touch() int {
	n := s.touched.Touch()
	if s.found != nil {
		n += s.found.Touch()
	}
	return n
}

func (s *enumerationState) idle(now event.Time) bool {
	if s.d.spec.Found > 0 {
		return now-s.newest > max(s.known.rememberedFor(s.d.spec.Learn), event.Time(s.d.width))
	}
	return int64(s.newest) <= int64(now)-s.d.width
}

func (s *enumerationState) size() int {
	n := int(unsafe.Sizeof(*s)) + s.touched.Size() + s.walks.Size()
	if s.found != nil {
		n += s.found.Size()
	}
	if s.fresh != nil {
		n += s.fresh.Size()
	}
	if s.denied != nil {
		n += s.denied.Size()
	}
	return n
}

const enumerationVersion = 1

func (s *enumerationState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, enumerationVersion)
	b = s.known.appendBinary(b)
	b = binary.AppendVarint(b, int64(s.newest))
	b = wire.AppendBool(b, s.strange)
	b = s.touched.AppendBinary(b)
	b = append(b, b2u(s.found != nil), b2u(s.fresh != nil), b2u(s.denied != nil))
	b, err := s.walks.AppendBinary(b)
	if s.found != nil && err == nil {
		b, err = s.found.AppendBinary(b)
	}
	if s.fresh != nil && err == nil {
		b, err = s.fresh.AppendBinary(b)
	}
	if s.denied != nil && err == nil {
		b, err = s.denied.AppendBinary(b)
	}
	return b, err
}

func (d *enumeration) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("enumeration", enumerationVersion)
	s := &enumerationState{d: d}
	s.known.read(&r)
	s.newest, s.strange = event.Time(r.Varint()), r.Bool()
	s.touched.Read(&r)
	found, fresh, denied := r.Bool(), r.Bool(), r.Bool()
	if fresh && !found { // what is fresh was found
		r.Err = cmp.Or(r.Err, wire.ErrCorrupt)
	}
	if r.Err != nil {
		return nil, nil, r.Err
	}
	rest, err := s.walks.DecodeBinary(r.Rest)
	if found && err == nil {
		s.found = new(window.Distinct)
		rest, err = s.found.DecodeBinary(rest)
	}
	if fresh && err == nil {
		s.fresh = new(window.Counter[uint32])
		rest, err = s.fresh.DecodeBinary(rest)
	}
	if denied && err == nil {
		s.denied = new(window.Distinct)
		rest, err = s.denied.DecodeBinary(rest)
	}
	return s, rest, err
}
