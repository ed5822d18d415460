package detector

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

const hostileContract = `
rules:
  - {id: all, title: t, detect: contract, by: client_id, where: {status: {exists: true}}, find: [operation, country, network, scope, environment, no_contract]}
  - {id: clients, title: t, detect: contract, by: token_id, where: {status: {exists: true}}, find: several_clients}
  - {id: agents, title: t, detect: contract, by: token_id, where: {status: {exists: true}}, find: several_agents}
contracts:
  - {id: c, applies_to: {client_id: {exists: true}}, may: {api: x}, countries: DE, networks: 10.0.0.0/8, scopes: read, environments: prod}
`

// TestHostileValuesStaySmall shows huge values full of control characters: what alerts say is short and steers no terminal.
func TestHostileValuesStaySmall(t *testing.T) {
	huge := strings.Repeat("\x1b[2J\u202e", 20_000)
	e := New(parseRules(t, []byte(hostileContract)), Options{Lanes: 1, Workers: 1})
	var events []event.Event
	for i := range 5 {
		events = append(events, event.Event{
			Offset: int64(i), Time: event.Time(1_000_000 + 1000*i), ClientID: "c", TokenID: "t", Method: huge, Path: huge, Route: huge, API: huge, Environment: huge,
			Scopes: []string{huge}, SourceIP: netip.MustParseAddr("192.0.2.1"), IPText: huge, UserAgent: fmt.Sprintf("%c%s", 'a'+i, huge), Geo: &event.Geo{Country: huge}, Status: 200,
		})
		events[i].ClientID = fmt.Sprintf("%d%s", i/2, huge)
	}
	e.Push(e.NewPreparer().Prepare(&event.Batch{Partition: event.Partition{Topic: "test"}, Next: 5, Events: events}))
	found := map[string]bool{}
	for _, a := range append(e.Advance(), e.Flush()...) {
		found[a.Rule.ID] = true
		summary := strings.ReplaceAll(a.Summary, a.Entity.ID, "")
		if len(summary) > 1000 || strings.ContainsRune(summary, '\x1b') {
			t.Errorf("%s: %d bytes: %.200q", a.Rule.ID, len(summary), summary)
		}
		if text := fmt.Sprint(a.Observed.Detail); len(text) > 2000 || strings.ContainsRune(text, '\x1b') {
			t.Errorf("%s: detail of %d bytes", a.Rule.ID, len(text))
		}
	}
	if len(found) != 3 {
		t.Errorf("alerts of %v", found)
	}
}

// TestPresentedIsBounded presents a token from thousands of networks and by thousands of clients.
func TestPresentedIsBounded(t *testing.T) {
	set := parseRules(t, []byte(`
rules:
  - {id: addresses, title: t, detect: contract, by: token_id, find: several_addresses, window: 1h, limit: 32}
  - {id: clients, title: t, detect: contract, by: token_id, find: several_clients, window: 1h}
`))
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	for _, w := range p.rules {
		s := w.detection.newState()
		var f finding
		for i := range 5000 {
			ip := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
			e := &event.Event{Time: event.Time(1_000_000 + i), SourceIP: ip, ClientID: fmt.Sprint("client-", i)}
			f = s.observe(observation{event: e, now: e.Time})
		}
		if f.value != maxPresented || !f.over {
			t.Errorf("%s: %+v", w.rule.ID, f)
		}
		if size := s.size(); size > 8<<10 {
			t.Errorf("%s: %d bytes", w.rule.ID, size)
		}
		a := &alert.Alert{Entity: alert.Entity{Kind: "token_id", ID: "tok"}}
		w.detection.describe(a, s, f)
		if !strings.Contains(a.Summary, "64 or more") || len(a.Summary) > 500 {
			t.Errorf("%s: %s", w.rule.ID, a.Summary)
		}
	}
}

// TestKeepingToOneDoesNotAllocate shows the ordinary case again and again: one token, one client, one network, one program.
func TestKeepingToOneDoesNotAllocate(t *testing.T) {
	set := parseRules(t, []byte(everyKind))
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	e := &event.Event{Time: 1_000_000, ClientID: "c", UserAgent: "okhttp/4.9.1 (x)", Environment: "prod", SourceIP: netip.MustParseAddr("10.1.2.3"), Status: 200}
	for i, r := range set.Rules {
		if !strings.HasPrefix(r.ID, "several-") {
			continue
		}
		s := p.rules[i].detection.newState()
		observe := func() {
			e.Time++
			s.observe(observation{event: e, now: e.Time})
		}
		observe()
		if n := testing.AllocsPerRun(100, observe); n != 0 {
			t.Errorf("%s: %v allocations", r.ID, n)
		}
	}
}

// TestDeviationsAreCounted goes on deviating in two ways, then again after the episode.
func TestDeviationsAreCounted(t *testing.T) {
	s := &scenario{lanes: 1, rules: []byte(`
rules: [{id: a, title: t, detect: contract, by: client_id}]
contracts: [{id: c, applies_to: {client_id: p}, may: {method: GET}, environments: prod}]
`), events: parseTraffic(t, `
2026-03-02 10:00:00 x3 every 1s client_id=p environment=test POST /a 200
2026-03-02 10:00:10 client_id=p environment=prod POST /a 200
2026-03-02 12:00:00 client_id=p environment=test GET /a 200
2026-03-02 14:00:00 client_id=end GET /a 200
`)}
	var closed []string
	for _, a := range s.run(t, plainRun) {
		if a.State == alert.Closed {
			closed = append(closed, fmt.Sprint(a.Observed.Detail["deviations"]))
		}
	}
	if got := strings.Join(closed, " "); got != "map[environment:3 operation:4] map[environment:1]" {
		t.Error(got)
	}
}

// TestCountsBeginWithTheEpisode deviates again just before and when the episode is over: the state itself must know, because when the
// sweep forgets a quiet one says nothing about episodes.
func TestCountsBeginWithTheEpisode(t *testing.T) {
	set := parseRules(t, []byte("rules: [{id: a, title: t, detect: contract, by: client_id, find: wildcard_scope, close_after: 1m}]"))
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	s := p.rules[0].detection.newState().(*contractState)
	for i, want := range []uint32{1, 2, 3, 1} {
		e := &event.Event{Time: []event.Time{1_000_000, 1_059_999, 1_010_000, 1_119_999}[i], Scopes: []string{"*"}}
		s.observe(observation{event: e, now: max(e.Time, s.newest)})
		if got := s.byName()["wildcard_scope"]; got != want {
			t.Errorf("event %d: %d deviations, want %d", i, got, want)
		}
	}
}
