package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

const partners = `
contracts:
  - id: partners
    applies_to: {client_id: "partner-*"}
    may:
      - {api: orders-v1, route: "/orders/**", method: [GET, POST]}
      - {api: stock-v1}
    countries: [DE, AT]
    networks: 203.0.113.0/24
    asns: [3320]
    hours: "06:00-20:00"
    days: mon-fri
    time_zone: Europe/Berlin
    scopes: [orders.read, "stock.*"]
    environments: prod
    token_lifetime: 1h
`

// monday is a Monday at noon in Berlin.
var monday = event.TimeOf(time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC))

// partnerCall keeps the contract.
func partnerCall() *event.Event {
	return &event.Event{
		Time: monday, ClientID: "partner-7", API: "orders-v1", Method: "GET", Route: "/orders/{id}", Path: "/orders/42", Status: 200,
		Environment: "prod", SourceIP: netip.MustParseAddr("203.0.113.9"), IPText: "203.0.113.9", Geo: &event.Geo{Country: "DE", ASN: 64500},
		Scopes: []string{"orders.read", "stock.read"}, TokenIssuedAt: monday - 60_000, TokenExpiresAt: monday + 3_500_000,
	}
}

// TestBreaches changes one thing at a time of a call that keeps the contract.
func TestBreaches(t *testing.T) {
	set := mustParse(t, "rules: [{id: a, detect: contract, by: client_id, leeway: 1m, lifetime: 1d, find: [operation, country, network, hours, scope, environment,"+
		" token_lifetime, no_contract, wildcard_scope, expired_token, revoked_token]}]"+partners)
	d := set.Rules[0].Detection.(*Contracted)
	for _, c := range []struct {
		what   string
		change func(e *event.Event)
		want   string
	}{
		{"nothing", func(*event.Event) {}, ""},
		{"method", func(e *event.Event) { e.Method = "DELETE" }, "operation"},
		{"method in lower case", func(e *event.Event) { e.Method = "get" }, ""},
		{"route", func(e *event.Event) { e.Route, e.Path = "/users/{id}", "/users/1" }, "operation"},
		{"api", func(e *event.Event) { e.API = "users-v1" }, "operation"},
		{"second grant", func(e *event.Event) { e.API, e.Route, e.Path, e.Method = "stock-v1", "/x", "/x", "PUT" }, ""},
		{"path that leads elsewhere", func(e *event.Event) { e.Route, e.Path = "", "/orders/../users/1" }, "operation"},
		{"path with other letters", func(e *event.Event) { e.Route, e.Path = "/Orders/{id}", "/Orders/1" }, "operation"},
		{"country", func(e *event.Event) { e.Geo = &event.Geo{Country: "FR"} }, "country"},
		{"unknown country", func(e *event.Event) { e.Geo = nil }, ""},
		{"network", func(e *event.Event) { e.SourceIP = netip.MustParseAddr("198.51.100.1") }, "network"},
		{"other network, agreed ASN", func(e *event.Event) {
			e.SourceIP, e.Geo = netip.MustParseAddr("198.51.100.1"), &event.Geo{Country: "DE", ASN: 3320}
		}, ""},
		{"other network, unknown ASN", func(e *event.Event) { e.SourceIP, e.Geo = netip.MustParseAddr("198.51.100.1"), nil }, ""},
		{"unknown address", func(e *event.Event) { e.SourceIP = netip.Addr{} }, ""},
		{"night", func(e *event.Event) { shift(e, -8*time.Hour) }, "hours"},
		{"Sunday", func(e *event.Event) { shift(e, -24*time.Hour) }, "hours"},
		{"last minute", func(e *event.Event) { shift(e, 7*time.Hour+59*time.Minute) }, ""},
		{"first minute after", func(e *event.Event) { shift(e, 8*time.Hour) }, "hours"},
		{"scope", func(e *event.Event) { e.Scopes = []string{"orders.read", "orders.write"} }, "scope"},
		{"no scopes", func(e *event.Event) { e.Scopes = nil }, ""},
		{"environment", func(e *event.Event) { e.Environment = "staging" }, "environment"},
		{"no environment", func(e *event.Event) { e.Environment = "" }, ""},
		{"lifetime", func(e *event.Event) { e.TokenExpiresAt = e.TokenIssuedAt + 3_600_001 }, "token_lifetime"},
		{"lifetime of both limits", func(e *event.Event) { e.TokenExpiresAt = e.TokenIssuedAt + 86_400_001 }, "token_lifetime token_lifetime"},
		{"unknown issue", func(e *event.Event) { e.TokenIssuedAt, e.TokenExpiresAt = 0, e.Time+1<<40 }, ""},
		{"other client", func(e *event.Event) { e.ClientID = "app" }, "no_contract"},
		{"wildcard", func(e *event.Event) { e.Scopes = []string{"stock.*"} }, "wildcard_scope"},
		{"all", func(e *event.Event) { e.Scopes = []string{"ALL"} }, "wildcard_scope scope"},
		{"word with all in it", func(e *event.Event) { e.Scopes = []string{"stock.all"} }, ""},
		{"expired within the leeway", func(e *event.Event) { e.TokenExpiresAt = e.Time - 60_000 }, ""},
		{"expired", func(e *event.Event) { e.TokenExpiresAt = e.Time - 60_001 }, "expired_token"},
		{"revoked within the leeway", func(e *event.Event) { e.TokenRevokedAt = e.Time - 60_000 }, ""},
		{"revoked", func(e *event.Event) { e.TokenRevokedAt = e.Time - 60_001 }, "revoked_token"},
		{"revoked since ever", func(e *event.Event) { e.TokenRevokedAt = event.RevokedSinceEver }, "revoked_token"},
		{"revoked later", func(e *event.Event) { e.TokenRevokedAt = e.Time + 1 }, ""},
	} {
		e := partnerCall()
		c.change(e)
		var names []string
		for _, b := range d.Breaches(make([]Breach, 0, 8), e) {
			names = append(names, b.Deviation.String())
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
		if got := set.Rules[0].Filter.Match(e); got != (c.want != "") {
			t.Errorf("%s: the filter says %v", c.what, got)
		}
	}
}

func shift(e *event.Event, d time.Duration) {
	ms := event.Time(d.Milliseconds())
	e.Time += ms
	e.TokenIssuedAt += ms
	e.TokenExpiresAt += ms
}

// TestEachContractMustBeKept gives a client two contracts, of which each allows what the other forbids.
func TestEachContractMustBeKept(t *testing.T) {
	set := mustParse(t, `
rules:
  - {id: all, detect: contract, by: client_id}
  - {id: one, detect: contract, by: client_id, contracts: b}
contracts:
  - {id: a, applies_to: {client_id: "*"}, countries: DE}
  - {id: b, applies_to: {client_id: c}, countries: FR}
`)
	e := &event.Event{ClientID: "c", Status: 200, Geo: &event.Geo{Country: "DE"}}
	for i, want := range []string{"b", "b"} {
		list := set.Rules[i].Detection.(*Contracted).Breaches(make([]Breach, 0, 8), e)
		if len(list) != 1 || list[0].Contract.ID != want {
			t.Errorf("%s: %+v", set.Rules[i].ID, list)
		}
	}
	e.Geo = &event.Geo{Country: "FR"}
	if list := set.Rules[0].Detection.(*Contracted).Breaches(make([]Breach, 0, 8), e); len(list) != 1 || list[0].Contract.ID != "a" {
		t.Errorf("%+v", list)
	}
	if set.Rules[1].Filter.Match(e) {
		t.Error("the rule of b finds what a says")
	}
}

func TestRefusedIsNoMisuse(t *testing.T) {
	for rule, want := range map[string][3]bool{
		"":                                  {true, true, false},
		", where: {status: 2xx}":            {true, false, false},
		", where: {status: {exists: true}}": {true, true, true},
		", where: {method: DELETE}":         {true, true, false},
		`, if: 'status >= 400'`:             {false, false, true},
		", where: {any: [{status: 2xx}, {api: x}]}": {true, false, false},
	} {
		set := mustParse(t, "rules: [{id: a, detect: contract, by: client_id"+rule+"}]"+partners)
		for i, status := range []int32{200, 302, 403} {
			e := partnerCall()
			e.Method, e.Status = "DELETE", status
			if got := set.Rules[0].Filter.Match(e); got != want[i] {
				t.Errorf("{%s}: status %d counts: %v", rule, status, got)
			}
		}
	}
}

// TestContractsOfOtherFiles reads contracts and the rules that name them from several files, in any order.
func TestContractsOfOtherFiles(t *testing.T) {
	a := File{"a.yaml", []byte("rules: [{id: r, detect: contract, by: client_id, contracts: [partners]}]")}
	b := File{"b.yaml", []byte(partners)}
	for _, files := range [][]File{{a, b}, {b, a}} {
		set, err := Parse(files...)
		if err != nil || len(set.Contracts) != 1 || !slices.Equal(set.Rules[0].Detection.(*Contracted).Contracts, set.Contracts) {
			t.Errorf("%v", err)
		}
	}
	_, err := Parse(b, File{"c.yaml", []byte("rules: [{id: r, detect: contract, by: client_id, contracts: [partnres]}]")},
		File{"d.yaml", []byte("contracts: [{id: partners, applies_to: {api: x}, hours: 1}]")})
	want := `c.yaml:1:62: rule "r": there is no contract "partnres" (did you mean "partners"?)
d.yaml:1:13: the id "partners" is taken by the contract at b.yaml:3
d.yaml:1:57: hours must be such as "08:00-18:00", not "1"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNoContractsFindNothing(t *testing.T) {
	set := mustParse(t, "rules: [{id: a, detect: contract, by: client_id, find: [operation, no_contract]}]")
	if set.Rules[0].Filter.Match(partnerCall()) {
		t.Error("a rule without contracts finds something")
	}
}

// TestContractFingerprint changes each thing that a contract says: the rule is another one then.
func TestContractFingerprint(t *testing.T) {
	rule := "rules: [{id: a, detect: contract, by: client_id}, {id: b, detect: contract, by: token_id, find: several_clients}]"
	base := mustParse(t, rule+partners)
	changed := func(old, new string) *Set {
		t.Helper()
		if !strings.Contains(partners, old) {
			t.Fatalf("no %q", old)
		}
		return mustParse(t, rule+strings.Replace(partners, old, new, 1))
	}
	for what, set := range map[string]*Set{
		"title":           changed("    may:", "    title: Our partners\n    may:"),
		"order of lists":  changed("[DE, AT]", "[AT, DE]"),
		"order of grants": changed("      - {api: orders-v1, route: \"/orders/**\", method: [GET, POST]}\n      - {api: stock-v1}", "      - {api: stock-v1}\n      - {method: [POST, GET], api: orders-v1, route: \"/orders/**\"}"),
		"form of lists":   changed("203.0.113.0/24", "[203.0.113.0/25, 203.0.113.128/25]"),
	} {
		if set.Rules[0].Fingerprint != base.Rules[0].Fingerprint {
			t.Errorf("another fingerprint for the same contract in another form: %s", what)
		}
	}
	seen := map[[16]byte]string{base.Rules[0].Fingerprint: "the original"}
	for _, c := range [][2]string{
		{"id: partners", "id: partner"}, {"partner-*", "partners-*"}, {"[GET, POST]", "GET"}, {"stock-v1", "stock-v2"}, {"[DE, AT]", "DE"}, {"203.0.113.0/24", "203.0.113.0/25"},
		{"[3320]", "[3321]"}, {"06:00-20:00", "06:00-21:00"}, {"mon-fri", "mon-sat"}, {"Berlin", "London"}, {"orders.read", "orders.write"},
		{"environments: prod", "environments: staging"}, {"token_lifetime: 1h", "token_lifetime: 2h"}, {"    countries: [DE, AT]\n", ""}, {"    environments: prod\n", ""},
		{"    scopes: [orders.read, \"stock.*\"]\n", ""},
	} {
		set := changed(c[0], c[1])
		f := set.Rules[0].Fingerprint
		if other, ok := seen[f]; ok {
			t.Errorf("%v has the fingerprint of %s", c, other)
		}
		seen[f] = fmt.Sprint(c)
		if set.Rules[1].Fingerprint != base.Rules[1].Fingerprint {
			t.Errorf("%v changes a rule that looks at no contract", c)
		}
	}
}

func TestExplainContract(t *testing.T) {
	set := mustParse(t, "rules: [{id: a, detect: contract, by: client_id}, {id: b, detect: contract, by: token_id, find: several_clients}]"+partners)
	e := partnerCall()
	e.Method = "DELETE"
	x := Explain(set, e)
	if !x[0].Matched || x[0].Value != "deviates in operation of contract partners" || x[1].Matched || x[1].Value != "client_id=partner-7" {
		t.Errorf("%+v", x)
	}
	x = Explain(set, partnerCall())
	if last := x[0].Checks[len(x[0].Checks)-1]; x[0].Matched || last.Found != "nothing" || !strings.Contains(last.Wanted, "deviates in operation") {
		t.Errorf("%+v", x[0])
	}
}

func TestContractTexts(t *testing.T) {
	c := mustParse(t, "rules: [{id: a, detect: contract, by: client_id}]"+partners).Contracts[0]
	for kind, want := range map[Deviation]string{
		DeviatesOperation: "GET or POST /orders/** of orders-v1; anything of stock-v1", DeviatesCountry: "DE or AT", DeviatesNetwork: "203.0.113.0/24 or AS3320",
		DeviatesHours: "mon-fri 06:00-20:00 (Europe/Berlin)", DeviatesScope: "orders.read or stock.*", DeviatesEnvironment: "prod", DeviatesLifetime: "1h", WildcardScope: "",
	} {
		if got := c.Allowed(kind); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

func TestDaysText(t *testing.T) {
	for set, want := range map[uint8]string{everyDay: "", 0b0111110: "mon-fri", 0b1000001: "sat-sun", 0b0000001: "sun", 0b1010100: "tue,thu,sat", 0b1000011: "mon,sat-sun"} {
		if got := daysText(set); got != want {
			t.Errorf("%07b: %q, want %q", set, got, want)
		}
	}
}

func TestBreachesDoNotAllocate(t *testing.T) {
	set := mustParse(t, "rules: [{id: a, detect: contract, by: client_id}]"+partners)
	e, f := partnerCall(), set.Rules[0].Filter
	if n := testing.AllocsPerRun(100, func() { f.Match(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
