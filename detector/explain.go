package detector

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// inTheLast writes where a window ends: in the last minute, in the last 10 minutes.
func inTheLast(window time.Duration) string {
	return "in the last " + strings.TrimPrefix(longDuration(window), "1 ")
}

// span writes from when to when a window holds something, and notes it in the detail. Both are 0 when it holds nothing.
func (x *explanation) span(oldest, newest int64) {
	if newest == 0 {
		return
	}
	x.Detail["oldest"], x.Detail["newest"] = alert.Time(oldest), alert.Time(newest)
	if oldest == newest {
		x.Summary += fmt.Sprintf(", seen at %s", alert.Time(newest))
		return
	}
	x.Summary += fmt.Sprintf(", the oldest from %s, the newest from %s", alert.Time(oldest), alert.Time(newest))
}

// windowDetail is what the windows that are compared with a limit have in common; the names are those of alerts.
func windowDetail(f finding, unit string, window time.Duration) map[string]any {
	detail := map[string]any{"value": f.value, "exact": f.err == 0, "limit": f.limit, "unit": unit, "window": shortDuration(window)}
	if f.err != 0 {
		detail["error"] = f.err
	}
	return detail
}

// one writes a number with its noun in the singular when it is 1.
func one(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return number(float64(n)) + " " + plural
}

// hourRanges writes hours of the day as ranges: 08:00-12:00, 14:00-15:00.
func hourRanges(usual [24]bool) string {
	var ranges []string
	for from := 0; from < 24; {
		to := from
		for to < 24 && usual[to] {
			to++
		}
		if to > from {
			ranges = append(ranges, fmt.Sprintf("%02d:00-%02d:00", from, to))
		}
		from = max(to, from+1)
	}
	return strings.Join(ranges, ", ")
}

// at writes an event time for people.
func at(t event.Time) string { return alert.Time(t).String() }
