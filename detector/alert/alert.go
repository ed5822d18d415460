// Package alert defines what gatewatch tells the world: alerts and their JSON form, schema version 1.
//
// An alert is one episode of misuse by one entity under one rule. It is open at first, updated when it escalates and
// closed when the entity has become quiet; every change is a new version under the same id. The package is a leaf: it
// imports nothing of gatewatch.
package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// SchemaVersion is the version of the JSON form. It changes only when a reader of the old form would misread the new one.
const SchemaVersion = 1

// State is where in its life an alert is.
type State string

// The states of an alert, in order.
const (
	Open   State = "open"
	Update State = "update"
	Closed State = "closed"
)

// Severity says how urgent an alert is.
type Severity string

// The severities, in rising order.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists all severities in rising order.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Alert is one version of one episode. (ID, Version) is unique and stable: the same telemetry gives the same pairs.
type Alert struct {
	Schema     int                 `json:"schema"`
	ID         string              `json:"id"`
	Version    int                 `json:"version"` // from 1
	State      State               `json:"state"`
	Rule       Rule                `json:"rule"`
	Entity     Entity              `json:"entity"`
	FirstSeen  Time                `json:"first_seen"`           // event time of the first evidence
	LastSeen   Time                `json:"last_seen"`            // event time of the latest event that exceeded the limit
	DetectedAt Time                `json:"detected_at"`          // event time that raised this version
	EmittedAt  *Time               `json:"emitted_at,omitempty"` // wall clock of delivery: the only field that replay does not repeat
	Summary    string              `json:"summary"`
	Observed   Observed            `json:"observed"`
	Baseline   map[string]any      `json:"baseline,omitempty"`
	Evidence   []Evidence          `json:"evidence"`
	Related    map[string][]string `json:"related"` // up to 10 values for each kind
	Risk       *float64            `json:"risk,omitempty"`
}

// Rule is what an alert says of the rule that raised it.
type Rule struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Tags     []string `json:"tags"`
	Advice   string   `json:"advice,omitempty"`
}

// Entity is who misbehaved: the field or fields that the rule groups by (joined by "+") and their values (joined by "|").
type Entity struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Observed is what was measured against which limit.
type Observed struct {
	Value  float64        `json:"value"`
	Exact  bool           `json:"exact"`
	Error  float64        `json:"error,omitempty"` // relative standard error of Value when not exact, 0.02 for 2 %
	Limit  float64        `json:"limit"`
	Unit   string         `json:"unit,omitempty"`
	Window string         `json:"window,omitempty"` // as a rule writes it: 1m, 24h
	Detail map[string]any `json:"detail,omitempty"` // what the kind of detection adds: places, path taken, hours
}

// Evidence is one event of the episode, pseudonymised.
type Evidence struct {
	Time      Time    `json:"time"`
	ClientID  string  `json:"client_id,omitempty"`
	Subject   string  `json:"subject,omitempty"`
	TokenID   string  `json:"token_id,omitempty"`
	SessionID string  `json:"session_id,omitempty"`
	SourceIP  string  `json:"source_ip,omitempty"`
	Country   string  `json:"country,omitempty"`
	Method    string  `json:"method"`
	Path      string  `json:"path"`
	Route     string  `json:"route,omitempty"`
	Status    int     `json:"status"`
	RequestID string  `json:"request_id,omitempty"`
	UserAgent string  `json:"user_agent,omitempty"`
	Source    *Source `json:"source,omitempty"`
}

// Source says where an event came from, so that the original record can be found.
type Source struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Index     int32  `json:"index"`
}

// Limits on what one alert carries.
const (
	MaxEvidence = 10
	MaxRelated  = 10 // for each kind
)

// Time is Unix milliseconds, written as RFC 3339 in UTC with milliseconds.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// String formats t as in the JSON form.
func (t Time) String() string { return t.Std().Format(timeLayout) }

// Std converts to a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.Std().AppendFormat(nil, timeLayout), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(text []byte) error {
	std, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return fmt.Errorf("parse alert time: %w", err)
	}
	*t = Time(std.UnixMilli())
	return nil
}

// NewID derives an alert's id from the only things it may depend on: the rule, the entity and the event time that opened
// the episode. Fields are separated by their lengths, so that no two triples share an id.
func NewID(ruleID string, entity Entity, opened Time) string {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{ruleID, entity.Kind, entity.ID} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	binary.BigEndian.PutUint64(n[:], uint64(opened))
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}
