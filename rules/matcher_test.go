package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

// twelve is a set of the size and mixture that gatewatch ships.
const twelve = `
rules:
  - {id: r-1, detect: distinct, by: client_id, where: {route: "/users/{id}/**", method: GET, status: 2xx}, count: path.id, window: 1m, limit: 50}
  - {id: r-2, detect: distinct, by: token_id, where: {route: ["/accounts/{id}", "/accounts/{id}/statements"], method: GET, status: 2xx}, count: path.id, window: 10m, limit: 30}
  - {id: r-3, detect: distinct, by: token_id, where: {route: "/**/orders/{id}/**", status: 2xx}, count: path.id, window: 10m, limit: 30}
  - {id: r-4, detect: rate, by: token_id, window: 1m, limit: 1000}
  - {id: r-5, detect: rate, by: source_ip, where: {route: [/login, /oauth/token], status: [401, 403]}, window: 5m, limit: 20}
  - {id: r-6, detect: rate, by: client_id, window: 5m, share: {status: [401, 403, 404]}, limit: 60%}
  - {id: r-7, detect: rate, by: client_id, sum: response_bytes, window: 10m, limit: 500MB}
  - {id: r-8, detect: travel, by: subject}
  - {id: r-9, detect: simultaneous, by: token_id}
  - {id: r-10, detect: off_hours, by: subject, where: {route: {not: "/health/**"}}, new: country}
  - {id: r-11, detect: off_hours, by: subject, where: {route: "/admin/**", status: {not: 404}}, hours: "08:00-18:00", days: mon-fri}
  - {id: r-12, detect: distinct, by: source_ip, where: {status: [404, 405]}, count: route, window: 5m, limit: 20}
`

