package rules

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFingerprint(t *testing.T) {
	const original = `
rules:
  - id: a
    detect: distinct
    by: [client_id, subject]
    where: {route: ["/users/{id}/**", "/a/{id}"], method: [GET, HEAD], status: 2xx, source_ip: [10.0.0.0/9, 10.128.0.0/9], any: [{api: x}, {api: y}]}
    if: status > 1 and path contains "x"
    count: path.id
    window: 60s
    limit: 50
`
	base := mustParse(t, original).Rules[0].Fingerprint
	replaced := func(old, new string) [16]byte {
		t.Helper()
		if !strings.Contains(original, old) {
			t.Fatalf("no %q", old)
		}
		return mustParse(t, strings.Replace(original, old, new, 1)).Rules[0].Fingerprint
	}
	for what, f := range map[string][16]byte{
		"order of keys": mustParse(t, `rules: [{limit: 50, window: 1m, count: path.id, if: '  status>1   and path contains "x"', where: {any: [{api: y}, {api: x}], status: 2xx, method: [HEAD, get, GET],
      source_ip: 10.0.0.0/8, route: ["/a/{id}/", "/users/{id}/**"]}, by: [client_id, subject], detect: distinct, id: a}]`).Rules[0].Fingerprint,
		"texts":       replaced("detect: distinct", "detect: distinct\n    title: x\n    description: y\n    advice: z\n    false_positives: q\n    severity: high\n    tags: [t]\n    mode: shadow\n    noun: n"),
		"comments":    replaced("by: [client_id, subject]", "by: [client_id, subject] # who"),
		"close_after": replaced("limit: 50", "limit: 50\n    close_after: 5m"),
		"status form": replaced("status: 2xx", `status: ["200-299"]`),
	} {
		if f != base {
			t.Errorf("another fingerprint for another form of the same rule: %s", what)
		}
	}
	seen := map[[16]byte]string{base: "the original"}
	for what, f := range map[string][16]byte{
		"limit": replaced("limit: 50", "limit: 51"), "window": replaced("60s", "61s"), "id": replaced("id: a", "id: b"), "by": replaced("client_id, subject", "client_id"),
		"order of by": replaced("client_id, subject", "subject, client_id"), "count": replaced("path.id", "path.user"), "method": replaced("GET, HEAD", "GET"),
		"status": replaced("2xx", "200"), "route": replaced("/users/{id}/**", "/users/{id}"), "parameter": replaced("/users/{id}/**", "/users/{user}/**"),
		"negation": replaced("method: [GET, HEAD]", "method: {not: [GET, HEAD]}"), "expression": replaced("> 1", "> 2"), "networks": replaced("10.0.0.0/9", "10.0.0.0/10"),
		"any": replaced("{api: y}", "{environment: y}"), "close_after": replaced("limit: 50", "limit: 50\n    close_after: 6m"), "route field": replaced("route:", "path:"),
		"lengths": replaced("[{api: x}, {api: y}]", `[{api: "xy"}]`),
	} {
		if other, ok := seen[f]; ok {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[f] = what
	}
}

// TestFingerprintOfEveryKind changes each key of every kind.
func TestFingerprintOfEveryKind(t *testing.T) {
	seen := map[[16]byte]string{}
	for _, keys := range []string{
		"detect: rate, window: 1m, limit: 5", "detect: rate, window: 1m, limit: 6", "detect: rate, window: 1m, limit: 5, sum: duration_ms", "detect: rate, window: 1m, limit: 5, sum: request_bytes",
		"detect: rate, window: 1m, limit: 0.5, share: {status: 404}", "detect: rate, window: 1m, limit: 0.5, share: {status: 403}", "detect: rate, window: 1m, limit: 0.5, share: {status: 404}, min: 5",
		"detect: travel", "detect: travel, speed_kmh: 800", "detect: travel, min_distance_km: 200", "detect: travel, places: 2", "detect: travel, ignore: {anonymous: vpn}",
		"detect: travel, ignore: {networks: 10.0.0.0/8}", "detect: travel, ignore: {asns: [1, 2]}", "detect: travel, ignore: {asns: [12]}",
		"detect: simultaneous", "detect: simultaneous, across: asn", "detect: simultaneous, window: 5m, close_after: 10m", "detect: simultaneous, limit: 2", "detect: simultaneous, alternations: 3",
		"detect: new_value, value: asn", "detect: new_value, value: country", "detect: new_value, value: asn, max: 5", "detect: new_value, value: asn, learn: {min_days: 3}", "detect: off_hours", "detect: off_hours, new: asn", "detect: off_hours, new: country", "detect: off_hours, learn: {min_days: 3}", "detect: off_hours, learn: {min_events: 3}", "detect: risk", "detect: risk, limit: 50", "detect: risk, half_life: 1h", "detect: risk, kinds: 3", "detect: risk, points: {low: 9}",
		"detect: contract", "detect: contract, find: operation", "detect: contract, find: [operation, country]", "detect: contract, find: country", "detect: contract, limit: 2", "detect: contract, limit: 2, window: 5m, close_after: 10m",
		"detect: contract, find: expired_token", "detect: contract, find: revoked_token", "detect: contract, find: expired_token, leeway: 2m", "detect: contract, find: token_lifetime", "detect: contract, find: token_lifetime, lifetime: 1d",
		"detect: contract, find: several_clients", "detect: contract, find: several_agents", "detect: contract, find: several_clients, limit: 2", "detect: contract, find: several_clients, window: 1h, close_after: 10m", "detect: contract, where: {status: 2xx}",
		"detect: enumeration, count: path.id, window: 1m, denied: {limit: 5}", "detect: enumeration, count: path.no, window: 1m, denied: {limit: 5}", "detect: enumeration, count: path.id, window: 1m, denied: {limit: 6}",
		"detect: enumeration, count: path.id, window: 1m, sequential: {limit: 5}", "detect: enumeration, count: path.id, window: 1m, sequential: {limit: 5, step: 4}",
		"detect: enumeration, count: path.id, window: 1m, found: {limit: 5}", "detect: enumeration, count: path.id, window: 1m, found: {limit: 5, newcomer_limit: 6}", "detect: enumeration, count: path.id, window: 1m, found: {limit: 5, new_share: 20%}",
		"detect: enumeration, count: path.id, window: 1m, found: {limit: 5}, learn: {min_days: 3}", "detect: enumeration, count: path.id, window: 1m, found: {limit: 5}, learn: {min_events: 3}", "detect: enumeration, count: path.id, window: 1m, found: {limit: 5}, remember: 100",
		`detect: off_hours, hours: "08:00-18:00"`, `detect: off_hours, hours: "08:00-18:01"`, `detect: off_hours, hours: "08:00-18:00", days: mon`, `detect: off_hours, hours: "08:00-18:00", time_zone: Europe/Berlin`,
		"detect: sequence, window: 1m, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]", "detect: sequence, window: 2m, close_after: 5m, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]",
		"detect: sequence, window: 1m, steps: [{name: b, where: {route: /b}}, {name: a, where: {route: /a}}]", "detect: sequence, window: 1m, order: any, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]",
		"detect: sequence, window: 1m, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}, times: 2}]", "detect: sequence, window: 1m, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}, absent: true}]",
		"detect: sequence, window: 1m, until: {route: /c}, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]", "detect: sequence, window: 1m, until: {route: /d}, steps: [{name: a, where: {route: /a}}, {name: b, where: {route: /b}}]",
	} {
		f := mustParse(t, "rules: [{id: a, by: subject, "+keys+"}]").Rules[0].Fingerprint
		if other, ok := seen[f]; ok {
			t.Errorf("{%s} has the fingerprint of {%s}", keys, other)
		}
		seen[f] = keys
	}
	plain := mustParse(t, `rules: [{id: a, by: subject, detect: travel, speed_kmh: 900, places: 4}]`).Rules[0].Fingerprint
	if seen[plain] != "detect: travel" {
		t.Error("a default that is written out changes the fingerprint")
	}
	named := mustParse(t, `rules: [{id: a, by: subject, detect: sequence, window: 1m, order: strict, steps: [{name: c, times: 1, where: {route: /a}}, {name: d, where: {route: /b}}]}]`).Rules[0].Fingerprint
	if seen[named] == "" {
		t.Error("the name of a step changes the fingerprint")
	}
}

func TestSet(t *testing.T) {
	set := mustParse(t, `rules:
  - {id: one, detect: rate, by: client_id, window: 1m, limit: 5, where: {query.page: "1*", country: DE}}
  - {id: two, detect: distinct, by: [client_id, subject], window: 1m, limit: 5, count: query.id, if: 'query.sort == "x"'}
  - {id: three, detect: travel, by: client_id}
  - {id: four, detect: simultaneous, by: subject, across: asn}
  - {id: five, detect: off_hours, by: client_id}
  - {id: six, detect: rate, by: client_id, window: 1m, limit: 50%, share: {query.q: a, anonymous: tor}}
`)
	if set.Len() != 6 || set.ByID("two") != set.Rules[1] || set.ByID("seven") != nil {
		t.Error("rules are not found by id")
	}
	var groups []string
	for _, g := range set.Groups() {
		ids := []string{}
		for _, r := range g.Rules {
			ids = append(ids, r.ID)
		}
		groups = append(groups, g.Kind()+": "+strings.Join(ids, " "))
	}
	if want := []string{"client_id: one three five six", "client_id+subject: two", "subject: four"}; !slices.Equal(groups, want) {
		t.Errorf("groups %q, want %q", groups, want)
	}
	if got, want := set.QueryParams(), []string{"id", "page", "q", "sort"}; !slices.Equal(got, want) {
		t.Errorf("query parameters %q, want %q", got, want)
	}
	for id, want := range map[string]GeoNeed{"one": {City: true}, "two": {}, "three": {City: true}, "four": {ASN: true}, "five": {}, "six": {Anonymity: true}} {
		if got := set.ByID(id).NeedsGeo(); got != want || got.Any() != (want != GeoNeed{}) {
			t.Errorf("%s needs %+v, want %+v", id, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	before := mustParse(t, `rules: [{id: a, detect: travel, by: subject}, {id: b, detect: travel, by: subject}, {id: c, detect: travel, by: subject}]`)
	after := mustParse(t, `rules: [{id: d, detect: travel, by: subject}, {id: c, detect: travel, by: subject, title: x}, {id: a, detect: travel, by: token_id}]`)
	if got, want := Diff(before, after), (Change{Added: []string{"d"}, Removed: []string{"b"}, Changed: []string{"a"}, Unchanged: []string{"c"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Diff(nil, before); len(got.Added) != 3 || len(got.Removed)+len(got.Changed)+len(got.Unchanged) != 0 {
		t.Errorf("%+v", got)
	}
	if got := Diff(before, nil); len(got.Removed) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, id := range map[string]string{"b.yaml": "b", "a.yml": "a", "sub/c.yaml": "c", ".hidden.yaml": "h", "..data/d.yaml": "d", "notes.txt": "n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("rules: [{id: "+id+", detect: travel, by: subject}]"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(set *Set, err error) string {
		t.Helper()
		if err != nil {
			return err.Error()
		}
		var ids []string
		for _, r := range set.Rules {
			ids = append(ids, r.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := ids(Load(dir)); got != "a b c" {
		t.Errorf("directory: %s", got)
	}
	if got := ids(Load(filepath.Join(dir, "notes.txt"), filepath.Join(dir, "sub"), dir)); got != "n c a b" {
		t.Errorf("file, directory, directory again: %s", got)
	}
	if got := ids(LoadFS(fstest.MapFS{"x/y.yaml": {Data: []byte("rules: [{id: y, detect: travel, by: subject}]")}})); got != "y" {
		t.Errorf("file system: %s", got)
	}
	if _, err := Load(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("missing directory: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no *.yaml") {
		t.Errorf("empty directory: %v", err)
	}
}
