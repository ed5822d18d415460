package ruletest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/rules"
)

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// listed writes a headline and what belongs to it, one a line. There is a bound to what anybody reads.
func listed(headline string, lines []string) string {
	const most = 5
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(append([]string{headline}, lines...), "\n  ")
}

// clock writes an offset from the start of a test, with the time that it is then.
func clock(t *rules.Test, at time.Duration) string {
	return fmt.Sprintf("%s after the start, at %s", rules.FormatDuration(at), timeOfDay(t, t.Start.Std().Add(at)))
}

// timeOfDay writes a time; with its date, when that is not the one on which the test starts.
func timeOfDay(t *rules.Test, at time.Time) string {
	layout := "15:04:05"
	if at.Nanosecond() != 0 {
		layout = "15:04:05.000"
	}
	if at.Format(time.DateOnly) != t.Start.Std().Format(time.DateOnly) {
		layout = "2006-01-02 " + layout
	}
	return at.Format(layout)
}

// describe writes an alert in a line.
func (a *Episode) describe(t *rules.Test) string {
	return fmt.Sprintf("%s for %s, %s: %s", a.Rule, a.Entity, clock(t, a.offset(t)), a.Summary)
}

// expected writes what must come.
func expected(t *rules.Test, x *rules.Expectation) string {
	var b strings.Builder
	switch {
	case x.Count.Contains(1) && x.Count.Low == x.Count.High:
		b.WriteString("an alert")
	default:
		b.WriteString(x.Count.Text + " alerts")
	}
	fmt.Fprintf(&b, " of %s", x.Rule)
	if x.Entity != "" {
		fmt.Fprintf(&b, " for %s", x.Entity)
	}
	if x.After > 0 && x.After == x.Within {
		fmt.Fprintf(&b, " at %s", rules.FormatDuration(x.After))
		return b.String()
	}
	if x.After > 0 {
		fmt.Fprintf(&b, " after %s", rules.FormatDuration(x.After))
	}
	if x.Within < rules.MaxTestSpan {
		fmt.Fprintf(&b, " within %s", rules.FormatDuration(x.Within))
	}
	return b.String()
}
