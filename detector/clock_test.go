package detector

import (
	"math"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestClock(t *testing.T) {
	const hour, minute = 3600_000, 60_000
	repeat := func(t event.Time, n int) (times []event.Time) {
		for range n {
			times = append(times, t)
		}
		return times
	}
	start := repeat(10*hour, believedLeaps)
	for _, c := range []struct {
		name  string
		times []event.Time
		want  event.Time
	}{
		{"does not run before its first events are believed", []event.Time{10 * hour}, 0},
		{"runs with the first believed events", start, 10 * hour},
		{"follows small steps", append(start, 10*hour+minute, 10*hour+2*minute), 10*hour + 2*minute},
		{"does not run backwards", append(start, 9*hour), 10 * hour},
		{"doubts a single leap", append(start, 11*hour, 10*hour+1), 10*hour + 1},
		{"doubts a burst of leaps that honest events interrupt", append(append(start, repeat(11*hour, 60)...), 10*hour+5), 10*hour + 5},
		{"follows a leap that all events make", append(start, repeat(11*hour, believedLeaps)...), 11 * hour},
		{"doubts a wrong first event", append([]event.Time{99 * hour}, repeat(10*hour, believedLeaps)...), 10 * hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k clock
			for _, at := range c.times {
				k.observe(at)
			}
			if k.max != c.want {
				t.Errorf("clock shows %v, want %v", k.max, c.want)
			}
		})
	}
}

func TestClockSettlesWhenTheSourceIsQuiet(t *testing.T) {
	var k clock
	for _, at := range []event.Time{1000, 2000, 10_000_000, 99_000_000} {
		k.observe(at)
	}
	k.settle(20_000_000)
	if k.max != 10_000_000 || len(k.leaps) != 0 {
		t.Errorf("clock shows %d with %d open leaps, want 10000000 with none", k.max, len(k.leaps))
	}
	k.observe(10_000_001)
	k.settle(math.MaxInt64)
	if k.max != 10_000_001 {
		t.Errorf("clock shows %d, want 10000001", k.max)
	}
}
