package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

const (
	everyDay  = 0x7f
	dayLength = 24 * 60 // minutes
)

// Contains reports whether access at t, in the schedule's own time zone, is usual. A span covers from its first minute up
// to, not including, its last.
func (s *Schedule) Contains(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	today, yesterday := uint8(1)<<t.Weekday(), uint8(1)<<((t.Weekday()+6)%7)
	for _, span := range s.Spans {
		switch {
		case span.From < span.To:
			if span.Days&today != 0 && span.From <= minute && minute < span.To {
				return true
			}
		case span.Days&today != 0 && minute >= span.From, span.Days&yesterday != 0 && minute < span.To:
			return true
		}
	}
	return false
}

// schedule reads hours and days.
func (r *reader) schedule(hours, days ast.Node) *Schedule {
	s := &Schedule{}
	set := r.days(days)
	for _, item := range r.items(hours, "hours") {
		text := r.text(item, "hours", "")
		if text == "" {
			continue
		}
		from, to, err := parseHours(text)
		if err != nil {
			r.errorf(item, "hours %s", err)
			continue
		}
		s.Spans = append(s.Spans, Span{Days: set, From: from, To: to})
	}
	if s.full() {
		r.errorf(hours, "hours cover the whole week: nothing would be off hours")
	}
	slices.SortFunc(s.Spans, func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	s.Spans = slices.Compact(s.Spans)
	return s
}

// full tries every minute of one week.
func (s *Schedule) full() bool {
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for minute := range 7 * dayLength {
		if !s.Contains(start.Add(time.Duration(minute) * time.Minute)) {
			return false
		}
	}
	return true
}

// parseHours reads "08:00-18:00" as minutes of the day. 24:00 is the end of the day.
func parseHours(s string) (from, to int, err error) {
	first, last, ok := strings.Cut(s, "-")
	from, okFrom := parseClock(strings.TrimSpace(first))
	to, okTo := parseClock(strings.TrimSpace(last))
	switch {
	case !ok || !okFrom || !okTo || from == dayLength:
		return 0, 0, fmt.Errorf("must be such as \"08:00-18:00\", not %q", shorten(s))
	case from == to:
		return 0, 0, fmt.Errorf("%q begins and ends at the same time", s)
	}
	return from, to, nil
}

// parseClock reads hh:mm.
func parseClock(s string) (minutes int, ok bool) {
	if len(s) != 5 || s[2] != ':' || !isDigit(s[0]) || !isDigit(s[1]) || !isDigit(s[3]) || !isDigit(s[4]) {
		return 0, false
	}
	hour, minute := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	minutes = hour*60 + minute
	return minutes, minute < 60 && minutes <= dayLength
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday

// days reads a set of days, bit 0 for Sunday.
func (r *reader) days(n ast.Node) (set uint8) {
	if n == nil {
		return everyDay
	}
	for _, item := range r.items(n, "days") {
		text := strings.ToLower(r.text(item, "days", ""))
		if text == "" {
			continue
		}
		first, last, ok := strings.Cut(text, "-")
		if !ok {
			last = first
		}
		from, to := slices.Index(dayNames, first), slices.Index(dayNames, last)
		if from < 0 || to < 0 {
			r.errorf(item, "days must be such as mon or mon-fri, not %q%s", shorten(text), nearest(text, dayNames))
			continue
		}
		for day := from; ; day = (day + 1) % 7 {
			set |= 1 << day
			if day == to {
				break
			}
		}
	}
	return set
}

func (s *Schedule) appendTo(b []byte) []byte {
	if s == nil {
		return appendInt(b, 0)
	}
	b = appendInt(b, len(s.Spans))
	for _, span := range s.Spans {
		b = appendInt(appendInt(append(b, span.Days), span.From), span.To)
	}
	return b
}

// String writes the schedule as a person reads it: "mon-fri 08:00-12:00 or mon-fri 13:00-18:00".
func (s *Schedule) String() string {
	texts := make([]string, len(s.Spans))
	for i, span := range s.Spans {
		texts[i] = fmt.Sprintf("%02d:%02d-%02d:%02d", span.From/60, span.From%60, span.To/60, span.To%60)
		if days := daysText(span.Days); days != "" {
			texts[i] = days + " " + texts[i]
		}
	}
	return orList(texts)
}

// daysText names a set of days from Monday on, "" for all: mon-fri, sun.
func daysText(set uint8) string {
	if set == everyDay {
		return ""
	}
	var texts []string
	for day := 1; day <= 7; day++ {
		last := day
		for last < 7 && set&(1<<((last+1)%7)) != 0 {
			last++
		}
		switch {
		case set&(1<<(day%7)) == 0:
			continue
		case last > day:
			texts = append(texts, dayNames[day]+"-"+dayNames[last%7])
		default:
			texts = append(texts, dayNames[day%7])
		}
		day = last
	}
	return strings.Join(texts, ",")
}
