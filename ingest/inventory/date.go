package inventory

import (
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// parseDate reads a date or a date-time of RFC 3339.
func parseDate(s string) (event.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	return event.TimeOf(t), err
}
