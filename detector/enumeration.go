package detector

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
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
	familiar := s.touched.Look(hash, day)
	if result == answered {
		familiar = s.touched.Note(hash, day, d.spec.Remember)
		s.count(int64(t), hash, familiar)
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
	if gravest.over {
		gravest.detail = s.tally(now, by)
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
	h := s.known
	if h.days > 0 && h.lastDay >= dayOf(now) {
		h.days--
	}
	return !h.enough(s.d.spec.Learn)
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
	if s.touched.Len() > 0 {
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

// tally is what an alert tells of an enumeration.
type tally struct {
	by                               judgement
	found, fresh, denied, inSequence int
	from, to                         uint64
	members                          int // of the walk that goes from there to there
	newcomer                         bool
}

func (s *enumerationState) tally(now event.Time, by judgement) tally {
	at, width := int64(now), s.d.width
	t := tally{by: by, newcomer: s.newcomer(now)}
	if s.found != nil {
		t.found, _ = s.found.Count(at, width)
	}
	if s.fresh != nil {
		t.fresh = int(s.fresh.Total(at, width))
	}
	if s.denied != nil {
		t.denied, _ = s.denied.Count(at, width)
	}
	t.inSequence, _ = s.walks.Total(at, width)
	t.from, t.to, t.members = s.walks.Longest(at, width)
	return t
}

func (d *enumeration) describe(a *alert.Alert, _ state, f finding) {
	t, ok := f.detail.(tally)
	if !ok {
		return
	}
	a.Observed.Window = shortDuration(d.rule.Window)
	a.Observed.Detail = d.detail(t)
	id, noun, in, limit := a.Entity.ID, d.noun(), longDuration(d.rule.Window), number(f.limit)
	switch t.by {
	case byNew:
		a.Observed.Unit = "new " + noun
		if t.newcomer {
			limit += " for newcomers"
		}
		verb := "used"
		if onlyReads(a.Evidence) {
			verb = "read"
		}
		a.Summary = fmt.Sprintf("%s %s %s %s that were new to it in %s (limit %s)", id, verb, approximate(f), noun, in, limit)
	case byDenied:
		a.Observed.Unit = "denied " + noun
		a.Summary = fmt.Sprintf("%s asked for %s different %s that it was denied in %s (limit %s)", id, approximate(f), noun, in, limit)
	case bySequence:
		a.Observed.Unit = noun + " in sequence"
		a.Summary = fmt.Sprintf("%s walked through %s ids of %s in sequence%s in %s (limit %s)", id, approximate(f), noun, t.span(), in, limit)
	}
	a.Summary += d.besides(t)
}

func (d *enumeration) noun() string {
	if d.spec.Noun != "" {
		return d.spec.Noun
	}
	return plural(d.spec.Count)
}

// span says where the walk goes that has the most ids.
func (t tally) span() string {
	switch {
	case t.members < 2:
		return ""
	case t.members < t.inSequence:
		return fmt.Sprintf(" (%d to %d and other rows)", t.from, t.to)
	}
	return fmt.Sprintf(" (%d to %d)", t.from, t.to)
}

// besides says what the summary has not said yet.
func (d *enumeration) besides(t tally) string {
	var parts []string
	if d.spec.Found > 0 {
		parts = append(parts, number(float64(t.found))+" answered")
		if t.by != byNew {
			parts = append(parts, number(float64(t.fresh))+" of them new to it")
		}
	}
	if d.spec.Denied > 0 && t.by != byDenied {
		parts = append(parts, number(float64(t.denied))+" denied")
	}
	if t.inSequence > 0 && t.by != bySequence {
		parts = append(parts, number(float64(t.inSequence))+" in sequence")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

func (d *enumeration) detail(t tally) map[string]any {
	detail := map[string]any{}
	if d.spec.Found > 0 {
		detail["found"], detail["new"], detail["known"] = t.found, t.fresh, max(0, t.found-t.fresh)
		detail["enough_history"] = !t.newcomer
	}
	if d.spec.Denied > 0 {
		detail["denied"] = t.denied
	}
	if d.spec.Sequential > 0 {
		detail["sequential"] = t.inSequence
		if t.members > 1 {
			detail["from"], detail["to"] = strconv.FormatUint(t.from, 10), strconv.FormatUint(t.to, 10)
		}
	}
	return detail
}

func (d *enumeration) explain(known state, now event.Time) explanation {
	s := known.(*enumerationState)
	t := s.tally(now, byNew)
	x := explanation{Detail: d.detail(t)}
	var parts []string
	say := func(n int, what string, limit int) {
		x.Detail["limit_"+strings.ReplaceAll(what, "in sequence", "sequential")] = limit
		parts = append(parts, fmt.Sprintf("%s %s (limit %s)", number(float64(n)), what, number(float64(limit))))
	}
	if d.spec.Found > 0 {
		say(t.fresh, "new", s.limit(now))
	}
	if d.spec.Denied > 0 {
		say(t.denied, "denied", d.spec.Denied)
	}
	if d.spec.Sequential > 0 {
		say(t.inSequence, "in sequence", d.spec.Sequential)
	}
	x.Detail["unit"], x.Detail["window"] = d.noun(), shortDuration(d.rule.Window)
	x.Summary = fmt.Sprintf("%s %s: %s", d.noun(), inTheLast(d.rule.Window), strings.Join(parts, ", "))
	if d.spec.Found > 0 {
		x.Detail["remembered"], x.Detail["sample"] = s.touched.Len(), s.touched.Weight()
		x.Detail["days_of_history"], x.Detail["events_of_history"] = int(s.known.days), s.known.events
		x.Summary += fmt.Sprintf("; %s remembered; %s", number(float64(s.touched.Len())), s.known.explain(d.spec.Learn))
	}
	x.Detail["newest"] = alert.Time(s.newest)
	return x
}

func (d *enumeration) appendDetail(b []byte, detail any) []byte {
	t, ok := detail.(tally)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = append(b, byte(t.by), b2u(t.newcomer))
	for _, n := range []int{t.found, t.fresh, t.denied, t.inSequence, t.members} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, t.from), t.to)
}

func (d *enumeration) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	t := tally{by: judgement(r.Byte()), newcomer: r.Bool()}
	for _, n := range []*int{&t.found, &t.fresh, &t.denied, &t.inSequence, &t.members} {
		*n = int(r.Uvarint())
	}
	t.from, t.to = r.Uvarint(), r.Uvarint()
	return t
}
