// Package rules turns YAML rule files into validated, compiled and immutable rule sets.
//
// Everything that can fail fails at load: matching an event against a compiled rule cannot fail, panic or allocate.
package rules

import (
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// Rule is one compiled rule. It is immutable and shared between goroutines.
type Rule struct {
	ID             string
	Title          string
	Description    string // what it finds
	FalsePositives string // how it can be wrong and how to tune it
	Advice         string // what the analyst should do
	Severity       alert.Severity
	Tags           []string
	Mode           Mode

	By     []event.Field // the entity: one field or a combination
	Filter *Filter       // which events count
	Window time.Duration // 0 where the detection has none

	// CloseAfter is how long an episode must be quiet, in event time, before it is closed. Never 0.
	CloseAfter time.Duration

	Detection Detection

	// Fingerprint identifies what the rule computes: two rules with equal fingerprints can share state across a reload.
	// Titles, texts, severity, tags, mode and the order of YAML keys do not enter.
	Fingerprint [16]byte

	File string // where it was read from
	Line int

	column int
}

// Mode says what happens with what a rule finds.
type Mode uint8

// The modes of a rule.
const (
	Enforce Mode = iota // alerts are delivered
	Shadow              // alerts are computed and counted, not delivered
)

// Detection is the part of a rule that only its kind of detection has: one of *Distinct, *Rate, *Travel, *Simultaneous,
// *OffHours, *NewValue, *Workflow, *Sequence, *Enumeration, *Inventory, *Contracted and *Risk.
type Detection interface {
	// Kind is the word after "detect:".
	Kind() string
	// Reads lists the fields that the detection reads beside those of the filter and the entity.
	Reads() []event.Field
}

// Distinct finds more than Limit different values of a field within the window.
type Distinct struct {
	Counted
	Limit int
}

// Rate finds more than Limit requests, or more than Limit of a summed quantity, or a share above Limit, in the window.
type Rate struct {
	Sum   event.Field // zero: count requests
	Share *Filter     // not nil: Limit is the share (0..1) of the rule's events that match Share too
	Min   int         // share only: how many events must be in the window before the share means anything
	Limit float64
}

// Travel finds two places of one entity between which nobody can travel in the time between.
type Travel struct {
	SpeedKMH    float64 // what a traveller can reach
	MinDistance float64 // km, after both accuracy radii; shorter hops are never travel
	Places      int     // how many previous places are remembered, 1..16
	Discount    Discount
}

// Simultaneous finds one entity active in several places within one window.
type Simultaneous struct {
	Across       event.FieldKind // Continent, Country or ASN
	Limit        int             // how many places at once are still right
	Alternations int             // how often activity must have changed place within the window
	Discount     Discount
}

// Discount lists the addresses whose place means little: they are left out of place comparisons unless said otherwise.
type Discount struct {
	Anonymous event.Anonymity // kinds of anonymiser that are left out
	Networks  *Networks       // shared egress, corporate VPNs; nil: none
	ASNs      []uint32
}

// OffHours finds access outside declared or learned hours.
type OffHours struct {
	Declared *Schedule       // nil: hours are learned for each entity
	Learn    Learning        // used when Declared is nil, and for what NewPlace means
	NewPlace event.FieldKind // NoField, or Country or ASN: alert only when the place is new to the entity as well
	Location *time.Location
}

// Schedule is the hours of the week in which access is usual: bit d*24+h of the set, d = 0 on Sunday as in time.Weekday.
// Minutes are kept by From and To in each span.
type Schedule struct {
	Spans []Span
}

// Span is one daily interval on some days. To may be smaller than From: the span then ends on the next day.
type Span struct {
	Days     uint8 // bit 0 is Sunday, as time.Weekday
	From, To int   // minutes of the day, 0..1440
}

// Learning is how much history an entity needs before its hours or places mean anything.
type Learning struct {
	MinEvents int
	MinDays   int // different days with activity
}

// NewValue finds the first uses of a value by an entity that has used others for some time.
type NewValue struct {
	Value event.Field
	Learn Learning
	Max   int // values that are remembered
}

// Workflow finds guarded steps reached on a path that no known-good workflow allows.
type Workflow struct {
	Automaton *Automaton
}

// Sequence finds known-bad sequences: steps that one entity takes within the rule's window, and steps that it leaves out.
//
// With strict order the steps that are not absent must follow each other as they are listed; with any order they may come in
// any. Whatever else happens between them changes nothing, unless it matches Until. All times are less than the window: from
// the first request of the sequence to its last, and around it for steps that are absent, which are judged with strict order
// alone:
//
//   - An absent step before the first one that is not must not have come within the window before the sequence's first request.
//   - An absent step between two others must not come between the last request of the one and the first of the other.
//   - An absent step after the last one must not come within the window after the sequence's last request. The finding comes
//     when that time is over.
//
// Until ends what has begun, a wait for an absent last step too. That an absent first step has come stays known.
//
// What was not seen did not happen: a request from before gatewatch was started, or of an entity that it has had to forget,
// counts as absent. Who waited until an entity has been watched for the window would give everybody with a new session or
// token that long.
type Sequence struct {
	Steps    []SequenceStep // 1 to 8
	AnyOrder bool
	Until    *Filter // ends a sequence that has begun; nil: nothing does
}

// SequenceStep is one step.
type SequenceStep struct {
	Name   string
	Filter *Filter
	Times  int // how many requests it takes at least; 1 when it is absent
	Absent bool
}

// Enumeration finds an entity that goes through the ids of objects. A limit of 0 is one that is not judged.
type Enumeration struct {
	Counted
	Found      int     // new objects that are answered
	Newcomer   int     // takes the place of Found before the entity has enough history
	NewShare   float64 // below this share of new objects, up to four times Found are excused; 0..0.99
	Denied     int     // different ids that are denied
	Sequential int     // ids in sequence
	Step       int     // how far apart ids in sequence may be
	Learn      Learning
	Remember   int // touched objects that are remembered; 0 without Found
}

// Inventory finds calls to endpoints that should not be there: more than Limit within the window.
type Inventory struct {
	Find  InventoryProblems
	Limit int
}

// Risk finds entities about which several kinds of evidence add up: what the other rules that group by the same entity find.
type Risk struct {
	Limit    float64       // points
	HalfLife time.Duration // of points
	Kinds    int           // different kinds of evidence, see [Rule.Evidence]
	Points   map[alert.Severity]float64
}

// Kind implements [Detection].
func (*Distinct) Kind() string { return "distinct" }

// Kind implements [Detection].
func (*Rate) Kind() string { return "rate" }

// Kind implements [Detection].
func (*Travel) Kind() string { return "travel" }

// Kind implements [Detection].
func (*Simultaneous) Kind() string { return "simultaneous" }

// Kind implements [Detection].
func (*OffHours) Kind() string { return "off_hours" }

// Kind implements [Detection].
func (*NewValue) Kind() string { return "new_value" }

// Kind implements [Detection].
func (*Workflow) Kind() string { return "workflow" }

// Kind implements [Detection].
func (*Sequence) Kind() string { return "sequence" }

// Kind implements [Detection].
func (*Enumeration) Kind() string { return "enumeration" }

// Kind implements [Detection].
func (*Inventory) Kind() string { return "inventory" }

// Kind implements [Detection].
func (*Risk) Kind() string { return "risk" }

// Reads implements [Detection].
func (d *Distinct) Reads() []event.Field { return []event.Field{d.Count} }

// Reads implements [Detection].
func (d *Rate) Reads() []event.Field {
	if d.Sum == (event.Field{}) {
		return nil
	}
	return []event.Field{d.Sum}
}

// Reads implements [Detection].
func (*Travel) Reads() []event.Field {
	return []event.Field{event.FieldOf(event.Country), event.FieldOf(event.City)}
}

// Reads implements [Detection].
func (d *Simultaneous) Reads() []event.Field { return []event.Field{event.FieldOf(d.Across)} }

// Reads implements [Detection].
func (d *OffHours) Reads() []event.Field {
	if d.NewPlace == event.NoField {
		return nil
	}
	return []event.Field{event.FieldOf(d.NewPlace)}
}

// Reads implements [Detection].
func (d *NewValue) Reads() []event.Field { return []event.Field{d.Value} }

// Reads implements [Detection].
func (*Workflow) Reads() []event.Field { return nil }

// Reads implements [Detection].
func (*Sequence) Reads() []event.Field { return nil }

// Reads implements [Detection].
func (d *Enumeration) Reads() []event.Field {
	return []event.Field{d.Count, event.FieldOf(event.Status)}
}

// Reads implements [Detection].
func (*Inventory) Reads() []event.Field { return nil }

// Reads implements [Detection].
func (*Risk) Reads() []event.Field { return nil }
