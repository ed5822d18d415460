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
	if err := WriteLine(buf, a); err != nil {
		return fmt.Errorf("encode alert %s version %d: %w", a.ID, a.Version, err)
	}
	return nil
}

// WriteBlindSpot is to a blind spot what WriteJSON is to an alert.
func WriteBlindSpot(buf *bytes.Buffer, b *alert.BlindSpot) error {
	if err := WriteLine(buf, b); err != nil {
		return fmt.Errorf("encode blind spot %s version %d: %w", b.ID, b.Version, err)
	}
	return nil
}

// WriteLine appends the JSON form of any value and a newline to buf. On an error buf is as it was.
func WriteLine(buf *bytes.Buffer, v any) error {
	start := buf.Len()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		buf.Truncate(start)
		return err
	}
	return nil
}

// WriteLines appends a batch to buf as JSON lines and reports those that have no JSON form (numbers that are not finite).
func WriteLines(buf *bytes.Buffer, batch []*alert.Alert) []Refusal {
	return WriteEach(buf, batch, WriteJSON)
}

// WriteBlindSpotLines is to blind spots what WriteLines is to alerts.
func WriteBlindSpotLines(buf *bytes.Buffer, batch []*alert.BlindSpot) []Refusal {
	return WriteEach(buf, batch, WriteBlindSpot)
}

// WriteEach appends a batch to buf by write and reports those that have no such form.
func WriteEach[T any](buf *bytes.Buffer, batch []T, write func(*bytes.Buffer, T) error) (refused []Refusal) {
	for i, v := range batch {
		if err := write(buf, v); err != nil {
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

// RefuseAll makes the result of a delivery of n records none of which will ever be taken, all for the same reason.
func RefuseAll(n int, reason error) error {
	refused := make([]Refusal, n)
	for i := range refused {
		refused[i] = Refusal{Index: i, Err: reason}
	}
	return Refuse(refused)
}
