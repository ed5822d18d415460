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

// risk adds up what the other rules that group by the same entity find, and opens an incident when different kinds of
// evidence combine.
//
// Every rule holds one share of an entity's risk: the points of its severity, which halve with each half-life. Its alerts give
// the whole, those of a rule in shadow mode a half; suspicion (half of a limit reached) gives a fifth. An alert whose value goes
// on to grow beyond its limit gives a quarter more with each version, up to twice the points; that something happens again and
// again gives no more. A signal renews its rule's share, it is not added to it: a noisy rule alone gets nowhere.
//
// The risk is the sum of the shares; a finding is a risk above the limit to which at least as many kinds of evidence as the rule
// wants contribute a fifth of the limit each. Incidents are told again when another rule joins, and when the risk is 2, 4, …
// times the limit.
//
// At most 32 rules are remembered for one entity; the smallest share goes first.
type risk struct {
	noDetail // it is in the state
	rule     *rules.Rule
	spec     *rules.Risk
}

const (
	maxShares      = 32
	shadowPart     = 0.5
	suspicionPart  = 0.2
	leastPoints    = 0.5  // a share below is forgotten
	renewBelow     = 0.9  // the same signal again renews a share that has fallen below this part of it
	leastPart      = 0.2  // of the limit, that a kind of evidence must contribute to be one
	escalationPart = 0.25 // more with each version
	mostEscalation = 2
)

// signal is what a rule has found about an entity, as rules of kind risk see it.
type signal struct {
	by      *watch
	at      event.Time
	state   state
	finding finding
	episode *episode
	alert   *alert.Alert // nil: suspicion
}

func (s *signal) points(spec *rules.Risk) float64 {
	p := spec.Points[s.by.described.Severity]
	if s.by.shadow {
		p *= shadowPart
	}
	if s.alert == nil {
		return p * suspicionPart
	}
	if !s.finding.growing {
		return p
	}
	return p * min(mostEscalation, 1+escalationPart*float64(s.alert.Version-1))
}

// summary is the signal's sentence, without how much it is as evidence.
func (s *signal) summary(kind, name string) string {
	if s.alert != nil {
		return clip(s.alert.Summary)
	}
	a := alert.Alert{Entity: alert.Entity{Kind: kind, ID: name}, Evidence: s.episode.evidence}
	s.by.describe(&a, s.state, s.finding)
	return clip(a.Summary)
}

// signal notes what a rule has found until the event has been shown to all rules.
func (l *lane) signal(groupIndex int, s signal) {
	if len(l.program.groups[groupIndex].risks) > 0 && !s.by.addsUp {
		l.signals = append(l.signals, s)
	}
}

// assess adds the signals of an event, or of a timer, to the entity's risk, and writes the risk on the alerts since the given
// one.
func (l *lane) assess(groupIndex int, n *entity, alerts int, now event.Time, o *observation) {
	if len(l.signals) == 0 {
		return
	}
	raisedUntil := len(l.alerts)
	for i, w := range l.program.groups[groupIndex].risks {
		value := l.addUp(groupIndex, n, w, now, o)
		for j := alerts; i == 0 && j < raisedUntil; j++ {
			l.alerts[j].alert.Risk = &value
		}
	}
	clear(l.signals)
	l.signals = l.signals[:0]
}

// addUp returns the entity's risk under the rule.
func (l *lane) addUp(groupIndex int, n *entity, w *watch, now event.Time, o *observation) float64 {
	c := n.find(w.slot)
	if c == nil {
		c = n.learn(w)
	}
	s := c.state.(*riskState)
	for i := range l.signals {
		sig := &l.signals[i]
		renewed, joined := s.add(sig, w.kind, n.name, now)
		if !renewed {
			continue
		}
		l.stats.matches[w.index]++
		f := s.finding(now)
		f.joined, f.related, f.evidence = joined, &sig.episode.related, sig.finding.evidence
		if f.suspicious || c.episode != nil {
			l.judge(groupIndex, n, c, w, f, now, o)
		}
	}
	return s.finding(now).value
}

func kindsOf(signals []combined) []string {
	kinds := []string{}
	for _, c := range signals {
		if !slices.Contains(kinds, c.Evidence) {
			kinds = append(kinds, c.Evidence)
		}
	}
	return kinds
}

// spanOf is the time from the first signal to the last.
func spanOf(signals []combined) time.Duration {
	first, last := signals[0].Time, signals[0].Latest
	for _, c := range signals {
		first, last = min(first, c.Time), max(last, c.Latest)
	}
	return last.Std().Sub(first.Std())
}

