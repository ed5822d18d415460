package rules

import (
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func TestExpressions(t *testing.T) {
	for text, want := range map[string]bool{
		`true`:                                  true,
		`status == 404`:                         true,
		`status != 404`:                         false,
		`status in [200, 404]`:                  true,
		`status not in [200, 404]`:              false,
		`status in 400..499`:                    true,
		`status in 500..599`:                    false,
		`399 < status and status < 405`:         true,
		`response_bytes > 1000 * 1000`:          true,
		`response_bytes / 2 - 1 >= 999_999`:     true,
		`-response_bytes < 0`:                   true,
		`response_bytes % 7 == 2000000 % 7`:     true,
		`response_bytes / (status - 404) > 1`:   true, // +Inf
		`(status - 404) / (status - 404) == 0`:  false,
		`duration_ms <= 250.0`:                  true,
		`country not in ["DE", "AT"]`:           false,
		`country == "DE" && continent == "EU"`:  true,
		`country != "DE" || city == "Berlin"`:   true,
		`not (country == "DE")`:                 false,
		`!(country == "FR")`:                    true,
		`attributes.tier == "gold"`:             true,
		`attributes["tier"] in ["gold"]`:        true,
		`query.page == "7" and path.id == "42"`: true,
		`attributes["x-none"] == ""`:            true,
		`session_id == ""`:                      true,
		`path startsWith "/users" and path endsWith "profile" and path contains "42"`: true,
		`user_agent matches "^(?i)CURL/[0-9]"`:                                        true,
		`user_agent matches "wget"`:                                                   false,
		`"admin" in scopes`:                                                           true,
		`"none" in scopes`:                                                            false,
		`"vpn" in anonymous and "tor" not in anonymous`:                               true,
		`len(scopes) == 2 and len(anonymous) == 1`:                                    true,
		`len(path) == 17`:                                                             true,
		`status == 404 ? method == "GET" : false`:                                     true,
		`(status > 500 ? 1 : 2) == 2`:                                                 true,
		`(status > 500 ? "a" : "b") == "b"`:                                           true,
		`asn == 64500`:                                                                true,
		`(status == 404) == true`:                                                     true,
		`(status == 404) != (method == "GET")`:                                        false,
		`subject in ["a","b","c","d","e","f","g","h","i","user-1"]`:                   true,
		`subject in ["user-*"]`:                                                       false, // a star is a star here
		`source_ip == "ip_pseudonym"`:                                                 true,
	} {
		x, err := parseExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		e := sample()
		if got := x.match(e); got != want {
			t.Errorf("%s: %v", text, got)
		}
		allowed := 0.0
		if strings.Contains(text, " matches ") {
			allowed = 4 // package regexp keeps its machines in a pool, which the race detector empties at random
		}
		if n := testing.AllocsPerRun(20, func() { x.match(e) }); n > allowed {
			t.Errorf("%s allocates %v times", text, n)
		}
		x.match(&event.Event{}) // nothing known: must not panic
	}
}

func TestExpressionsRefused(t *testing.T) {
	for _, text := range []string{
		``, `status`, `"x"`, `scopes`, `[1]`, `status == `, `status + "a" == 1`, `status and true`, `not status`, `-path == 1`, `path + "x" == "y"`,
		`path < "x"`, `status in ["a"]`, `path in [1]`, `path in []`, `path in [subject]`, `status in 5..1`, `status in 1..duration_ms`, `scopes == "a"`,
		`scopes in ["a"]`, `1 in scopes`, `any(scopes, # == "a")`, `all(scopes, {# == "a"})`, `map(scopes, #)`, `path matches subject`, `path matches "("`, `foo == 1`,
		`foo.bar == 1`, `path.id.x == "1"`, `attributes[subject] == "x"`, `subject[0] == "a"`, `subject[0:1] == "a"`, `nil == nil`, `subject ?? "a" == "a"`,
		`let x = 1; x == 1`, `{"a": 1} == 1`, `now() > 1`, `env.x == 1`, `$env == 1`, `len(status) == 1`, `len(1, 2) == 1`, `status > 1 ? 1 : true`, `status ? true : false`,
		`status ** 2 == 4`, `true; false`, `exists == true`,
	} {
		if x, err := parseExpression(text); err == nil {
			t.Errorf("%s is accepted as %s", text, x)
		}
	}
}

// FuzzExpression looks for expressions that fail or panic when they run.
func FuzzExpression(f *testing.F) {
	f.Add(`status in 400..499 and not (path contains "x") or len(scopes) > 1 ? attributes["a"] == "b" : duration_ms / 0 > 1`)
	f.Add(`subject matches "a+" && "tor" in anonymous && asn % 0 == 1`)
	full, empty := sample(), &event.Event{}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseExpression(text)
		if err != nil {
			return
		}
		x.match(full)
		x.match(empty)
		again, err := parseExpression(x.text)
		if err != nil {
			t.Fatalf("%q is accepted, its canonical form %q is not: %v", text, x.text, err)
		}
		if again.match(full) != x.match(full) || again.match(empty) != x.match(empty) {
			t.Errorf("%q and its canonical form %q differ", text, x.text)
		}
	})
}

func BenchmarkExpression(b *testing.B) {
	x, err := parseExpression(`response_bytes > 1000000 and country not in ["FR", "AT"]`)
	if err != nil {
		b.Fatal(err)
	}
	e := sample()
	for b.Loop() {
		x.match(e)
	}
}
