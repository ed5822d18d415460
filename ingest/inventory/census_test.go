package inventory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestCensus(t *testing.T) {
	v, err := Parse(Specification{"spec.yaml", []byte(`openapi: 3.0.3
info: {title: Shop, version: "1"}
paths:
  /a: {get: {x-owner: team}, put: {x-owner: team}}
  /old: {get: {x-owner: team, deprecated: true, x-sunset: 2026-06-30, x-classification: pii}}
  /mine/{id}: {get: {}, delete: {}}
`)})
	if err != nil {
		t.Fatal(err)
	}
	at := func(day string) event.Time { d, _ := parseDate(day); return d }
	var events []event.Event
	call := func(day, client, method, path, route string, status int32, times int) {
		for range times {
			events = append(events, event.Event{Time: at(day), ClientID: client, Method: method, Path: path, Route: route, Status: status, Operation: v.Find(method, path, "")})
		}
	}
	call("2026-06-28", "x", "GET", "/a", "/a", 200, 2)
	call("2026-06-29", "x", "GET", "/old", "/old", 200, 4)
	call("2026-07-01", "x", "GET", "/old", "/old", 200, 2)
	call("2026-07-02", "y", "GET", "/old", "/old", 410, 1)
	call("2026-07-02", "y", "GET", "/mine/7", "/mine/{id}", 500, 1)
	call("2026-07-03", "y", "POST", "/hidden/1", "/hidden/{id}", 201, 3)
	call("2026-07-04", "z", "POST", "/hidden/2", "/hidden/{id}", 204, 1)
	call("2026-07-04", "z", "GET", "/guess", "/guess", 404, 9)
	want := Report{
		Events: uint64(len(events)), From: "2026-06-28T00:00:00.000Z", To: "2026-07-04T00:00:00.000Z", Named: 5,
		Shadow: []Endpoint{{Method: "POST", Route: "/hidden/{id}", Requests: 4, Successes: 4, Callers: 2, CallersExact: true,
			FirstSeen: "2026-07-03T00:00:00.000Z", LastSeen: "2026-07-04T00:00:00.000Z"}},
		Zombie: []Endpoint{{Method: "GET", Route: "/old", API: "Shop", Owner: "team", Classification: "pii", Deprecated: true,
			Sunset: "2026-06-30T00:00:00.000Z", Requests: 3, Successes: 2, Callers: 2, CallersExact: true,
			FirstSeen: "2026-07-01T00:00:00.000Z", LastSeen: "2026-07-02T00:00:00.000Z", File: "spec.yaml", Line: 5}},
		Ownerless: []Endpoint{
			{Method: "GET", Route: "/mine/{id}", API: "Shop", Requests: 1, Callers: 1, CallersExact: true,
				FirstSeen: "2026-07-02T00:00:00.000Z", LastSeen: "2026-07-02T00:00:00.000Z", File: "spec.yaml", Line: 6},
			{Method: "DELETE", Route: "/mine/{id}", API: "Shop", CallersExact: true, File: "spec.yaml", Line: 6},
		},
		Unused: []Endpoint{
			{Method: "PUT", Route: "/a", API: "Shop", Owner: "team", CallersExact: true, File: "spec.yaml", Line: 4},
			{Method: "DELETE", Route: "/mine/{id}", API: "Shop", CallersExact: true, File: "spec.yaml", Line: 6},
		},
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		c := NewCensus(v)
		for i := range events {
			c.Add(&events[i])
		}
		if diff := cmp.Diff(want, c.Report()); diff != "" {
			t.Error(diff)
		}
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
}

func TestCensusIsBounded(t *testing.T) {
	v := parsed(t, "/a")
	c := NewCensus(v)
	for i := range maxShadows + 500 {
		c.Add(&event.Event{Method: "GET", Route: fmt.Sprint("/x", i), Status: 200, ClientID: "c", Operation: unregistered})
	}
	for i := range 20_000 {
		c.Add(&event.Event{Method: "GET", Route: "/a", Status: 200, Subject: fmt.Sprint(i), Operation: v.Find("GET", "/a", "")})
	}
	r := c.Report()
	if len(r.Shadow) != maxShadows || r.Others != 500 {
		t.Errorf("%d endpoints and %d requests to others", len(r.Shadow), r.Others)
	}
	line := r.Ownerless[0]
	if line.CallersExact || line.Callers < 19_000 || line.Callers > 21_000 || c.used[0].callers != nil {
		t.Errorf("%+v", line)
	}
}
