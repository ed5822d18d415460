package detector

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// benchRules is like the shipped rules: every kind of detection, over clients, tokens, subjects and addresses.
const benchRules = `
rules:
  - {id: profiles, title: t, detect: distinct, by: token_id, where: {route: "/users/{id}/**", method: GET, status: 2xx}, count: path.id, window: 1m, limit: 40}
  - {id: objects, title: t, detect: distinct, by: token_id, where: {status: 2xx}, count: path.id, window: 1m, limit: 100}
  - {id: routes, title: t, detect: distinct, by: token_id, count: route, window: 1m, limit: 60}
  - {id: flood, title: t, detect: rate, by: token_id, window: 1m, limit: 10000}
  - {id: exfiltration, title: t, detect: rate, by: client_id, sum: response_bytes, window: 10m, limit: 1GB}
  - {id: probing, title: t, detect: rate, by: token_id, share: {status: [401, 403, 404]}, min: 30, window: 5m, limit: 60%}
  - {id: stuffing, title: t, detect: distinct, by: source_ip, where: {status: 401}, count: subject, window: 5m, limit: 30}
  - {id: spraying, title: t, detect: distinct, by: subject, where: {status: 401}, count: source_ip, window: 5m, limit: 20}
  - {id: continents, title: t, detect: simultaneous, by: token_id, across: continent}
  - {id: travel, title: t, detect: travel, by: token_id}
  - {id: addresses, title: t, detect: distinct, by: token_id, count: source_ip, window: 10m, limit: 15}
  - {id: night, title: t, detect: off_hours, by: client_id, new: country}
`

// BenchmarkEngine applies events of many active clients to the rules, one core: match, order, apply. It does not decode.
func BenchmarkEngine(b *testing.B) {
	for _, clients := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d_clients", clients), func(b *testing.B) { benchmarkEngine(b, benchRules, clients) })
	}
}

func benchmarkEngine(b *testing.B, text string, clients int) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		b.Fatal(err)
	}
	e := New(set, Options{Disorder: 2 * time.Second, Lanes: 64, Workers: 1})
	const batch = 1024
	events := benchEvents(200*batch, clients)
	preparer := e.NewPreparer()
	at := event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	offset, next := int64(0), 0
	feed := func() {
		part := events[next : next+batch]
		next = (next + batch) % len(events)
		for i := range part { // 100,000 events a second
			part[i].Time = at + event.Time(i/100)
			part[i].Offset = offset + int64(i)
		}
		at += 10
		e.Push(preparer.Prepare(&event.Batch{First: offset, Next: offset + batch, Events: part}))
		offset += batch
		e.Advance()
	}
	for range 2000 {
		feed()
	}
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		feed()
		n += batch
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
	s := e.Stats()
	bytes := int64(0)
	for _, g := range s.Groups {
		bytes += g.Bytes
	}
	b.ReportMetric(float64(bytes)/float64(clients), "B/client")
}

func benchEvents(n, clients int) []event.Event {
	r := rand.New(rand.NewPCG(1, 2))
	routes := []string{"/users/{id}/profile", "/orders/{id}", "/carts/{id}/items", "/catalogue/{id}", "/search", "/login"}
	names := []string{"London", "Paris", "Tokyo", "New-York"}
	events := make([]event.Event, n)
	for i := range events {
		c := r.IntN(clients)
		route := routes[r.IntN(len(routes))]
		place := places[names[c%len(names)]]
		ip := netip.AddrFrom4([4]byte{11, byte(c >> 16), byte(c >> 8), byte(c)})
		status := int32(200)
		if r.IntN(30) == 0 {
			status = 401
		}
		events[i] = event.Event{
			ClientID: fmt.Sprint("client-", c%1000), Subject: fmt.Sprint("user-", c), TokenID: fmt.Sprint("tok_", c), Method: "GET",
			Route: route, Path: "/" + route[1:5] + "/" + fmt.Sprint(r.IntN(20)), Status: status, ResponseSize: 512,
			SourceIP: ip, IPText: ip.String(), Geo: place.geo,
		}
	}
	return events
}
