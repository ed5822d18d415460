package sinks

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// WriteJSON appends the JSON form of an alert and a newline to buf. On an error buf is as it was. Characters that matter
// to HTML are left as they are: alerts are read in terminals and SIEMs.
func WriteJSON(buf *bytes.Buffer, a *alert.Alert) error {
	start := buf.Len()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		buf.Truncate(start)
		return fmt.Errorf("encode alert %s version %d: %w", a.ID, a.Version, err)
	}
	return nil
}

// WriteLines appends a batch to buf as JSON lines and reports those that have no JSON form (numbers that are not finite).
func WriteLines(buf *bytes.Buffer, batch []*alert.Alert) (refused []Refusal) {
	for i, a := range batch {
		if err := WriteJSON(buf, a); err != nil {
			refused = append(refused, Refusal{Index: i, Err: err})
		}
	}
	return refused
}

// Refuse makes the result of a delivery in which all alerts but the refused ones arrived.
func Refuse(refused []Refusal) error {
	if len(refused) == 0 {
		return nil
	}
	return &PartialError{Refused: refused}
}