func newRisk(r *rules.Rule, spec *rules.Risk) *risk { return &risk{rule: r, spec: spec} }

func (d *risk) newState() state { return &riskState{d: d} }

// combined is one signal of an incident.
type combined struct {
	Time     alert.Time     `json:"time"`   // of the first signal of the rule
	Latest   alert.Time     `json:"latest"` // of the one that the rest describes
	Rule     string         `json:"rule"`
	Title    string         `json:"title"`
	Severity alert.Severity `json:"severity"`
	Signal   string         `json:"signal"`   // alert, shadow alert, near limit
	Evidence string         `json:"evidence"` // its kind
	Points   float64        `json:"points"`   // that it added
	AlertID  string         `json:"alert_id,omitempty"`
	Summary  string         `json:"summary"`
}

func (d *risk) describe(a *alert.Alert, s state, f finding) {
	signals := s.(*riskState).combined()
	kinds := kindsOf(signals)
	a.Observed.Unit = "risk points"
	a.Observed.Detail = map[string]any{"signals": signals, "kinds": kinds, "half_life": shortDuration(d.spec.HalfLife)}
	a.Risk = &f.value
	if len(signals) == 0 { // they have halved to nothing while the incident was open
		a.Summary = fmt.Sprintf("%s had a risk of %s (limit %s), which has faded", a.Entity.ID, number(math.Round(f.value)), number(f.limit))
		return
	}
	within := ""
	switch span := spanOf(signals); {
	case len(signals) == 1:
	case span < time.Second:
		within = " at once"
	default:
		within = " within " + longDuration(span)
	}
	a.Summary = fmt.Sprintf("%s combines %s of evidence%s (risk %s, limit %s): %s", a.Entity.ID, one(len(kinds), "kind", "kinds"), within,
		number(math.Round(f.value)), number(f.limit), strings.Join(titles(signals), "; "))
}

// maxTitles is how many signals a sentence names.
const maxTitles = 5

func titles(signals []combined) []string {
	var list []string
	for i, c := range signals {
		if i == maxTitles {
			return append(list, one(len(signals)-i, "other", "others"))
		}
		title := c.Title
		if c.Signal != "alert" {
			title += " (" + c.Signal + ")"
		}
		list = append(list, title)
	}
	return list
}

func (d *risk) explain(known state, now event.Time) explanation {
	s := known.(*riskState)
	f := s.finding(now)
	signals := s.combined()
	x := explanation{Detail: map[string]any{
		"value": f.value, "limit": f.limit, "kinds": kindsOf(signals), "min_kinds": d.spec.Kinds, "signals": signals, "half_life": shortDuration(d.spec.HalfLife),
	}}
	x.Summary = fmt.Sprintf("%s points of risk (limit %s, from at least %s of evidence)", number(f.value), number(f.limit), one(d.spec.Kinds, "kind", "kinds"))
	if len(signals) > 0 {
		x.Summary += ": " + strings.Join(titles(signals), "; ")
	}
	return x
}

// riskState is an entity's risk: a share for each rule.
type riskState struct {
	d      *risk
	shares []share // by their first signals
}

// share is what one rule adds.
type share struct {
	combined
	at event.Time // when Points were as they are
}

func (s *riskState) left(h *share, now event.Time) float64 {
	return h.Points * math.Exp2(-float64(max(0, now-h.at))/float64(s.d.spec.HalfLife.Milliseconds()))
}

// add takes a signal in. It reports whether that has changed anything, and whether the rule had no share before.
func (s *riskState) add(sig *signal, kind, name string, now event.Time) (renewed, joined bool) {
	points := sig.points(s.d.spec)
	s.forget(now)
	i := slices.IndexFunc(s.shares, func(h share) bool { return h.Rule == sig.by.rule.ID })
	switch {
	case points < leastPoints:
		return false, false
	case i < 0:
		i, joined = s.join(sig, now), true
	case !s.shares[i].outdone(sig, s.left(&s.shares[i], now), points):
		return false, false
	}
	h := &s.shares[i]
	*h = share{combined: combined{
		Time: h.Time, Latest: alert.Time(sig.at), Rule: h.Rule, Title: sig.by.rule.Title, Severity: sig.by.described.Severity,
		Signal: sig.text(), Evidence: sig.by.evidence, Points: max(points, s.left(h, now)), Summary: sig.summary(kind, name),
	}, at: now}
	if sig.alert != nil {
		h.AlertID = sig.alert.ID
	}
	return true, joined
}

