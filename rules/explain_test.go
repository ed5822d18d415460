package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestExplain(t *testing.T) {
	set := mustParse(t, `rules:
  - {id: counts, title: T, detect: distinct, by: [client_id, subject], window: 1m, limit: 5, count: path.id, where: {route: "/users/{id}/**", method: GET}}
  - {id: other-status, detect: rate, by: client_id, window: 1m, limit: 5, where: {status: 2xx, method: [GET, PUT]}}
  - {id: no-session, detect: rate, by: [session_id, client_id], window: 1m, limit: 5}
  - {id: expression, detect: rate, by: client_id, window: 1m, limit: 1GB, sum: response_bytes, if: status > 404 or country == "FR"}
  - {id: geo, detect: simultaneous, by: client_id, where: {country: {not: FR}}, mode: shadow}
  - {id: travels, detect: travel, by: client_id}
  - {id: nothing-to-count, detect: distinct, by: client_id, window: 1m, limit: 5, count: session_id}
  - {id: share, detect: rate, by: client_id, window: 1m, limit: 50%, share: {status: 404}}
  - {id: hours, detect: off_hours, by: client_id, hours: "22:00-23:00", new: country}
`)
	e := sample()
	e.Geo = nil
	got := map[string]string{}
	for _, x := range Explain(set, e) {
		got[x.Rule] = summary(x)
	}
	for id, want := range map[string]string{
		"counts":           "matched client_id+subject=shop-web|user-1 value=path.id=42",
		"other-status":     "not client_id=shop-web; status: 2xx, found 404",
		"no-session":       "not session_id+client_id=; missing session_id",
		"expression":       `not client_id=shop-web value=response_bytes=2000000; if: status > 404 or country == "FR", found status=404 country=nothing; note the filter asks for country, and nothing is known about the source address`,
		"geo":              "not client_id=shop-web; country: not FR, found nothing; note the continent of the source address is not known: the rule is blind to this event; note the filter asks for country, and nothing is known about the source address; note the rule is in shadow mode: what it finds is not delivered",
		"travels":          "matched client_id=shop-web; note the place of the source address is not known: the rule is blind to this event",
		"nothing-to-count": "matched client_id=shop-web; note the event has no session_id to count",
		"share":            "matched client_id=shop-web value=in the share: true (status: 404)",
		"hours":            "matched client_id=shop-web; note the country of the source address is not known: it is never new; note the time is within the declared hours",
	} {
		if got[id] != want {
			t.Errorf("%s:\ngot  %s\nwant %s", id, got[id], want)
		}
	}
	for i, x := range Explain(set, e) {
		if known := len(x.Missing) == 0; x.Matched != (known && set.Rules[i].Filter.Match(e)) {
			t.Errorf("%s: the explanation contradicts the filter", x.Rule)
		}
	}
	Explain(set, &event.Event{})
}

func summary(x Explanation) string {
	var b strings.Builder
	b.WriteString(map[bool]string{true: "matched ", false: "not "}[x.Matched] + x.Kind + "=" + x.Entity)
	if x.Value != "" {
		b.WriteString(" value=" + x.Value)
	}
	for _, c := range x.Checks {
		if !c.Holds {
			fmt.Fprintf(&b, "; %s, found %s", c.Wanted, c.Found)
		}
	}
	for _, m := range x.Missing {
		b.WriteString("; missing " + m)
	}
	for _, n := range x.Notes {
		b.WriteString("; note " + n)
	}
	return b.String()
}

func TestSummary(t *testing.T) {
	set, err := Load("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"profile-enumeration":   "high shadow distinct client_id 1m 1000 user profiles 1h30m",
		"all-matchers":          "medium enforce distinct token_id+attributes.tenant 180h 12 source_ip 180h",
		"flood":                 "medium enforce rate source_ip 1m 10000 requests 5m",
		"download":              "medium enforce rate subject 10m 1.61061 GB 10m",
		"slow":                  "medium enforce rate subject 10m 90000 ms 10m",
		"refused":               "medium enforce rate token_id 5m 60 % of at least 30 5m",
		"travel-all":            "medium enforce travel subject  250.5 km/h 15m",
		"simultaneous-defaults": "medium enforce simultaneous token_id 10m 1 continent 10m",
		"enumeration-all":       "medium enforce enumeration client_id+subject 10m 30 new, 20 denied, 8 in sequence 10m",
		"night-defaults":        "medium enforce off_hours client_id   15m",
	} {
		s := set.ByID(id).Summary()
		if got := strings.Join([]string{s.Severity, s.Mode, s.Detect, s.By, s.Window, s.Limit, s.CloseAfter}, " "); got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
		if s.Tags == nil || s.NeedsGeo == nil || len(s.Fingerprint) != 32 {
			t.Errorf("%+v", s)
		}
	}
}
