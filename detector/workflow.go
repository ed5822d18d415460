package detector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// workflow finds guarded steps that were reached on a path that no known-good workflow allows.
//
// One state number of the rule's automaton is kept for each entity, with the times of the last step and of the start, and
// the last few steps for the alert. Events that are no step change nothing; see [rules.Automaton] for what counts as a
// retry or as interleaving. Logs of parallel calls may arrive in any order: a violation is held back for the rule's grace
// time and forgotten when the missing steps turn up within it. Late events are left out.
type workflow struct {
	rule *rules.Rule
	auto *rules.Automaton
}

// pathLength is how many steps an alert shows.
const pathLength = 12

func newWorkflow(r *rules.Rule, spec *rules.Workflow) *workflow { return &workflow{r, spec.Automaton} }

func (w *workflow) newState() state { return &workflowState{w: w, state: w.auto.Start()} }

func (w *workflow) describe(a *alert.Alert, _ state, f finding) {
	v, ok := f.detail.(violation)
	if !ok {
		return
	}
	a.Observed.Unit = "step"
	a.Observed.Detail = map[string]any{"step": v.step, "path": v.path, "expected": v.expected, "required": v.required}
	before := "without any step before it"
	if len(v.path) > 0 {
		before = "after " + strings.Join(v.path, ", ")
	}
	a.Summary = fmt.Sprintf("%s reached %s %s; a known workflow goes %s", a.Entity.ID, v.step, before, strings.Join(v.required, ", "))
}

func (w *workflow) explain(known state, now event.Time) explanation {
	s := known.(*workflowState)
	under := s.state != w.auto.Start() && !w.auto.Expired(s.state, ms(now-s.last), ms(now-s.started))
	steps, expected := []string{}, w.auto.Expected(w.auto.Start())
	x := explanation{Summary: "no workflow under way"}
	if under {
		expected = w.auto.Expected(s.state)
		steps = w.names(s.path[:s.length])
		x.Summary = fmt.Sprintf("after %s, the last at %s", strings.Join(steps, ", "), at(s.last))
	}
	x.Summary += "; a known workflow goes on with " + strings.Join(expected, " or ")
	x.Detail = map[string]any{"under_way": under, "steps": steps, "expected": expected}
	if under {
		x.Detail["started"], x.Detail["last_step"] = alert.Time(s.started), alert.Time(s.last)
	}
	if p := s.pending; p != nil {
		x.Summary += fmt.Sprintf("; %s at %s came without the steps before it, an alert follows unless they turn up by %s",
			w.auto.StepName(p.symbol), at(p.at), at(p.due))
		x.Detail["pending"] = map[string]any{
			"step": w.auto.StepName(p.symbol), "time": alert.Time(p.at), "due": alert.Time(p.due), "path": w.names(p.path),
			"required": w.auto.Required(p.symbol),
		}
	}
	return x
}

func (w *workflow) names(symbols []uint8) []string {
	names := make([]string, len(symbols))
	for i, symbol := range symbols {
		names[i] = w.auto.StepName(symbol)
	}
	return names
}

// violation is what an alert tells: the guarded step, the steps before it, what was allowed instead, and a legal path.
type violation struct {
	step     string
	path     []string
	expected []string
	required []string
}

type workflowState struct {
	w       *workflow
	state   uint16
	length  uint8 // of path
	path    [pathLength]uint8
	last    event.Time // of the last step
	started event.Time // of the workflow
	pending *pendingViolation
}

// pendingViolation waits for the grace time.
type pendingViolation struct {
	symbol   uint8
	due      event.Time
	at       event.Time
	state    uint16 // before it
	path     []uint8
	evidence alert.Evidence
}

func (s *workflowState) observe(o observation) finding {
	symbol, ok := s.w.auto.Symbol(o.event)
	if !ok {
		return finding{}
	}
	settled := s.settle(o.now) // normally the timer came first
	s.expire(o.event.Time)
	next, verdict := s.w.auto.Next(s.state, symbol)
	if verdict == rules.Violation {
		return s.violate(symbol, o, settled)
	}
	s.step(next, symbol, verdict, o.event.Time)
	s.reconsider(o.event.Time)
	return settled
}

func (s *workflowState) step(next uint16, symbol uint8, verdict rules.Verdict, at event.Time) {
	if verdict == rules.Stay {
		return
	}
	if verdict == rules.Advance {
		if s.state == s.w.auto.Start() {
			s.length = 0
		}
		if s.w.auto.Begins(symbol) {
			s.started = at
		}
		s.note(symbol)
	}
	s.state, s.last = next, at
}

func (s *workflowState) note(symbol uint8) {
	if s.length == pathLength {
		copy(s.path[:], s.path[1:])
		s.length--
	}
	s.path[s.length] = symbol
	s.length++
}

func (s *workflowState) expire(at event.Time) {
	if s.w.auto.Expired(s.state, ms(at-s.last), ms(at-s.started)) {
		s.state, s.length = s.w.auto.Start(), 0
	}
}

