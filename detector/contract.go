package detector

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// contract finds requests that deviate from an access contract, and tokens that are used as none should be: expired, revoked,
// living too long, with scopes that stand for many. What several requests show together is for [presented].
//
// The rule's filter passes only requests that deviate, so nothing is remembered of entities that keep their contracts. Each is a
// finding; with a limit, one is when there are more than that many within the window. Deviations are counted by kind for as
// long as an episode lasts.
type contract struct {
	rule  *rules.Rule
	spec  *rules.Contracted
	width int64
	slots int
	quiet event.Time // after which deviations are counted anew
}

func newContracted(r *rules.Rule, spec *rules.Contracted, o Options) detection {
	if spec.Several != 0 {
		return newPresented(r, spec)
	}
	return &contract{
		rule: r, spec: spec, width: r.Window.Milliseconds(), slots: o.Limits.values(max(fewSlots, 2*spec.Limit)),
		quiet: event.Time(r.CloseAfter.Milliseconds()),
	}
}

func (d *contract) newState() state { return &contractState{d: d} }

// maxBreaches is how many deviations of one request are told.
const maxBreaches = 8

// breach is a deviation of one request as an alert tells it.
type breach struct {
	kind     rules.Deviation
	contract string // its id, "" for none
	seen     string // what the request was: a country, a scope, a method with its route
	allowed  string // "" where no contract says
}

// breachesOf describes how the event deviates.
func (d *contract) breachesOf(list []rules.Breach, e *event.Event) []breach {
	all := make([]breach, len(list))
	for i, b := range list {
		all[i] = breach{kind: b.Deviation, seen: d.seen(b, e)}
		if b.Contract != nil {
			all[i].contract, all[i].allowed = b.Contract.ID, shortText(b.Contract.Allowed(b.Deviation))
		}
	}
	return all
}

// seen says what of the event deviates.
func (d *contract) seen(b rules.Breach, e *event.Event) string {
	switch b.Deviation {
	case rules.DeviatesOperation, rules.DeviatesUnknown:
		return operation(e)
	case rules.DeviatesCountry:
		return shortName(e.Geo.Country)
	case rules.DeviatesNetwork:
		return originOf(e)
	case rules.DeviatesHours:
		return e.Time.Std().In(b.Contract.Location()).Format("Monday 15:04")
	case rules.DeviatesScope, rules.WildcardScope:
		return shortName(b.ExcessScope(e))
	case rules.DeviatesEnvironment:
		return shortName(e.Environment)
	case rules.DeviatesLifetime:
		return longDuration((e.TokenExpiresAt.Std().Sub(e.TokenIssuedAt.Std())))
	case rules.ExpiredToken:
		return longDuration(e.Time.Std().Sub(e.TokenExpiresAt.Std()))
	case rules.RevokedToken:
		if e.TokenRevokedAt > event.RevokedSinceEver {
			return longDuration(e.Time.Std().Sub(e.TokenRevokedAt.Std()))
		}
	}
	return ""
}

// operation writes what was called: DELETE /orders/{id} of orders-v1. An oddly spelled path is shown as it is: the route does not
// say where it leads.
func operation(e *event.Event) string {
	where := e.Route
	if rules.Odd(e.Path) {
		where = e.Path
	}
	text := shortName(e.Method) + " " + shortName(where)
	if e.API != "" {
		text += " of " + shortName(e.API)
	}
	return text
}

// originOf writes where the event came from: 192.0.2.1 (AS64500).
func originOf(e *event.Event) string {
	if e.Geo == nil || e.Geo.ASN == 0 {
		return shortName(e.IPText)
	}
	return fmt.Sprintf("%s (AS%d)", shortName(e.IPText), e.Geo.ASN)
}

func (d *contract) describe(a *alert.Alert, known state, f finding) {
	a.Observed.Unit = "deviating requests"
	if d.spec.Limit > 0 {
		a.Observed.Window = shortDuration(d.rule.Window)
	}
	breaches, ok := f.detail.([]breach)
	if !ok || len(breaches) == 0 {
		return
	}
	first := breaches[0]
	a.Observed.Detail = map[string]any{"deviation": first.kind.String(), "seen": first.seen, "deviations": known.(*contractState).byName()}
	if first.contract != "" {
		a.Observed.Detail["contract"], a.Observed.Detail["allowed"] = first.contract, first.allowed
	}
	a.Summary = d.sentence(a.Entity, first) + others(breaches)
	if d.spec.Limit > 0 {
		a.Summary += fmt.Sprintf("; %s deviating requests in %s (limit %d)", approximate(f), longDuration(d.rule.Window), d.spec.Limit)
	}
}

