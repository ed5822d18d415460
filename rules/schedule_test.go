package rules

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		hours, days string
		in, out     []string // Mon 15:04
	}{
		{`"08:00-18:00"`, "mon-fri", []string{"Mon 08:00", "Fri 17:59", "Wed 12:00"}, []string{"Mon 07:59", "Fri 18:00", "Sat 12:00", "Sun 12:00"}},
		{`"22:00-06:00"`, "fri", []string{"Fri 22:00", "Sat 05:59", "Fri 23:59", "Sat 00:00"}, []string{"Fri 21:59", "Fri 05:00", "Sat 06:00", "Sat 22:00"}},
		{`["08:00-12:00", "13:00-24:00"]`, "[mon, sat-sun]", []string{"Mon 08:00", "Sun 23:59", "Sat 13:00"}, []string{"Mon 12:30", "Tue 09:00", "Mon 00:00"}},
		{`"00:00-24:00"`, "sat-sun", []string{"Sat 00:00", "Sun 23:59"}, []string{"Mon 00:00", "Fri 23:59"}},
		{`"20:00-08:00"`, "sun-mon", []string{"Sun 20:00", "Mon 01:00", "Mon 21:00", "Tue 07:59"}, []string{"Sun 07:00", "Tue 20:00", "Tue 08:00"}},
	} {
		set := mustParse(t, "rules: [{id: a, detect: off_hours, by: subject, hours: "+c.hours+", days: "+c.days+"}]")
		s := set.Rules[0].Detection.(*OffHours).Declared
		for usual, times := range map[bool][]string{true: c.in, false: c.out} {
			for _, text := range times {
				if got := s.Contains(weekTime(t, text)); got != usual {
					t.Errorf("%s on %s at %s: usual is %v", c.hours, c.days, text, got)
				}
			}
		}
	}
}

// weekTime returns a time with that weekday and clock.
func weekTime(t *testing.T, text string) time.Time {
	t.Helper()
	clock, err := time.Parse("15:04", text[4:])
	if err != nil {
		t.Fatal(err)
	}
	for day := 1; day <= 7; day++ {
		at := time.Date(2026, 11, day, clock.Hour(), clock.Minute(), 59, 0, time.UTC)
		if at.Format("Mon") == text[:3] {
			return at
		}
	}
	t.Fatalf("no day %q", text)
	return time.Time{}
}
