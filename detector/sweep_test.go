package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/event"
)

// TestLeapOfTime lets the same time pass in one leap and in steps, as while the clock on the wall moves a quiet partition: the
// same entities must be left, measured to the same size, and what is idle must be gone.
func TestLeapOfTime(t *testing.T) {
	for _, leap := range []event.Time{400, 1000, 12_345, 29_999, 45_000, 100_000, 5 * 3600_000} {
		atOnce, inSteps := quietLane(t), quietLane(t)
		from := atOnce.lanes[0].tables[0].all()[0].seen
		atOnce.lanes[0].fire(from + leap)
		for passed := event.Time(0); passed <= leap; passed += 100 {
			inSteps.lanes[0].fire(from + passed)
		}
		inSteps.lanes[0].fire(from + leap)
		if diff := cmp.Diff(contents(inSteps), contents(atOnce)); diff != "" {
			t.Errorf("after %v other entities are left (-in steps +at once):\n%.1000s", ms(leap), diff)
		}
		if left := atOnce.lanes[0].tables[0].used; leap > 100_000 && left != 0 || leap < 30_000 && left != 300 {
			t.Errorf("after %v %d of 300 entities are left", ms(leap), left)
		}
	}
}

// quietLane returns an engine of one lane in which 300 clients have each called a few times, all in one second.
func quietLane(t *testing.T) *Engine {
	t.Helper()
	const rule = `
rules:
  - {id: ids, title: t, detect: distinct, by: client_id, count: path.id, window: 30s, limit: 8}
`
	e := New(parseRules(t, []byte(rule)), Options{Lanes: 1, Workers: 1})
	at := event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	var events []event.Event
	for n := range 900 {
		events = append(events, event.Event{
			Time: at, Offset: int64(n), ClientID: fmt.Sprint("client-", n%300), Method: "GET", Route: "/users/{id}",
			Path: fmt.Sprint("/users/", n), Status: 200,
		})
	}
	e.Push(e.NewPreparer().Prepare(&event.Batch{Next: 900, Events: events}))
	e.advance(at + bucketWidth)
	return e
}