// sentence says what one deviation is.
func (d *contract) sentence(of alert.Entity, b breach) string {
	agreed := "the contract " + b.contract
	switch b.kind {
	case rules.DeviatesOperation:
		return fmt.Sprintf("%s called %s, which %s does not allow (it may call %s)", of.ID, b.seen, agreed, b.allowed)
	case rules.DeviatesUnknown:
		return fmt.Sprintf("%s called %s, and no contract applies to it", of.ID, b.seen)
	case rules.DeviatesCountry:
		return fmt.Sprintf("%s called from %s; %s allows %s", of.ID, b.seen, agreed, b.allowed)
	case rules.DeviatesNetwork:
		return fmt.Sprintf("%s called from %s; %s allows %s", of.ID, b.seen, agreed, b.allowed)
	case rules.DeviatesHours:
		return fmt.Sprintf("%s called on %s, outside of the hours of %s: %s", of.ID, b.seen, agreed, b.allowed)
	case rules.DeviatesScope:
		return fmt.Sprintf("%s used the scope %s, which %s does not grant (it grants %s)", of.ID, b.seen, agreed, b.allowed)
	case rules.DeviatesEnvironment:
		return fmt.Sprintf("%s was active in the environment %s; %s allows %s", of.ID, b.seen, agreed, b.allowed)
	case rules.WildcardScope:
		return fmt.Sprintf("%s used the scope %s, which stands for many", of.ID, b.seen)
	}
	return d.tokenSentence(of, b)
}

// tokenSentence says what is wrong with the time at which a token was used.
func (d *contract) tokenSentence(of alert.Entity, b breach) string {
	subject := of.ID + " used a token that"
	verb := ""
	if of.Kind == "token_id" {
		subject, verb = "the token "+of.ID, " was used"
	}
	switch {
	case b.kind == rules.DeviatesLifetime && b.contract != "":
		return fmt.Sprintf("%s lives for %s; the contract %s allows %s", subject, b.seen, b.contract, b.allowed)
	case b.kind == rules.DeviatesLifetime:
		return fmt.Sprintf("%s lives for %s (limit %s)", subject, b.seen, longDuration(time.Duration(d.spec.Lifetime)*time.Millisecond))
	case b.kind == rules.ExpiredToken && verb != "":
		return fmt.Sprintf("%s was used %s after it expired", subject, b.seen)
	case b.kind == rules.ExpiredToken:
		return fmt.Sprintf("%s had expired %s before", subject, b.seen)
	case b.seen == "" && verb != "":
		return subject + " was used although it is revoked"
	case b.seen == "":
		return subject + " is revoked"
	case verb != "":
		return fmt.Sprintf("%s was used %s after it was revoked", subject, b.seen)
	}
	return fmt.Sprintf("%s was revoked %s before", subject, b.seen)
}

// others names how the request deviates besides.
func others(breaches []breach) string {
	if len(breaches) < 2 {
		return ""
	}
	var names []string
	for _, b := range breaches[1:] {
		name := b.kind.String()
		if b.contract != "" && b.contract != breaches[0].contract {
			name += " of " + b.contract
		}
		names = append(names, name)
	}
	return "; it deviates in " + strings.Join(names, ", ") + " too"
}

