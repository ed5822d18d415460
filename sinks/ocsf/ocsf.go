// Package ocsf writes alerts in the Open Cybersecurity Schema Framework (schema.ocsf.io), version 1.8.0: every version of an
// alert becomes one Detection Finding, class 2004.
//
//	finding.go    the event and what it says of the rule
//	evidence.go   the requests of the episode
//	observable.go values to search for, wherever they stand in the event
//	anomaly.go    what was measured and what is usual
//	attack.go     MITRE ATT&CK
//	incident.go   the signals that an incident combines
//
// Nothing of an alert is lost: what has no place in the schema is in unmapped and in the data of the evidence. Blind spots stay
// in gatewatch's own form, because no class of the schema says that silence proves nothing. Fields by which people who work on
// findings track them (status, verdict, assignee) are left to the consumer, as the schema asks.
package ocsf

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// Version is the version of the schema that findings follow.
const Version = "1.8.0"

// Write appends the Detection Finding of an alert and a newline to buf. On an error, for numbers that are not finite, buf is as
// it was.
func Write(buf *bytes.Buffer, a *alert.Alert) error {
	if err := sinks.WriteLine(buf, newFinding(a)); err != nil {
		return fmt.Errorf("encode alert %s version %d as OCSF: %w", a.ID, a.Version, err)
	}
	return nil
}

// Format is the form in which a destination without a form of its own gets alerts.
type Format string

// The formats.
const (
	JSON Format = "json" // gatewatch's own
	OCSF Format = "ocsf"
)

// Validate reports a format that does not exist.
func (f Format) Validate() error {
	if f != JSON && f != OCSF {
		return fmt.Errorf("format is %q, must be %q or %q", f, JSON, OCSF)
	}
	return nil
}

// Write appends an alert in this format and a newline to buf. On an error buf is as it was.
func (f Format) Write(buf *bytes.Buffer, a *alert.Alert) error {
	if f == OCSF {
		return Write(buf, a)
	}
	return sinks.WriteJSON(buf, a)
}

// Schema names the schema of an alert in this format, with its version.
func (f Format) Schema(a *alert.Alert) string {
	if f == OCSF {
		return "ocsf.detection_finding/" + Version
	}
	return "gatewatch.alert/" + strconv.Itoa(a.Schema)
}
