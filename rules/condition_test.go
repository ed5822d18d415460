package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func sample() *event.Event {
	return &event.Event{
		Time: 1_700_000_000_000, Environment: "prod", API: "orders-v1", ClientID: "shop-web", Subject: "user-1", TokenID: "tok_1", Method: "GET",
		Path: "/users/42/profile", Route: "/users/{id}/profile", Status: 404, DurationMS: 250, RequestSize: 10, ResponseSize: 2_000_000,
		UserAgent: "curl/8.0", SourceIP: netip.MustParseAddr("10.1.2.3"), IPText: "ip_pseudonym", Scopes: []string{"orders.read", "admin"},
		Attributes: []event.Attribute{{Key: "tier", Value: "gold"}, {Key: "n", Value: "1"}, {Key: "query.page", Value: "7"}},
		Geo:        &event.Geo{Country: "DE", Continent: "EU", City: "Berlin", ASN: 64500, Anonymous: event.AnonymousVPN},
	}
}

func parseWhere(t *testing.T, where string) (*Filter, error) {
	t.Helper()
	set, err := Parse(File{"w.yaml", []byte("rules: [{id: a, detect: rate, by: client_id, window: 1m, limit: 5, where: " + where + "}]")})
	if err != nil {
		return nil, err
	}
	return set.Rules[0].Filter, nil
}