func (d *contract) explain(known state, now event.Time) explanation {
	s := known.(*contractState)
	x := explanation{Detail: map[string]any{"deviations": s.byName(), "newest": alert.Time(s.newest)}}
	var texts []string
	for kind, n := range s.counts {
		if n > 0 {
			texts = append(texts, fmt.Sprintf("%s %s", number(float64(n)), rules.Deviation(kind)))
		}
	}
	x.Summary = "no deviation yet"
	if len(texts) > 0 {
		x.Summary = fmt.Sprintf("deviations: %s, the last at %s", strings.Join(texts, ", "), at(s.newest))
	}
	if d.spec.Limit > 0 {
		n := s.requests.Total(int64(now), d.width)
		x.Detail["value"], x.Detail["limit"], x.Detail["window"] = n, d.spec.Limit, shortDuration(d.rule.Window)
		x.Summary += fmt.Sprintf("; %s %s (limit %d)", one(int(n), "deviating request", "deviating requests"), inTheLast(d.rule.Window), d.spec.Limit)
	}
	return x
}

type contractState struct {
	d        *contract
	newest   event.Time               // of the deviations
	counts   [rules.Deviations]uint32 // of the episode
	requests window.Counter[uint32]   // used with a limit
}

// byName returns how often each deviation was found in the episode.
func (s *contractState) byName() map[string]uint32 {
	m := map[string]uint32{}
	for kind, n := range s.counts {
		if n > 0 {
			m[rules.Deviation(kind).String()] = n
		}
	}
	return m
}

func (s *contractState) observe(o observation) finding {
	d := s.d
	var room [maxBreaches]rules.Breach
	list := d.spec.Breaches(room[:0], o.event)
	if len(list) == 0 {
		return finding{}
	}
	s.count(list, o.event.Time)
	f := finding{value: 1, over: true, suspicious: true}
	if d.spec.Limit > 0 {
		s.requests.Add(int64(o.event.Time), 1, d.width, d.slots)
		n := s.requests.Total(int64(o.now), d.width)
		f = finding{value: float64(n), limit: float64(d.spec.Limit), growing: true, over: n > int64(d.spec.Limit), suspicious: 2*n >= int64(d.spec.Limit)}
		f.err = s.requests.Error(int64(o.now), d.width)
	}
	if f.suspicious {
		f.detail = d.breachesOf(list, o.event)
	}
	return f
}

// count counts the deviations, from 0 when the last one was so long ago that its episode is over.
func (s *contractState) count(list []rules.Breach, at event.Time) {
	if at-s.newest >= s.d.quiet {
		s.counts = [rules.Deviations]uint32{}
	}
	s.newest = max(s.newest, at)
	for _, b := range list {
		if n := &s.counts[b.Deviation]; *n < 1<<31 {
			*n++
		}
	}
}

func (s *contractState) touch() int { return int(s.counts[0]) + s.requests.Touch() }

func (s *contractState) idle(now event.Time) bool {
	return now-s.newest >= max(s.d.quiet, event.Time(s.d.width))
}

func (s *contractState) size() int { return int(unsafe.Offsetof(s.requests)) + s.requests.Size() }

func (d *contract) appendDetail(b []byte, detail any) []byte {
	breaches, _ := detail.([]breach)
	b = binary.AppendUvarint(b, uint64(len(breaches)))
	for _, x := range breaches {
		b = append(b, byte(x.kind))
		b = wire.AppendString(wire.AppendString(wire.AppendString(b, x.contract), x.seen), x.allowed)
	}
	return b
}

func (d *contract) readDetail(r *wire.Reader, known *interner) any {
	var all []breach
	for range r.Count(4) {
		all = append(all, breach{rules.Deviation(r.Byte()), r.String(), r.String(), r.String()})
	}
	if all == nil {
		return nil
	}
	return all
}

const contractVersion = 1

func (s *contractState) appendBinary(b []byte) ([]byte, error) {
	b = binary.AppendVarint(append(b, contractVersion), int64(s.newest))
	b = binary.AppendUvarint(b, uint64(len(s.counts)))
	for _, n := range s.counts {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if s.d.spec.Limit == 0 {
		return b, nil
	}
	return s.requests.AppendBinary(b)
}

func (d *contract) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("contract", contractVersion)
	s := &contractState{d: d, newest: event.Time(r.Varint())}
	for i := range r.Count(1) {
		if n := uint32(r.Uvarint()); i < len(s.counts) {
			s.counts[i] = n
		}
	}
	if r.Err != nil || d.spec.Limit == 0 {
		return s, r.Rest, r.Err
	}
	rest, err := s.requests.DecodeBinary(r.Rest)
	return s, rest, err
}
