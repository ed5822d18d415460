package detector

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

const unlistedRule = `rules: [{id: a, title: t, detect: inventory, by: client_id, window: 10m, close_after: 1h}]`

func newInventoryState(t *testing.T, text string) *inventoryState {
	t.Helper()
	set := parseRules(t, []byte(text))
	return newDetection(set.Rules[0], Options{}).newState().(*inventoryState)
}

func unlisted(at event.Time, route string) observation {
	return observation{event: &event.Event{Time: at, Method: "GET", Path: route, Route: route, Status: 200, Operation: operations["unregistered"]}, now: at}
}

// The endpoints of one stretch of calls are those of no other.
func TestEndpointsAreForgottenWithTheAlert(t *testing.T) {
	const start, hour = 1_800_000_000_000, 3_600_000
	s := newInventoryState(t, unlistedRule)
	s.observe(unlisted(start, "/first"))
	s.observe(unlisted(start+hour, "/second"))
	if len(s.endpoints) != 2 || s.idle(start+2*hour) {
		t.Errorf("%d endpoints within the hour, idle %v", len(s.endpoints), s.idle(start+2*hour))
	}
	if !s.idle(start + 2*hour + 1) {
		t.Error("what is as good as new is not said to be")
	}
	s.observe(unlisted(start+2*hour+1, "/third"))
	if len(s.endpoints) != 1 || s.endpoints[0].route != "/third" {
		t.Errorf("%+v", s.endpoints)
	}
}

func TestEndpointsAreBounded(t *testing.T) {
	s := newInventoryState(t, unlistedRule)
	var f finding
	for i := range 20_000 {
		f = s.observe(unlisted(1_800_000_000_000+event.Time(i), fmt.Sprint("/", i, strings.Repeat("x\x1b[2J\u202e", 1000))))
	}
	if len(s.endpoints) != maxEndpoints || s.others != 20_000-maxEndpoints || s.size() > 40_000 {
		t.Errorf("%d endpoints, %d others, %d bytes", len(s.endpoints), s.others, s.size())
	}
	a := &alert.Alert{Entity: alert.Entity{Kind: "client_id", ID: "c"}}
	s.d.describe(a, s, f)
	if len(a.Summary) > 600 || strings.ContainsFunc(a.Summary, unicode.IsControl) {
		t.Errorf("%d bytes: %q", len(a.Summary), a.Summary)
	}
}

func TestInventoryDoesNotAllocate(t *testing.T) {
	s := newInventoryState(t, unlistedRule)
	o := unlisted(1_800_000_000_000, "/x")
	if n := testing.AllocsPerRun(1000, func() {
		o.event.Time++
		o.now++
		s.observe(o)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
