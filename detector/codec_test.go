package detector

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// everyKind is one rule of each form that a state can have.
const everyKind = `
rules:
  - {id: distinct, title: t, detect: distinct, by: client_id, count: path.id, window: 1m, limit: 3}
  - {id: rate, title: t, detect: rate, by: client_id, window: 1m, limit: 20}
  - {id: sum, title: t, detect: rate, by: client_id, sum: response_bytes, window: 1m, limit: 20000}
  - {id: share, title: t, detect: rate, by: client_id, share: {status: 4xx}, min: 20, window: 1m, limit: 50%}
  - {id: travel, title: t, detect: travel, by: client_id}
  - {id: simultaneous, title: t, detect: simultaneous, by: client_id, across: country}
  - {id: off-hours, title: t, detect: off_hours, by: client_id, learn: {min_events: 5, min_days: 2}, new: country}
  - {id: new-country, title: t, detect: new_value, by: client_id, value: country, learn: {min_events: 5, min_days: 2}}
  - {id: new-address, title: t, detect: new_value, by: client_id, value: source_ip, learn: {min_events: 5, min_days: 2}, max: 3}
  - {id: risk, title: t, detect: risk, by: client_id}
  - id: workflow
    title: t
    detect: workflow
    by: client_id
    steps: {cart: {route: /cart}, checkout: {route: /checkout}, pay: {route: /pay}}
    workflows: [{name: purchase, timeout: 30m, path: [cart, checkout, pay]}]
    guard: [checkout, pay]
    grace: 1s
  - id: sequence
    title: t
    detect: sequence
    by: client_id
    window: 1m
    steps:
      - {name: cart, absent: true, where: {route: /cart, status: 404}}
      - {name: look, times: 3, where: {route: "/users/{id}"}}
      - {name: checkout, times: 2, where: {route: /checkout}}
      - {name: cart-again, absent: true, where: {route: /cart}}
      - {name: pay, where: {route: /pay, status: 2xx}}
      - {name: refused, absent: true, where: {route: /pay}}
  - id: any-sequence
    title: t
    detect: sequence
    by: client_id
    window: 10s
    order: any
    steps:
      - {name: look, times: 4, where: {route: "/users/{id}"}}
      - {name: cart, where: {route: /cart}}
      - {name: pay, where: {route: /pay}}
    until: {route: /checkout, status: 404}
  - id: enumeration
    title: t
    detect: enumeration
    by: client_id
    count: path.id
    window: 1m
    found: {limit: 2, newcomer_limit: 5}
    denied: {limit: 3}
    sequential: {limit: 4}
    learn: {min_events: 5, min_days: 2}
    remember: 64
  - {id: contract, title: t, detect: contract, by: client_id}
  - {id: contract-limit, title: t, detect: contract, by: client_id, find: [country, operation, no_contract], limit: 3, window: 5m, where: {status: {exists: true}}}
  - {id: several-addresses, title: t, detect: contract, by: client_id, find: several_addresses, window: 1h}
  - {id: several-environments, title: t, detect: contract, by: client_id, find: several_environments, window: 1h, limit: 2}
  - {id: several-agents, title: t, detect: contract, by: client_id, find: several_agents, window: 1h}
contracts:
  - id: users
    applies_to: {client_id: c}
    may: [{route: "/users/{id}"}, {route: [/cart, /checkout], method: GET}]
    countries: [GB, FR]
    hours: "08:00-18:00"
    environments: prod
`

// FuzzState shows random traffic to every kind of state, encodes and decodes it, and goes on with both: they must conclude
// the same from what follows.
func FuzzState(f *testing.F) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(everyKind)})
	if err != nil {
		f.Fatal(err)
	}
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	f.Add(uint64(1), uint16(3))
	f.Add(uint64(2), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		for _, w := range p.rules {
			before, after := randomEvents(seed, int(n%500)), randomEvents(seed+1, 50)
			s := w.detection.newState()
			for _, o := range before {
				s.observe(o)
			}
			b := encodeState(t, s)
			decoded, rest, err := w.detection.decode(b, &interner{})
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: decode: %v, %d bytes left", w.rule.ID, err, len(rest))
			}
			for _, o := range after {
				o.event.Time += before[len(before)-1].now
				o.now = o.event.Time
				if a, b := fmt.Sprintf("%+v", verdict(s.observe(o))), fmt.Sprintf("%+v", verdict(decoded.observe(o))); a != b {
					t.Fatalf("%s: the decoded state finds %s, the original %s", w.rule.ID, b, a)
				}
			}
			if !bytes.Equal(encodeState(t, s), encodeState(t, decoded)) {
				t.Fatalf("%s: states differ after the same events", w.rule.ID)
			}
		}
	})
}

// FuzzDecodeState feeds arbitrary bytes: an error or a state that works, never a panic.
func FuzzDecodeState(f *testing.F) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(everyKind)})
	if err != nil {
		f.Fatal(err)
	}
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	for _, w := range p.rules {
		s := w.detection.newState()
		for _, o := range randomEvents(7, 30) {
			s.observe(o)
		}
		b, err := s.appendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, w := range p.rules {
			s, _, err := w.detection.decode(b, &interner{})
			if err != nil {
				continue
			}
			for _, o := range randomEvents(9, 20) {
				s.observe(o)
			}
		}
	})
}

type conclusion struct {
	value, err       float64
	over, suspicious bool
	wakeAt           event.Time
}

func verdict(f finding) conclusion { return conclusion{f.value, f.err, f.over, f.suspicious, f.wakeAt} }

func encodeState(t *testing.T, s state) []byte {
	t.Helper()
	b, err := s.appendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// randomEvents is traffic of one entity in the order of its time: many ids, statuses, places and hours, and the steps of
// the workflow.
func randomEvents(seed uint64, n int) []observation {
	r := rand.New(rand.NewPCG(seed, 2))
	names := []string{"London", "Paris", "Tokyo", "New-York", "VPN-NY", "Somewhere"}
	at := event.TimeOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	all := make([]observation, n+1)
	for i := range all {
		switch r.IntN(10) {
		case 0:
			at += event.Time(r.IntN(8 * 3600_000))
		default:
			at += event.Time(r.IntN(2000))
		}
		place := places[names[r.IntN(len(names))]]
		path := []string{fmt.Sprintf("/users/%d", r.IntN(100)), "/cart", "/checkout", "/pay"}[r.IntN(4)]
		e := &event.Event{
			Time: at, ClientID: "c", Method: "GET", Path: path, Route: path, Status: []int32{200, 200, 404}[r.IntN(3)],
			Environment: []string{"", "prod", "staging", "test"}[r.IntN(4)], UserAgent: []string{"", "curl/8", "okhttp/4", "okhttp/5"}[r.IntN(4)],
			ResponseSize: int64(r.IntN(5000)), SourceIP: place.ip, IPText: place.ip.String(), Geo: place.geo,
		}
		if path[1] == 'u' {
			e.Route = "/users/{id}"
		}
		all[i] = observation{event: e, now: at}
	}
	return all
}