func TestMatchers(t *testing.T) {
	blind := func(e *event.Event) { e.Geo = nil }
	anonymous := func(e *event.Event) { *e = event.Event{Method: "GET", Path: "/", Status: 200} }
	for _, c := range []struct {
		where  string
		change func(*event.Event)
		want   bool
	}{
		{`{client_id: shop-web}`, nil, true},
		{`{client_id: Shop-web}`, nil, false},
		{`{client_id: [a, shop-web]}`, nil, true},
		{`{client_id: "shop-*"}`, nil, true},
		{`{client_id: "*-w*b"}`, nil, true},
		{`{client_id: [a, b, c, d, e, f, g, h, i, shop-web]}`, nil, true},
		{`{client_id: [a, b, c, d, e, f, g, h, i, j]}`, nil, false},
		{`{client_id: {not: shop-web}}`, nil, false},
		{`{client_id: {not: "mobile-*"}}`, nil, true},
		{`{client_id: {is: "shop-*", not: [shop-monitor, shop-web]}}`, nil, false},
		{`{client_id: {is: "shop-*", not: shop-monitor}}`, nil, true},
		{`{client_id: "*"}`, anonymous, true},
		{`{client_id: {exists: true}}`, nil, true},
		{`{client_id: {exists: true}}`, anonymous, false},
		{`{client_id: {exists: false}}`, anonymous, true},
		{`{client_id: {not: x}}`, anonymous, true},
		{`{session_id: {exists: true}}`, nil, false},

		{`{environment: prod, api: "orders-*"}`, nil, true},
		{`{environment: [test, dev]}`, nil, false},
		{`{attributes.tier: gold}`, nil, true},
		{`{attributes.n: 1}`, nil, true},
		{`{attributes.tier: {exists: false}}`, nil, false},
		{`{query.page: "7*"}`, nil, true},
		{`{path.id: 42}`, nil, true},
		{`{user_agent: "curl/*"}`, nil, true},

		{`{method: get}`, nil, true},
		{`{method: [POST, PUT]}`, nil, false},
		{`{method: {not: [POST, PUT]}}`, nil, true},
		{`{method: GET}`, func(e *event.Event) { e.Method = "gEt" }, true},

		{`{status: 404}`, nil, true},
		{`{status: 4xx}`, nil, true},
		{`{status: 2XX}`, nil, false},
		{`{status: [200, 404]}`, nil, true},
		{`{status: "400-404"}`, nil, true},
		{`{status: "400-403"}`, nil, false},
		{`{status: ">= 404"}`, nil, true},
		{`{status: "> 404"}`, nil, false},
		{`{status: "<404"}`, nil, false},
		{`{status: "<= 404"}`, nil, true},
		{`{status: {not: 2xx}}`, nil, true},
		{`{status: ">= 500"}`, func(e *event.Event) { e.Status = -1 }, false},
		{`{status: ">= 500"}`, func(e *event.Event) { e.Status = 1 << 30 }, false},

		{`{response_bytes: ">= 2MB"}`, nil, true},
		{`{response_bytes: "> 2MB"}`, nil, false},
		{`{response_bytes: "1 MiB-2 MiB"}`, nil, true},
		{`{response_bytes: [5, "1000000-3000000"]}`, nil, true},
		{`{response_bytes: {not: "< 1kB"}}`, nil, true},
		{`{duration_ms: "100-250"}`, nil, true},
		{`{duration_ms: "> 0.2s"}`, nil, true},
		{`{duration_ms: 250}`, nil, true},
		{`{asn: [64500]}`, nil, true},
		{`{asn: "AS64000-AS65000"}`, nil, true},
		{`{asn: 1}`, blind, false},

		{`{source_ip: 10.0.0.0/8}`, nil, true},
		{`{source_ip: [192.0.2.1, "2001:db8::/32"]}`, nil, false},
		{`{source_ip: 10.1.2.3}`, nil, true},
		{`{source_ip: 10.1.2.3}`, func(e *event.Event) { e.SourceIP = netip.MustParseAddr("::ffff:10.1.2.3") }, true},
		{`{source_ip: {not: 10.0.0.0/8}}`, nil, false},
		{`{source_ip: 0.0.0.0/0}`, anonymous, false},
		{`{source_ip: "::/0"}`, nil, true},

		{`{scopes: admin}`, nil, true},
		{`{scopes: ["orders.*"]}`, nil, true},
		{`{scopes: orders}`, nil, false},
		{`{scopes: {not: admin}}`, nil, false},
		{`{scopes: {not: admin}}`, anonymous, true},
		{`{scopes: {exists: true}}`, nil, true},

		{`{country: de}`, nil, true},
		{`{country: [AT, CH]}`, nil, false},
		{`{country: {not: [AT, CH]}}`, nil, true},
		{`{country: {not: [AT, CH]}}`, blind, false}, // nowhere known is not elsewhere
		{`{country: {exists: false}}`, blind, true},
		{`{continent: eu, city: Berlin}`, nil, true},
		{`{anonymous: true}`, nil, true},
		{`{anonymous: false}`, nil, false},
		{`{anonymous: false}`, func(e *event.Event) { e.Geo = &event.Geo{Country: "DE"} }, true},
		{`{anonymous: false}`, blind, false},
		{`{anonymous: [tor, vpn]}`, nil, true},
		{`{anonymous: tor}`, nil, false},
		{`{anonymous: {not: tor}}`, nil, true},

		{`{route: "/users/{id}/**", method: GET, status: 404}`, nil, true},
		{`{route: "/users/{id}/**", method: GET, status: 2xx}`, nil, false},
		{`{any: [{status: 2xx}, {client_id: "shop-*", method: GET}]}`, nil, true},
		{`{any: [{status: 2xx}, {client_id: "shop-*", method: PUT}]}`, nil, false},
		{`{any: {status: 404}}`, nil, true},
		{`{all: [{status: 4xx}, {status: {not: 403}}]}`, nil, true},
		{`{not: {status: 404, method: PUT}}`, nil, true},
		{`{not: {status: 404, method: GET}}`, nil, false},
		{`{not: {any: [{status: 200}, {method: GET}]}}`, nil, false},
	} {
		f, err := parseWhere(t, c.where)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		e := sample()
		if c.change != nil {
			c.change(e)
		}
		if got := f.Match(e); got != c.want {
			t.Errorf("%s: %v", c.where, got)
		}
	}
}

func TestFilterSaysWhatItWants(t *testing.T) {
	for where, want := range map[string]string{
		`{}`: "every event",
		`{status: [2xx, 404], method: [get, PUT], client_id: {not: "a*"}}`: "status: 2xx or 404 and method: GET or PUT and client_id: not a*",
		`{any: [{status: 2xx}, {method: GET, api: x}]}`:                    "((status: 2xx) or (method: GET and api: x))",
		`{subject: {exists: true}, route: {not: "/a"}}`:                    "subject: any value and route: not /a",
	} {
		f, err := parseWhere(t, where)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.String(); got != want {
			t.Errorf("%s: got %q, want %q", where, got, want)
		}
	}
}

