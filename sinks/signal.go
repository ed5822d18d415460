package sinks

import (
	"encoding/json"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Signal is what an incident, an alert of a rule of the kind risk, says of each piece of evidence that it combines.
type Signal struct {
	Time     alert.Time     `json:"time"`   // of the first signal of the rule
	Latest   alert.Time     `json:"latest"` // of the one that the rest describes
	Rule     string         `json:"rule"`
	Title    string         `json:"title"`
	Severity alert.Severity `json:"severity"`
	Signal   string         `json:"signal"` // alert, shadow alert, near limit, …
	Evidence string         `json:"evidence"`
	Points   float64        `json:"points"`
	AlertID  string         `json:"alert_id"`
	Summary  string         `json:"summary"`
}

// Signals returns those of an incident, none of another alert. It reads them by their JSON form: an alert that was kept in an
// outbox has lost the Go types of its detail.
func Signals(a *alert.Alert) []Signal {
	detail := a.Observed.Detail["signals"]
	if detail == nil {
		return nil
	}
	var all []Signal
	text, err := json.Marshal(detail)
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	return all
}