func mustParse(t testing.TB, text string) *Set {
	t.Helper()
	set, err := Parse(File{"rules.yaml", []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// traffic returns events of a shop, with some spelled oddly.
func traffic(n int) []event.Event {
	r := rand.New(rand.NewPCG(1, 2))
	routes := []string{"/users/{id}/profile", "/users/{id}", "/orders", "/orders/{id}", "/v1/orders/{id}/items", "/carts/{id}/items", "/checkout",
		"/accounts/{id}", "/accounts/{id}/statements", "/login", "/admin/users", "/health"}
	odd := []string{"//users/7", "/users/./7/", "/users/%37", "/health/../users/7", "/health/..;/users/7", "/users;v=1/7", "/USERS/7", "/users%2f7", "/a/b/c"}
	events := make([]event.Event, n)
	for i := range events {
		route := routes[r.IntN(len(routes))]
		e := event.Event{Environment: "prod", API: "shop-v1", ClientID: fmt.Sprint("client-", r.IntN(100)), TokenID: fmt.Sprint("tok_", r.IntN(1000)),
			Subject: "user-1", SourceIP: netip.AddrFrom4([4]byte{11, 0, byte(r.IntN(9)), 1}), IPText: "11.0.0.1", Method: []string{"GET", "GET", "POST"}[r.IntN(3)],
			Status: []int32{200, 200, 200, 200, 404, 401}[r.IntN(6)], Route: route, Path: strings.ReplaceAll(route, "{id}", fmt.Sprint(r.IntN(100000)))}
		if i%50 == 7 {
			e.Path = odd[r.IntN(len(odd))]
			e.Route = ""
		}
		events[i] = e
	}
	return events
}

func BenchmarkMatcher(b *testing.B) {
	for _, n := range []int{12, 48} {
		text := twelve
		for i := 1; i < n/12; i++ {
			text += strings.ReplaceAll(strings.TrimPrefix(twelve, "\nrules:\n"), "id: r-", fmt.Sprintf("id: r%d-", i))
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			m := mustParse(b, text).NewMatcher()
			events := traffic(4096)
			for i := range events {
				events[i].Path = strings.ReplaceAll(events[i].Path, "//", "/")
			}
			i := 0
			for b.Loop() {
				m.Match(&events[i&4095])
				i++
			}
		})
	}
}

func BenchmarkMatcherPathWithoutShape(b *testing.B) {
	m := mustParse(b, twelve).NewMatcher()
	events := traffic(4096)
	for i := range events {
		events[i].Path = "/shop/api" + events[i].Path
	}
	i := 0
	for b.Loop() {
		m.Match(&events[i&4095])
		i++
	}
}

func BenchmarkMatcherFlood(b *testing.B) {
	m := mustParse(b, twelve).NewMatcher()
	events := traffic(1 << 16)
	for i := range events {
		events[i].Path = fmt.Sprintf("/scan/%d/x", i)
		events[i].Route = events[i].Path
	}
	i := 0
	for b.Loop() {
		m.Match(&events[i&(1<<16-1)])
		i++
	}
}

func BenchmarkFilter(b *testing.B) {
	f := mustParse(b, twelve).Rules[0].Filter
	e := &event.Event{Method: "GET", Status: 200, Route: "/users/{id}/profile", Path: "/users/42/profile"}
	other := &event.Event{Method: "GET", Status: 200, Route: "/orders/{id}/items", Path: "/orders/42/items"}
	b.Run("match", func(b *testing.B) {
		for b.Loop() {
			f.Match(e)
		}
	})
	b.Run("other-route", func(b *testing.B) {
		for b.Loop() {
			f.Match(other)
		}
	})
}

func BenchmarkDistinctValue(b *testing.B) {
	d := mustParse(b, twelve).Rules[0].Detection.(*Distinct)
	e := &event.Event{Method: "GET", Status: 200, Route: "/users/{id}/profile", Path: "/users/42/profile"}
	for b.Loop() {
		d.Value(e)
	}
}

// mixed holds filters of every class that the Matcher treats in a way of its own.
const mixed = `
rules:
  - {id: m-1, detect: rate, by: client_id, window: 1m, limit: 1, where: {api: "shop*", environment: prod, route: "/users/{id}"}}
  - {id: m-2, detect: rate, by: client_id, window: 1m, limit: 1, where: {route: {is: "/**", not: ["/users/7", "/health/**"]}}}
  - {id: m-3, detect: rate, by: client_id, window: 1m, limit: 1, where: {any: [{route: /users/7}, {status: 404, path: "/a/**"}]}}
  - {id: m-4, detect: rate, by: client_id, window: 1m, limit: 1, where: {not: {route: "/health/**", method: GET}}}
  - {id: m-5, detect: rate, by: client_id, window: 1m, limit: 1, where: {not: {not: {route: "/users/*"}}}}
  - {id: m-6, detect: rate, by: client_id, window: 1m, limit: 1, where: {route: /users/7, source_ip: 11.0.3.0/24}}
  - {id: m-7, detect: rate, by: client_id, window: 1m, limit: 1, where: {method: post}, if: 'path contains "7" and status < 400'}
  - {id: m-8, detect: rate, by: client_id, window: 1m, limit: 1, where: {path: {not: "/orders/**"}, client_id: ["client-1*", x]}}
  - {id: m-9, detect: rate, by: client_id, window: 1m, limit: 1, where: {any: [{method: PUT}, {status: [4xx]}]}}
  - {id: m-10, detect: rate, by: client_id, window: 1m, limit: 1, where: {all: [{route: "/**/items"}, {route: "/**/{x}/items"}]}}
  - {id: m-11, detect: rate, by: client_id, window: 1m, limit: 1, where: {route: ["/orders/7*", "/Users/7"]}}
  - {id: m-12, detect: rate, by: client_id, window: 1m, limit: 1, where: {path: "/*/users/{id}/**"}}
  - {id: m-13, detect: rate, by: client_id, window: 1m, limit: 1, where: {route: "/{a}/{b}"}}
`

// TestMatcherIsFilters holds the Matcher, which remembers, against the filters one by one, which do not.
func TestMatcherIsFilters(t *testing.T) {
	events := traffic(50_000)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range events {
		e := &events[i]
		switch r.IntN(10) {
		case 0:
			prefixes := []string{"/prefix", "/a/b/c", "/a/b/c/d", "/users", "/x/orders", "/v1.2", "//v1", "/x;y", "/%75sers"}
			e.Path = prefixes[r.IntN(len(prefixes))] + e.Path
		case 5, 6:
			words := []string{"items", "Items", "profile", "login", "%6cogin", "users", "health", "7", "70", ".", "..", "", "a;b", "a%2fb", "{id}", ":id", "**"}
			e.Path = strings.ReplaceAll(e.Route, "{id}", words[r.IntN(len(words))])
		case 1:
			e.Route = ""
		case 2:
			e.Path = strings.Replace(e.Path, "/", []string{"//", "/./", "/%2e/", "/x/../", "/x/..;/", "/;a=1/", "\\"}[r.IntN(7)], 1)
		case 3:
			e.Path = "/users/7"
		case 4:
			e.Route = strings.NewReplacer("{id}", []string{":id", "<id>", "{id...}", "*", "7"}[r.IntN(5)]).Replace(e.Route)
		}
		e.Environment = []string{"prod", "test", ""}[r.IntN(3)]
	}
	var many strings.Builder
	many.WriteString(mixed + strings.TrimPrefix(twelve, "\nrules:\n"))
	for i := range 60 { // more than a word of rules
		fmt.Fprintf(&many, "  - {id: n-%d, detect: rate, by: client_id, window: 1m, limit: 1, where: {route: \"/users/%d\", status: %d}}\n", i, i, 200+i%3)
	}
	shipped, err := os.ReadFile("pack/workflow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := Parse(File{"rules.yaml", []byte(many.String())}, File{"workflow.yaml", shipped})
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	matches := make([]int, set.Len())
	for i := range events {
		got := m.Match(&events[i])
		for j, rule := range set.Rules {
			want := rule.Filter.Match(&events[i])
			if want {
				matches[j]++
			}
			if (got[j>>6]>>(j&63)&1 == 1) != want {
				t.Fatalf("rule %s (%s): Matcher says %v, Filter %v, for %+v", rule.ID, rule.Filter, !want, want, events[i])
			}
		}
	}
	for j, rule := range set.Rules[:25] {
		if matches[j] == 0 || matches[j] == len(events) && rule.Filter.String() != "every event" {
			t.Errorf("rule %s (%s) matched %d of %d events: the comparison says nothing about it", rule.ID, rule.Filter, matches[j], len(events))
		}
	}
}

// TestMatcherIsBounded floods the Matcher with routes that never come again and looks whether those in use are still known.
func TestMatcherIsBounded(t *testing.T) {
	m := mustParse(t, twelve).NewMatcher()
	common := &event.Event{Method: "GET", Status: 200, Route: "/users/{id}", Path: "/users/1"}
	known := m.find(common)
	m.find(common)
	for i := range 200_000 {
		route := fmt.Sprintf("/scan/%d", i)
		m.Match(&event.Event{Method: "GET", Status: 404, Route: route, Path: route})
		if i%100 == 0 {
			if !known.is(&[4]string{common.Route, common.Method}, common.Status) {
				t.Fatal("the flood pushed out a combination in use")
			}
			m.Match(common)
		}
	}
	long := strings.Repeat("/x", 5000)
	if got := m.Match(&event.Event{Status: 404, Route: long, Path: long}); got[0]>>11&1 != 1 {
		t.Error("a route too long to be remembered is not matched")
	}
	bytes := 0
	for i := range m.sets {
		for j := range m.sets[i] {
			bytes += cap(m.sets[i][j].key)
		}
	}
	if most := matcherSets * ways * 4 * maxRemembered; bytes > most {
		t.Errorf("%d bytes of keys, more than %d", bytes, most)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	set := mustParse(t, mixed+strings.TrimPrefix(twelve, "\nrules:\n"))
	m := set.NewMatcher()
	events := traffic(500)
	for i := range events {
		m.Match(&events[i])
	}
	if n := testing.AllocsPerRun(10, func() {
		for i := range events {
			m.Match(&events[i])
		}
	}); n != 0 {
		t.Errorf("Matcher.Match allocated %.0f times for %d events", n, len(events))
	}
	if n := testing.AllocsPerRun(10, func() {
		for i := range events {
			for _, r := range set.Rules {
				r.Filter.Match(&events[i])
			}
		}
	}); n != 0 {
		t.Errorf("Filter.Match allocated %.0f times for %d events", n, len(events))
	}
	d := set.ByID("r-1").Detection.(*Distinct)
	if n := testing.AllocsPerRun(10, func() {
		for i := range events {
			d.Value(&events[i])
		}
	}); n != 0 {
		t.Errorf("Distinct.Value allocated %.0f times for %d events", n, len(events))
	}
}

// BenchmarkMatcherPack measures the shipped rules, most of whose patterns begin with **.
func BenchmarkMatcherPack(b *testing.B) {
	set, err := Load("pack")
	if err != nil {
		b.Fatal(err)
	}
	m := set.NewMatcher()
	events := traffic(4096)
	i := 0
	for b.Loop() {
		m.Match(&events[i&4095])
		i++
	}
}

// BenchmarkMatcherHostilePath measures what a caller can make one event cost: the longest path that is decoded, of the
// shortest segments, against patterns that may begin anywhere.
func BenchmarkMatcherHostilePath(b *testing.B) {
	set, err := Load("pack")
	if err != nil {
		b.Fatal(err)
	}
	m := set.NewMatcher()
	e := traffic(1)[0]
	for name, path := range map[string]string{
		"segments": strings.Repeat("/a", 4096), "words": strings.Repeat("/users", 1365), "dots": strings.Repeat("/a/..", 1638),
		"escapes": strings.Repeat("/%2e", 2048), "percent": strings.Repeat("%", 8192),
	} {
		e.Path, e.Route, e.Method, e.Status = path, "", "GET", 200
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m.Match(&e)
			}
		})
	}
}
