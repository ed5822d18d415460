package detector

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
	"github.com/gatewatch/gatewatch/rules"
)

// distinct finds more than a limit of different values of a field within a sliding window.
//
// The window at an event covers (time-window, time]. Empty values do not count. The count is exact up to eight times the
// limit, then an estimate with a stated error. A late event counts as long as its window is still there.
type distinct struct {
	noDetail
	rule  *rules.Rule
	spec  *rules.Distinct
	width int64
	bound int
	seed  uint64
}

func newDistinct(r *rules.Rule, d *rules.Distinct, o Options) *distinct {
	return &distinct{rule: r, spec: d, width: r.Window.Milliseconds(), bound: o.Limits.values(exactValues(d.Limit)), seed: o.ValueSeed}
}

// exactValues is how many values are remembered one by one: well above the limit, so that the alert that opens and the
// first escalations are exact.
func exactValues(limit int) int {
	if limit <= 4096 {
		return max(256, 8*limit)
	}
	return min(2*limit+24_576, window.MaxExact)
}

func (d *distinct) newState() state { return &distinctState{d: d} }

func (d *distinct) decode(b []byte, _ *interner) (state, []byte, error) {
	s := &distinctState{d: d}
	rest, err := s.values.DecodeBinary(b)
	if err == nil {
		rest, err = s.usual.read(rest)
	}
	return s, rest, err
}

func (d *distinct) describe(a *alert.Alert, known state, f finding) {
	s := known.(*distinctState)
	noun := d.noun()
	a.Observed.Unit = noun
	a.Observed.Window = shortDuration(d.rule.Window)
	verb := "used"
	if d.spec.Count.Kind() == event.PathParam && onlyReads(a.Evidence) {
		verb = "read"
	}
	a.Summary = fmt.Sprintf("%s %s %s different %s in %s (limit %s%s)", a.Entity.ID, verb, approximate(f), noun,
		longDuration(d.rule.Window), number(f.limit), s.usual.text(number))
	s.usual.baseline(a)
}

func (d *distinct) noun() string {
	if d.spec.Noun != "" {
		return d.spec.Noun
	}
	return plural(d.spec.Count)
}

func (d *distinct) explain(known state, now event.Time) explanation {
	s := known.(*distinctState)
	count, err := s.values.Count(int64(now), d.width)
	f := finding{value: float64(count), limit: float64(d.spec.Limit), err: err}
	x := explanation{Detail: windowDetail(f, d.noun(), d.rule.Window)}
	what := fmt.Sprintf("%s different %s %s", approximate(f), d.noun(), inTheLast(d.rule.Window))
	if count == 1 { // the noun is plural
		what = fmt.Sprintf("different %s %s: 1", d.noun(), inTheLast(d.rule.Window))
	}
	x.Summary = fmt.Sprintf("%s (limit %s%s)", what, number(f.limit), s.usual.text(number))
	x.span(s.values.Oldest(), s.values.Newest())
	return x
}

func onlyReads(evidence []alert.Evidence) bool {
	return !slices.ContainsFunc(evidence, func(e alert.Evidence) bool { return e.Method != "GET" && e.Method != "HEAD" })
}

type distinctState struct {
	d      *distinct
	values window.Distinct
	usual  usual
}

func (s *distinctState) observe(o observation) finding {
	d := s.d
	switch d.spec.Count.Kind() {
	case event.Scopes:
		for _, scope := range o.event.Scopes {
			s.values.Add(int64(o.event.Time), xxh3.HashStringSeed(scope, d.seed), d.width, d.bound)
		}
	case event.ASN: // whose text would be memory for every event
		if o.event.Geo != nil && o.event.Geo.ASN != 0 {
			var room [10]byte
			text := strconv.AppendUint(room[:0], uint64(o.event.Geo.ASN), 10)
			s.values.Add(int64(o.event.Time), xxh3.HashSeed(text, d.seed), d.width, d.bound)
		}
	default:
		if text := d.spec.Value(o.event); text != "" {
			s.values.Add(int64(o.event.Time), xxh3.HashStringSeed(text, d.seed), d.width, d.bound)
		}
	}
	count, err := s.values.Count(int64(o.now), d.width)
	limit := d.spec.Limit
	s.usual.see(float64(count), float64(limit), o.now, d.width)
	return finding{
		value: float64(count), limit: float64(limit), err: err, growing: true,
		over: count > limit, suspicious: 2*count >= limit && count > 1,
	}
}

func (s *distinctState) touch() int { return s.values.Touch() }

func (s *distinctState) idle(now event.Time) bool {
	return s.values.Newest() <= int64(now)-s.d.width
}

func (s *distinctState) size() int { return 8 + usualSize + s.values.Size() }

func (s *distinctState) appendBinary(b []byte) ([]byte, error) {
	b, err := s.values.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	return s.usual.appendBinary(b), nil
}