// violate raises the violation now or keeps it for the grace time. Of several within the grace time the first counts.
func (s *workflowState) violate(symbol uint8, o observation, settled finding) finding {
	grace := event.Time(s.w.auto.Grace().Milliseconds())
	if s.pending != nil {
		return settled
	}
	p := pendingViolation{symbol: symbol, at: o.event.Time, due: o.now + grace, state: s.state,
		path: append([]uint8(nil), s.path[:s.length]...), evidence: evidenceOf(o)}
	if grace == 0 {
		return s.w.finding(p)
	}
	s.pending = &p
	settled.wakeAt = p.due
	return settled
}

// reconsider drops the pending violation when the steps that have come meanwhile allow it.
func (s *workflowState) reconsider(at event.Time) {
	if s.pending == nil {
		return
	}
	next, verdict := s.w.auto.Next(s.state, s.pending.symbol)
	if verdict == rules.Violation {
		return
	}
	s.step(next, s.pending.symbol, verdict, at)
	s.pending = nil
}

func (s *workflowState) settle(now event.Time) finding {
	if s.pending == nil || s.pending.due > now {
		return finding{}
	}
	f := s.w.finding(*s.pending)
	s.pending = nil
	return f
}

func (s *workflowState) wake(now event.Time) finding { return s.settle(now) }

func (s *workflowState) wakesAt() event.Time {
	if s.pending == nil {
		return 0
	}
	return s.pending.due
}

func (w *workflow) finding(p pendingViolation) finding {
	v := violation{step: w.auto.StepName(p.symbol), path: w.names(p.path), expected: w.auto.Expected(p.state), required: w.auto.Required(p.symbol)}
	return finding{value: 1, over: true, suspicious: true, detail: v, evidence: &p.evidence}
}

func (s *workflowState) touch() int { return int(s.state) }

func (s *workflowState) idle(now event.Time) bool {
	return s.pending == nil && (s.state == s.w.auto.Start() || s.w.auto.Expired(s.state, ms(now-s.last), ms(now-s.started)))
}

func ms(d event.Time) time.Duration { return time.Duration(d) * time.Millisecond }

func (s *workflowState) size() int {
	n := int(unsafe.Sizeof(*s))
	if s.pending != nil {
		n += int(unsafe.Sizeof(*s.pending)) + len(s.pending.evidence.Path)
	}
	return n
}

func (w *workflow) appendDetail(b []byte, detail any) []byte {
	v, ok := detail.(violation)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = wire.AppendString(b, v.step)
	return wire.AppendStrings(wire.AppendStrings(wire.AppendStrings(b, v.path), v.expected), v.required)
}

func (w *workflow) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	return violation{step: r.String(), path: r.Strings(), expected: r.Strings(), required: r.Strings()}
}

const workflowVersion = 1

func (s *workflowState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, workflowVersion)
	b = binary.AppendUvarint(b, uint64(s.state))
	b = wire.AppendString(b, string(s.path[:s.length]))
	b = binary.AppendVarint(b, int64(s.last))
	b = binary.AppendVarint(b, int64(s.started))
	b = wire.AppendBool(b, s.pending != nil)
	if s.pending == nil {
		return b, nil
	}
	p := s.pending
	b = append(b, p.symbol)
	b = binary.AppendVarint(b, int64(p.due))
	b = binary.AppendVarint(b, int64(p.at))
	b = binary.AppendUvarint(b, uint64(p.state))
	b = wire.AppendString(b, string(p.path))
	evidence, err := json.Marshal(p.evidence)
	if err != nil {
		return nil, fmt.Errorf("encode evidence: %w", err)
	}
	return wire.AppendString(b, string(evidence)), nil
}

func (w *workflow) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("workflow", workflowVersion)
	s := &workflowState{w: w, state: uint16(r.Uvarint())}
	s.length = uint8(copy(s.path[:], r.String()))
	s.last, s.started = event.Time(r.Varint()), event.Time(r.Varint())
	if r.Bool() {
		p := &pendingViolation{symbol: r.Byte(), due: event.Time(r.Varint()), at: event.Time(r.Varint()), state: uint16(r.Uvarint()), path: []byte(r.String())}
		if err := json.Unmarshal([]byte(r.String()), &p.evidence); err != nil && r.Err == nil {
			return nil, nil, fmt.Errorf("%w: %w", wire.ErrCorrupt, err)
		}
		s.pending = p
	}
	if r.Err == nil && !w.valid(s) {
		return nil, nil, fmt.Errorf("%w: the workflow has no such state or step", wire.ErrCorrupt)
	}
	return s, r.Rest, r.Err
}

// valid reports whether the automaton has the state's numbers.
func (w *workflow) valid(s *workflowState) bool {
	states, symbols := w.auto.States(), w.auto.Symbols()
	ok := int(s.state) < states
	steps := s.path[:s.length]
	if p := s.pending; p != nil {
		ok = ok && int(p.state) < states && int(p.symbol) < symbols
		steps = append(append([]uint8(nil), steps...), p.path...)
	}
	for _, symbol := range steps {
		ok = ok && int(symbol) < symbols
	}
	return ok
}
