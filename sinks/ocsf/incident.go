package ocsf

import (
	"strconv"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// relatedEvent is a signal that an incident combines with others.
type relatedEvent struct {
	UID           string `json:"uid"`
	TypeUID       int    `json:"type_uid,omitempty"` // of signals that are findings themselves
	TypeName      string `json:"type_name,omitempty"`
	Type          string `json:"type,omitempty"` // of other signals
	Title         string `json:"title,omitempty"`
	Desc          string `json:"desc,omitempty"`
	SeverityID    int    `json:"severity_id"`
	Severity      string `json:"severity"`
	FirstSeenTime millis `json:"first_seen_time"`
	LastSeenTime  millis `json:"last_seen_time"`
	Tags          []tag  `json:"tags"`
}

type tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// relatedEvents returns the signals of an incident, none of another alert.
func relatedEvents(a *alert.Alert) (events []relatedEvent) {
	for _, s := range sinks.Signals(a) {
		events = append(events, newRelatedEvent(s, a.Entity))
	}
	return events
}

// newRelatedEvent refers to the first version of an alert, the one that is certain to exist. Other signals, suspicion and alerts of
// rules in shadow mode, are findings that nobody got.
func newRelatedEvent(s sinks.Signal, entity alert.Entity) relatedEvent {
	severity := choose(severities, s.Severity)
	e := relatedEvent{
		Title: s.Title, Desc: s.Summary, SeverityID: severity.id, Severity: severity.caption,
		FirstSeenTime: millis(s.Time), LastSeenTime: millis(s.Latest),
		Tags: []tag{{"rule", s.Rule}, {"evidence", s.Evidence}, {"points", strconv.FormatFloat(s.Points, 'f', -1, 64)}},
	}
	if s.Signal == "alert" && s.AlertID != "" {
		create := activities[alert.Open]
		e.UID, e.TypeUID, e.TypeName = eventUID(s.AlertID, 1), typeUID(create), typeName(create)
		return e
	}
	if e.UID, e.Type = s.AlertID, s.Signal; e.UID == "" {
		e.UID = alert.NewID(s.Rule, entity, s.Time)
	}
	return e
}