func TestNilFilterMatchesEverything(t *testing.T) {
	var f *Filter
	if !f.Match(sample()) || f.String() != "every event" || f.Fields() != nil {
		t.Error("the nil filter is not empty")
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b**c", "axbxbcc")
	f.Add("*", "")
	f.Add("*a", "aa")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 50 || len(s) > 200 || !regexp.MustCompile(`^[ -~]*$`).MatchString(pattern+s) {
			return
		}
		expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
		g := newGlob(pattern)
		if got, want := g.match(s), regexp.MustCompile("^"+expression+"$").MatchString(s); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, s, got, want)
		}
		if strings.ContainsAny(s+pattern, "%;") {
			return
		}
		if got, want := sameGlob(s, pattern), regexp.MustCompile("^(?i:"+expression+")$").MatchString(s); got != want {
			t.Errorf("%q on %q in any case: got %v, want %v", pattern, s, got, want)
		}
	})
}

func FuzzNetworks(f *testing.F) {
	f.Add(uint32(0x0a000000), uint8(8), uint32(0x0affffff), uint8(32), uint32(0x0b000000))
	f.Add(uint32(0x0a000000), uint8(8), uint32(0x0a000005), uint8(32), uint32(0x0ac80000))
	f.Fuzz(func(t *testing.T, a uint32, aBits uint8, b uint32, bBits uint8, x uint32) {
		prefix := func(v uint32, bits uint8) netip.Prefix {
			return netip.PrefixFrom(address(v), int(bits%33)).Masked()
		}
		p, q := prefix(a, aBits), prefix(b, bBits)
		n, err := ParseNetworks(p.String(), q.String(), "2001:db8::/32")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []uint32{x, a, b, a - 1, a + 1, b - 1, b + 1} {
			if got, want := n.Contains(address(v)), p.Contains(address(v)) || q.Contains(address(v)); got != want {
				t.Errorf("%s and %s, address %s: got %v, want %v", p, q, address(v), got, want)
			}
		}
		if !n.Contains(netip.MustParseAddr("2001:db8:ffff::1")) || n.Contains(netip.MustParseAddr("2001:db9::")) || n.Contains(netip.Addr{}) {
			t.Error("IPv6 is wrong")
		}
	})
}

func address(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func TestIntervals(t *testing.T) {
	for text, want := range map[string]string{
		"5": "[5 5]", "= 5": "[5 5]", "== 5": "[5 5]", ">5": "(5 +Inf]", ">= 5": "[5 +Inf]", "<5": "[-Inf 5)", "<=5": "[-Inf 5]",
		"5-7": "[5 7]", "5 - 7": "[5 7]", "-5": "[-5 -5]", "1e3": "[1000 1000]", "1_000": "[1000 1000]",
		"7-5": "error", "": "error", "5-": "error", "x": "error", "> ": "error", "0x10": "error", "010": "error", "nan": "error", "inf": "error", "5-7-9": "error",
	} {
		i, err := parseInterval(text, parseNumber)
		left, right := "[", "]"
		if i.openLow {
			left = "("
		}
		if i.openHigh {
			right = ")"
		}
		got := fmt.Sprintf("%s%v %v%s", left, i.low, i.high, right)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]float64{"500": 500, "500B": 500, "1kB": 1000, "1 KB": 1000, "1.5MB": 1.5e6, "2GB": 2e9, "1TB": 1e12, "1KiB": 1024, "1MiB": 1 << 20, "1 GiB": 1 << 30} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%q: got %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "x", "1XB", "1.2.3", "MB1", "--1"} {
		if v, err := parseSize(text); err == nil {
			t.Errorf("%q: got %v", text, v)
		}
	}
	for text, want := range map[string]string{"30s": "30s", "90s": "1m30s", "60m": "1h", "1d": "1d", "7d12h": "180h", "24h": "1d", "1h0m5s": "1h0m5s", "1.5s": "1.5s", "250ms": "250ms"} {
		d, err := parseDuration(text)
		if got := formatDuration(d); got != want || err != nil {
			t.Errorf("%q: got %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "0", "-5s", "+5s", "d", "5x", "1d1d", "5 s", "s", "99999d99999h99999999999999h", "70000d"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %s", text, d)
		}
	}
}
