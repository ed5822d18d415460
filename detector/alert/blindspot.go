package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// BlindSpot is an interval in which detection was impaired: silence in it proves nothing.
//
// Like an alert it is known by (ID, Version): a long interval is told while it lasts, each time as a new version.
type BlindSpot struct {
	Schema     int      `json:"schema"`
	ID         string   `json:"id"`
	Version    int      `json:"version"` // from 1
	State      State    `json:"state"`   // open, update or closed
	Cause      Cause    `json:"cause"`
	From       Time     `json:"from"`
	To         Time     `json:"to"` // of a closed one its end, else as far as it is known
	Topic      string   `json:"topic,omitempty"`
	Partitions []int32  `json:"partitions,omitempty"` // of Topic, ascending
	Rules      []string `json:"rules,omitempty"`      // ids, sorted; empty: all rules
	Kinds      []string `json:"kinds,omitempty"`      // of entities, sorted
	Sink       string   `json:"sink,omitempty"`
	Count      uint64   `json:"count"`            // records, events, entities or alerts concerned, as the cause says
	Detail     string   `json:"detail,omitempty"` // for people: what happened and what to do
	EmittedAt  *Time    `json:"emitted_at,omitempty"`
}

// Cause is why gatewatch could not see.
type Cause string

// The causes of blind spots. Times are those of the clock on the wall except where it says event time.
const (
	Lag          Cause = "lag"           // telemetry was read later than the limit allows; alerts came late
	DecodeErrors Cause = "decode_errors" // records could not become events; Count records
	Eviction     Cause = "eviction"      // entities were forgotten to stay within limits; event time, Count entities
	LateEvents   Cause = "late_events"   // rules that mean the order of events left late ones out; event time, Count events
	BackPressure Cause = "back_pressure" // sinks or the state store held detection up
	Restart      Cause = "restart"       // gatewatch was not running; what happened meanwhile was read afterwards
	Retention    Cause = "retention"     // Kafka deleted records before they were read; Count records
)

// Causes lists all causes.
func Causes() []Cause {
	return []Cause{Lag, DecodeErrors, Eviction, LateEvents, BackPressure, Restart, Retention}
}

// NewBlindSpotID derives an id from the cause, the scope (topic, sink or whatever tells two intervals of one cause apart)
// and the beginning.
func NewBlindSpotID(cause Cause, scope string, from Time) string {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{"blind_spot", string(cause), scope} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	binary.BigEndian.PutUint64(n[:], uint64(from))
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}
