package detector

import (
	"fmt"
	"math"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// rate finds more than a limit of requests, of a summed quantity, or a share of requests, within a sliding window.
//
// The window at an event covers (time-window, time]. Counts are exact up to above the limit (limits beyond 16,000 and sums:
// up to 256 instants), then kept in sub-windows of 1/64 of the window, with the error stated. A share is judged from
// rules.Rate.Min events on. A late event counts as long as its window is still there.
type rate struct {
	rule  *rules.Rule
	spec  *rules.Rate
	width int64
	slots int
}

const (
	fewSlots  = 256
	mostSlots = 20_000
)

func newRate(r *rules.Rule, spec *rules.Rate, o Options) *rate {
	slots := fewSlots
	if exact := spec.Limit + spec.Limit/4; spec.Sum == (event.Field{}) && spec.Share == nil && exact <= mostSlots {
		slots = max(fewSlots, int(exact))
	}
	return &rate{rule: r, spec: spec, width: r.Window.Milliseconds(), slots: o.Limits.values(slots)}
}

func (r *rate) newState() state {
	switch {
	case r.spec.Share != nil:
		return &shareState{r: r}
	case r.spec.Sum != event.Field{}:
		return &sumState{r: r}
	}
	return &countState{r: r}
}

func (r *rate) decode(b []byte, _ *interner) (state, []byte, error) {
	s := r.newState()
	var err error
	switch s := s.(type) {
	case *countState:
		if b, err = s.requests.DecodeBinary(b); err == nil {
			b, err = s.usual.read(b)
		}
	case *sumState:
		if b, err = s.sum.DecodeBinary(b); err == nil {
			b, err = s.usual.read(b)
		}
	case *shareState:
		if b, err = s.all.DecodeBinary(b); err == nil {
			b, err = s.matched.DecodeBinary(b)
		}
	}
	return s, b, err
}

// appendDetail writes how many requests a share is of.
func (r *rate) appendDetail(b []byte, detail any) []byte {
	requests, ok := detail.(float64)
	if b = wire.AppendBool(b, ok); ok {
		b = wire.AppendFloat(b, requests)
	}
	return b
}

func (r *rate) readDetail(from *wire.Reader, _ *interner) any {
	if !from.Bool() {
		return nil
	}
	return from.Float()
}

func (r *rate) describe(a *alert.Alert, known state, f finding) {
	a.Observed.Window = shortDuration(r.rule.Window)
	in := longDuration(r.rule.Window)
	switch s := known.(type) {
	case *shareState:
		a.Observed.Unit = "share"
		a.Observed.Detail = map[string]any{"requests": f.detail}
		requests, _ := f.detail.(float64)
		a.Summary = fmt.Sprintf("%.0f %% of the %s of %s in %s %s (limit %.0f %%)",
			100*f.value, countRequests(requests), a.Entity.ID, in, r.counting(), 100*f.limit)
	case *sumState:
		a.Observed.Unit = r.spec.Sum.String()
		a.Summary = r.sumSummary(a.Entity.ID, in, f, &s.usual)
		s.usual.baseline(a)
	case *countState:
		a.Observed.Unit = "requests"
		a.Summary = fmt.Sprintf("%s sent %s in %s (limit %s%s)", a.Entity.ID, requests(f), in, number(f.limit), s.usual.text(number))
		s.usual.baseline(a)
	}
}

// counting says in a clause which requests are in the share.
func (r *rate) counting() string {
	what := r.spec.Share.String()
	if statuses, ok := strings.CutPrefix(what, "status: "); ok && !strings.Contains(statuses, ": ") {
		return "have the status " + statuses
	}
	return "match " + clip(what)
}

// requests writes a count of requests, with its error when it has one.
func requests(f finding) string {
	if f.err != 0 {
		return approximate(f) + " requests"
	}
	return countRequests(f.value)
}

func countRequests(requests float64) string { return one(int(requests), "request", "requests") }

func (r *rate) sumSummary(entity, in string, f finding, u *usual) string {
	switch r.spec.Sum.Kind() {
	case event.ResponseBytes:
		return fmt.Sprintf("%s received %s in %s (limit %s%s)", entity, byteSize(f.value), in, byteSize(f.limit), u.text(byteSize))
	case event.RequestBytes:
		return fmt.Sprintf("%s sent %s in %s (limit %s%s)", entity, byteSize(f.value), in, byteSize(f.limit), u.text(byteSize))
	}
	return fmt.Sprintf("%s kept the gateway busy for %s ms in %s (limit %s ms%s)", entity, number(f.value), in, number(f.limit), u.text(number))
}

func (r *rate) explain(known state, now event.Time) explanation {
	switch s := known.(type) {
	case *shareState:
		return s.explain(now)
	case *sumState:
		return s.explain(now)
	}
	s := known.(*countState)
	f := finding{value: float64(s.requests.Total(int64(now), r.width)), limit: r.spec.Limit, err: s.requests.Error(int64(now), r.width)}
	x := explanation{Detail: windowDetail(f, "requests", r.rule.Window)}
	x.Summary = fmt.Sprintf("%s %s (limit %s%s)", requests(f), inTheLast(r.rule.Window), number(f.limit), s.usual.text(number))
	x.span(s.requests.Oldest(), s.requests.Newest())
	return x
}

// countState counts requests.
type countState struct {
	r        *rate
	requests window.Counter[uint32]
	usual    usual
}

func (s *countState) observe(o observation) finding {
	s.requests.Add(int64(o.event.Time), 1, s.r.width, s.r.slots)
	total := s.requests.Total(int64(o.now), s.r.width)
	f := finding{value: float64(total), limit: s.r.spec.Limit, growing: true}
	s.usual.see(f.value, f.limit, o.now, s.r.width)
	f.over, f.suspicious = f.value > f.limit, 2*f.value >= f.limit
	if f.suspicious {
		f.err = s.requests.Error(int64(o.now), s.r.width)
	}
	return f
}

func (s *countState) touch() int               { return s.requests.Touch() }
func (s *countState) idle(now event.Time) bool { return s.requests.Newest() <= int64(now)-s.r.width }
func (s *countState) size() int                { return 8 + usualSize + s.requests.Size() }
func (s *countState) appendBinary(b []byte) ([]byte, error) {
	b, err := s.requests.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	return s.usual.appendBinary(b), nil
}

// sumState adds up a quantity, in thousandths: a sum of fractions must not depend on their order.
type sumState struct {
	r     *rate
	sum   window.Counter[int64]
	usual usual
}

const thousandths = 1000

func (s *sumState) observe(o observation) finding {
	if v, ok := s.r.spec.Sum.Number(o.event); ok && v > 0 {
		s.sum.Add(int64(o.event.Time), int64(math.Min(v, 1e15)*thousandths), s.r.width, s.r.slots)
	}
	total := s.sum.Total(int64(o.now), s.r.width)
	f := finding{value: float64(total) / thousandths, limit: s.r.spec.Limit, growing: true}
	s.usual.see(f.value, f.limit, o.now, s.r.width)
	f.over, f.suspicious = f.value > f.limit, 2*f.value >= f.limit
	if f.suspicious {
		f.err = s.sum.Error(int64(o.now), s.r.width)
	}
	return f
}

func (s *sumState) explain(now event.Time) explanation {
	r := s.r
	f := finding{value: float64(s.sum.Total(int64(now), r.width)) / thousandths, limit: r.spec.Limit, err: s.sum.Error(int64(now), r.width)}
	x := explanation{Detail: windowDetail(f, r.spec.Sum.String(), r.rule.Window)}
	in := inTheLast(r.rule.Window)
	switch r.spec.Sum.Kind() {
	case event.ResponseBytes:
		x.Summary = fmt.Sprintf("received %s %s (limit %s%s)", byteSize(f.value), in, byteSize(f.limit), s.usual.text(byteSize))
	case event.RequestBytes:
		x.Summary = fmt.Sprintf("sent %s %s (limit %s%s)", byteSize(f.value), in, byteSize(f.limit), s.usual.text(byteSize))
	default:
		x.Summary = fmt.Sprintf("kept the gateway busy for %s ms %s (limit %s ms%s)", number(f.value), in, number(f.limit), s.usual.text(number))
	}
	x.span(s.sum.Oldest(), s.sum.Newest())
	return x
}

func (s *sumState) touch() int               { return s.sum.Touch() }
func (s *sumState) idle(now event.Time) bool { return s.sum.Newest() <= int64(now)-s.r.width }
func (s *sumState) size() int                { return 8 + usualSize + s.sum.Size() }
func (s *sumState) appendBinary(b []byte) ([]byte, error) {
	b, err := s.sum.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	return s.usual.appendBinary(b), nil
}

// shareState compares the requests that match with all requests of the entity that the rule sees.
type shareState struct {
	r            *rate
	all, matched window.Counter[uint32]
}

func (s *shareState) observe(o observation) finding {
	r, at := s.r, int64(o.event.Time)
	s.all.Add(at, 1, r.width, r.slots)
	if r.spec.Share.Match(o.event) {
		s.matched.Add(at, 1, r.width, r.slots)
	}
	all := s.all.Total(int64(o.now), r.width)
	matched := s.matched.Total(int64(o.now), r.width)
	f := finding{value: float64(matched) / float64(max(1, all)), limit: r.spec.Limit, growing: true}
	enough := all >= int64(r.spec.Min)
	f.over = enough && f.value > f.limit
	f.suspicious = 2*all >= int64(r.spec.Min) && 2*f.value >= f.limit
	if f.suspicious {
		f.detail = float64(all)
		f.err = max(s.all.Error(int64(o.now), r.width), s.matched.Error(int64(o.now), r.width))
	}
	return f
}

func (s *shareState) explain(now event.Time) explanation {
	r := s.r
	all, matched := s.all.Total(int64(now), r.width), s.matched.Total(int64(now), r.width)
	f := finding{value: float64(matched) / float64(max(1, all)), limit: r.spec.Limit}
	f.err = max(s.all.Error(int64(now), r.width), s.matched.Error(int64(now), r.width))
	x := explanation{Detail: windowDetail(f, "share", r.rule.Window)}
	x.Detail["requests"], x.Detail["min_requests"] = all, r.spec.Min
	x.Summary = fmt.Sprintf("%.0f %% of %s %s %s (limit %.0f %%, of at least %s)", 100*f.value,
		countRequests(float64(all)), inTheLast(r.rule.Window), r.counting(), 100*f.limit, one(r.spec.Min, "request", "requests"))
	x.span(s.all.Oldest(), s.all.Newest())
	return x
}

func (s *shareState) touch() int               { return s.all.Touch() + s.matched.Touch() }
func (s *shareState) idle(now event.Time) bool { return s.all.Newest() <= int64(now)-s.r.width }
func (s *shareState) size() int                { return 8 + s.all.Size() + s.matched.Size() }
func (s *shareState) appendBinary(b []byte) ([]byte, error) {
	b, err := s.all.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	return s.matched.AppendBinary(b)
}