func (s *signal) text() string {
	switch {
	case s.alert == nil:
		return "near limit"
	case s.by.shadow:
		return "shadow alert"
	}
	return "alert"
}

// outdone reports whether the signal says more than the share does, of which so much is left.
func (h *share) outdone(sig *signal, left, points float64) bool {
	another := sig.alert != nil && sig.alert.ID != h.AlertID // or the first, after suspicion
	return another || left < renewBelow*points
}

// join makes room for a rule's share and returns its place.
func (s *riskState) join(sig *signal, now event.Time) int {
	if len(s.shares) == maxShares {
		least := 0
		for i := range s.shares {
			if s.left(&s.shares[i], now) < s.left(&s.shares[least], now) {
				least = i
			}
		}
		s.shares = slices.Delete(s.shares, least, least+1)
	}
	h := share{combined: combined{Time: alert.Time(sig.at), Rule: sig.by.rule.ID}, at: now}
	at := slices.IndexFunc(s.shares, func(other share) bool { return other.Time > h.Time })
	if at < 0 {
		at = len(s.shares)
	}
	s.shares = slices.Insert(s.shares, at, h)
	return at
}

func (s *riskState) forget(now event.Time) {
	s.shares = slices.DeleteFunc(s.shares, func(h share) bool { return s.left(&h, now) < leastPoints })
}

// finding says how high the risk is at now. Tenths of points are told: what comes after them must not differ between machines.
func (s *riskState) finding(now event.Time) finding {
	sum, kinds := 0.0, 0
	for i := range s.shares {
		sum += s.left(&s.shares[i], now)
		kinds += int(b2u(s.firstOfItsKind(i) && s.ofKind(s.shares[i].Evidence, now) >= leastPart*s.d.spec.Limit))
	}
	f := finding{value: math.Round(10*sum) / 10, limit: s.d.spec.Limit, growing: true}
	f.over = f.value > f.limit && kinds >= s.d.spec.Kinds
	f.suspicious = f.over || 2*f.value >= f.limit
	return f
}

func (s *riskState) firstOfItsKind(i int) bool {
	return !slices.ContainsFunc(s.shares[:i], func(h share) bool { return h.Evidence == s.shares[i].Evidence })
}

func (s *riskState) ofKind(evidence string, now event.Time) (sum float64) {
	for i := range s.shares {
		if s.shares[i].Evidence == evidence {
			sum += s.left(&s.shares[i], now)
		}
	}
	return sum
}

func (s *riskState) combined() []combined {
	list := make([]combined, len(s.shares))
	for i, h := range s.shares {
		list[i] = h.combined
		list[i].Points = math.Round(10*h.Points) / 10
	}
	return list
}

// observe does nothing: no event concerns the rule itself.
func (s *riskState) observe(observation) finding { return finding{} }

func (s *riskState) touch() int { return len(s.shares) }

func (s *riskState) idle(now event.Time) bool {
	return !slices.ContainsFunc(s.shares, func(h share) bool { return s.left(&h, now) >= leastPoints })
}

func (s *riskState) size() int {
	n := int(unsafe.Sizeof(*s)) + room(len(s.shares))*int(unsafe.Sizeof(share{}))
	for _, h := range s.shares {
		n += len(h.Rule) + len(h.AlertID) + len(h.Summary)
	}
	return n
}

func (s *riskState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, riskVersion)
	b = binary.AppendUvarint(b, uint64(len(s.shares)))
	for i := range s.shares {
		b = s.shares[i].appendBinary(b)
	}
	return b, nil
}

const riskVersion = 1

func (h *share) appendBinary(b []byte) []byte {
	for _, t := range []int64{int64(h.Time), int64(h.Latest), int64(h.at)} {
		b = binary.AppendVarint(b, t)
	}
	for _, text := range []string{h.Rule, h.Title, string(h.Severity), h.Signal, h.Evidence, h.AlertID, h.Summary} {
		b = wire.AppendString(b, text)
	}
	return wire.AppendFloat(b, h.Points)
}

func (d *risk) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("risk", riskVersion)
	s := &riskState{d: d}
	for range r.Count(8) {
		h := share{combined: combined{Time: alert.Time(r.Varint()), Latest: alert.Time(r.Varint())}, at: event.Time(r.Varint())}
		h.Rule, h.Title, h.Severity, h.Signal = r.String(), r.String(), alert.Severity(r.String()), r.String()
		h.Evidence, h.AlertID, h.Summary = r.String(), r.String(), r.String()
		h.Points = r.Float()
		s.shares = append(s.shares, h)
	}
	return s, r.Rest, r.Err
}
