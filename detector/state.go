package detector

import (
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// detection is one rule's computation: immutable, shared by all lanes.
type detection interface {
	newState() state
	// decode returns the state encoded at the start of b and the rest of b.
	decode(b []byte, known *interner) (state, []byte, error)
	// appendDetail encodes what the detection has put into [finding.detail], and readDetail decodes it.
	appendDetail(b []byte, detail any) []byte
	readDetail(r *wire.Reader, known *interner) any
	// describe fills in what the detection knows of an alert: summary, unit, detail.
	describe(a *alert.Alert, s state, f finding)
	// explain says what the state knows at now.
	explain(s state, now event.Time) explanation
}

// state is what one rule remembers of one entity. Its encoding starts with a version byte.
type state interface {
	observe(o observation) finding
	// touch reads what observe will read, so that it is in the processor's cache; the result means nothing.
	touch() int
	// idle reports whether the state, at now, is as good as a new one.
	idle(now event.Time) bool
	size() int
	appendBinary(b []byte) ([]byte, error)
}

// waker is a state that wants to be called when nothing happens until a time that it has named in a finding.
type waker interface {
	wake(now event.Time) finding
	// wakesAt is the time that it waits for, 0 when there is none.
	wakesAt() event.Time
}

// starter is a detection that needs no state before something begins.
type starter interface {
	// starts reports whether a new state would be changed by the event.
	starts(o observation) bool
}

// noDetail is embedded by detections whose findings have no detail.
type noDetail struct{}

func (noDetail) appendDetail(b []byte, _ any) []byte    { return b }
func (noDetail) readDetail(*wire.Reader, *interner) any { return nil }

// observation is one event as one rule sees it.
type observation struct {
	event *event.Event
	// now is the event's place in the order: its time, or later when it came late.
	now event.Time
	// source is the partition of the event.
	source event.Partition
}

func (o *observation) late() bool { return o.event.Time < o.now }

// finding is what a state concludes from an event.
type finding struct {
	value, limit float64
	err          float64 // relative standard error of value, 0 when exact
	over         bool    // misuse
	suspicious   bool    // worth collecting evidence
	// growing means that value against limit says how bad it is (an alert escalates at 2, 4, … times the limit). Otherwise the
	// number of findings in the episode does.
	growing bool
	wakeAt  event.Time // 0: no need
	detail  any        // for describe
	// joined means that something of a new kind has joined, of which an open alert tells.
	joined bool
	// related is what else took part, nil for nothing.
	related *related
	// evidence, when set, is used in place of the event.
	evidence *alert.Evidence
	path     []alert.Evidence // of misuse: events that led to this one, in order
}

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
