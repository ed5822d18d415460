package rules

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func mustPattern(t testing.TB, text string) *pattern {
	t.Helper()
	p, err := parsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		match   string // separated by spaces
		other   string
	}{
		{"/users/{id}", "/users/42 /users/me /users/{id} /users/42/ //users//42 /USERS/42 /users/a%20b", "/users /users/42/x /user/42 /x/users/42 /usersx/42"},
		{"/users/{id}/**", "/users/42 /users/42/a /users/42/a/b", "/users /orders/42/a"},
		{"/users/*", "/users/42", "/users /users/42/a"},
		{"/users/**", "/users /users/ /users/1 /users/1/2/3", "/user /xusers"},
		{"**/login", "/login /v1/login /a/b/c/login/ /v1/LOGIN /v1/log%69n", "/login/x /xlogin /loginx"},
		{"/**/orders/{id}/**", "/orders/1 /v1/orders/1 /v1/x/orders/1/items/2", "/orders /v1/orders"},
		{"/a/**/b/**/c", "/a/b/c /a/x/b/y/c /a/b/b/c/c", "/a/b /a/c/b /a/b/c/d"},
		{"/**", "/ /a /a/b", ""},
		{"/", "/ //", "/a"},
		{"/files/*.json", "/files/a.json /files/.json /files/A.JSON", "/files/a.xml /files/a/b.json /files/a.json.gz"},
		{"/v*/u*r*s", "/v1/users /v/urs /v2.1/uxrxs", "/1/users /v1/user"},
		{"/users/{id}/{part}", "/users/1/2", "/users/1 /users/1/2/3"},
	} {
		p := mustPattern(t, c.pattern)
		route := &routeIs{patterns: []*pattern{p}}
		for _, s := range strings.Fields(c.match) {
			if !route.match(&event.Event{Path: s}) {
				t.Errorf("%s does not match the path %s", c.pattern, s)
			}
		}
		for _, s := range strings.Fields(c.other) {
			if route.match(&event.Event{Path: s}) {
				t.Errorf("%s matches the path %s", c.pattern, s)
			}
		}
	}
}

// TestNobodyHidesFromAPattern spells the path of user 42 in every way that some server resolves to it.
func TestNobodyHidesFromAPattern(t *testing.T) {
	set := mustParse(t, `rules: [{id: a, detect: distinct, by: client_id, window: 1m, limit: 5, count: path.id, where: {route: "/users/{id}/profile", method: GET}}]`)
	r := set.Rules[0]
	m := set.NewMatcher()
	for _, path := range []string{
		"/users/42/profile", "/users/42/profile/", "//users/42/profile", "/users//42///profile//", "/./users/42/profile", "/users/./42/profile/.",
		"/x/../users/42/profile", "/users/42/x/../profile", "/users/41/../42/profile", "/../users/42/profile", "/users/42/profile/x/..",
		"/%75sers/42/profile", "/users/42/%70rofile", "/%2e/users/42/profile", "/x/%2E%2e/users/42/profile", "/x/.%2e/users/42/profile",
		"/Users/42/Profile", "/users;v=1/42/profile", "/users/42/profile;jsessionid=1", "/;a/users/42/profile", "/health/..;/users/42/profile",
		"/users%2f42%2Fprofile", "\\users\\42\\profile", "/users/42%5cprofile", "/users/42/profile;/",
	} {
		for _, method := range []string{"GET", "get"} {
			e := &event.Event{Method: method, Path: path}
			if !r.Filter.Match(e) || m.Match(e)[0] != 1 {
				t.Errorf("%s %s hides from %s", method, path, r.Filter)
			}
			if v := r.Detection.(*Distinct).Value(e); v != "42" {
				t.Errorf("%s counts as %q", path, v)
			}
		}
	}
}

// TestNobodyIsExcluded spells a path so that it looks excluded.
func TestNobodyIsExcluded(t *testing.T) {
	set := mustParse(t, `rules:
  - {id: nested, detect: rate, by: client_id, window: 1m, limit: 5, where: {route: {not: ["/health/**", "/users/me"]}}}
  - {id: block, detect: rate, by: client_id, window: 1m, limit: 5, where: {not: {route: ["/health/**", "/users/me"]}}}
  - {id: double, detect: rate, by: client_id, window: 1m, limit: 5, where: {not: {route: {not: "/users/**"}}}}
  - {id: path, detect: rate, by: client_id, window: 1m, limit: 5, where: {path: {not: ["/health/**", "/users/me"]}}}
`)
	m := set.NewMatcher()
	for _, c := range []struct {
		route, path string
		want        uint64 // bit 0: nested, 1: block, 2: double, 3: path
	}{
		{"/health", "/health", 0b0000},
		{"/health/{id}", "/health/7", 0b0000},
		{"/users/{id}", "/users/me", 0b0100},
		{"/users/{id}", "/users/42", 0b1111},
		{"", "/users/42", 0b1111},
		{"", "/health/../users/42", 0b1111},
		{"/health/../users/{id}", "/health/../users/42", 0b1111},
		{"/health/**", "/health/..;/users/42", 0b1111},
		{"", "/health/%2e%2e/users/42", 0b1111},
		{"", "/health%2f..%2fusers%2f42", 0b1111},
		{"", "/Health", 0b1011},
		{"/users/{id}", "/users/%6de", 0b1111},
		{"/orders", "/orders", 0b1011},
	} {
		e := &event.Event{Method: "GET", Route: c.route, Path: c.path}
		if got := m.Match(e)[0]; got != c.want {
			t.Errorf("route %q path %q: got %04b, want %04b", c.route, c.path, got, c.want)
		}
		for i, r := range set.Rules {
			if r.Filter.Match(e) != (c.want>>i&1 == 1) {
				t.Errorf("route %q path %q: Filter %s says %v", c.route, c.path, r.ID, c.want>>i&1 == 0)
			}
		}
	}
}

// TestDeepPaths holds the bound on what is looked at, and that dots do not use it up.
func TestDeepPaths(t *testing.T) {
	filter := mustParse(t, `rules: [{id: a, detect: rate, by: client_id, window: 1m, limit: 5, where: {route: "/users/{id}/**"}}]`).Rules[0].Filter
	for path, want := range map[string]bool{
		"/users/42" + strings.Repeat("/a", 1000):                             true,
		strings.Repeat("/a/..", 1000) + "/users/42":                          true,
		strings.Repeat("/./", 1000) + "users/42":                             true,
		strings.Repeat("/a", 100) + strings.Repeat("/..", 100) + "/users/42": true,
		strings.Repeat("/a", 100) + strings.Repeat("/..", 99) + "/users/42":  false,
	} {
		if got := filter.Match(&event.Event{Path: path}); got != want {
			t.Errorf("%.20s… (%d bytes): %v", path, len(path), got)
		}
	}
}

func TestRouteBeforePath(t *testing.T) {
	filter := mustParse(t, `rules: [{id: a, detect: rate, by: client_id, window: 1m, limit: 5, where: {route: "/users/{id}/**"}}]`).Rules[0].Filter
	for _, c := range []struct {
		route, path string
		want        bool
	}{
		{"/users/{userId}/profile", "/anything", true},
		{"/users/:id", "/api/v1/users/42", true},
		{"/things/{a}/{b}", "/users/42", true},
		{"getUser", "/users/42", true},
		{"/orders/{id}", "/orders/42", false},
		{"/users", "/users", false},
	} {
		if got := filter.Match(&event.Event{Route: c.route, Path: c.path}); got != c.want {
			t.Errorf("route %q path %q: %v", c.route, c.path, got)
		}
	}
}

func TestDistinctValue(t *testing.T) {
	const frame = "rules: [{id: a, detect: distinct, by: client_id, window: 1m, limit: 5, count: %COUNT%, where: {route: %ROUTE%}}]"
	for _, c := range []struct {
		count, route string
		segment      int
		e            event.Event
		want         string
	}{
		{"path.id", `"/users/{id}/**"`, 2, event.Event{Path: "/users/42/x", Route: "/users/{userId}/x"}, "42"},
		{"path.id", `"/users/{user}/orders/{order}"`, 4, event.Event{Path: "/users/42/orders/7"}, "7"},
		{"path.user", `"/users/{user}/orders/{order}"`, 2, event.Event{Path: "/users/42/orders/7"}, "42"},
		{"path.id", `"**/users/{id}/**"`, -1, event.Event{Path: "/api/v1/users/42/x"}, "42"},
		{"path.id", `"/users/{id}"`, 2, event.Event{Path: "/api/v1/users/42", Route: "/users/{id}"}, "42"},
		{"path.id", `["/users/{id}", "/a/b/{id}"]`, -1, event.Event{Path: "/a/b/7"}, "7"},
		{"path.id", `["/users/{id}", "/a/{id}"]`, 2, event.Event{Path: "/a/7"}, "7"},
		{"path.id", `"/users/**"`, -1, event.Event{Path: "/users/42/x", Route: "/users/{userId}/x"}, "42"},
		{"path.id", `"/users/{id}"`, 2, event.Event{Path: "/users"}, ""},
		{"subject", `"/users/{id}"`, -1, event.Event{Path: "/users/1", Subject: "bob"}, "bob"},
	} {
		d := mustParse(t, strings.NewReplacer("%COUNT%", c.count, "%ROUTE%", c.route).Replace(frame)).Rules[0].Detection.(*Distinct)
		if got := d.Value(&c.e); got != c.want || d.Segment != c.segment {
			t.Errorf("%s of %s in %q: got %q (segment %d), want %q (%d)", c.count, c.route, c.e.Path, got, d.Segment, c.want, c.segment)
		}
	}
}

// twin says slowly and obviously what a pattern matches: by a regular expression over the cleaned path.
func twin(p string, route string) bool {
	var b strings.Builder
	b.WriteString("^(?is:")
	for _, part := range strings.FieldsFunc(p, func(r rune) bool { return r == '/' }) {
		switch {
		case part == "**":
			b.WriteString("(?:/[^/]+)*")
		case part == "*" || strings.HasPrefix(part, "{"):
			b.WriteString("/[^/]+")
		default:
			b.WriteString("/" + strings.ReplaceAll(regexp.QuoteMeta(part), `\*`, "[^/]*"))
		}
	}
	b.WriteString(")$")
	cleaned := "/" + strings.Join(strings.FieldsFunc(route, func(r rune) bool { return r == '/' }), "/")
	if cleaned == "/" {
		cleaned = ""
	}
	return regexp.MustCompile(b.String()).MatchString(cleaned)
}

func FuzzPattern(f *testing.F) {
	f.Add("/users/{id}/**", "/users/42/profile")
	f.Add("**/a/**/b*c/*", "/x/a/a/bxc/bc/q")
	f.Add("/**/**/a", "//a/")
	f.Fuzz(func(t *testing.T, text, route string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		ascii := func(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > '~' || r < ' ' }) < 0 }
		if !ascii(text) || !ascii(route) || strings.ContainsAny(text, "%;\\") || strings.ContainsAny(route, "%;\\") || strings.Contains(route, "/.") || strings.HasPrefix(route, ".") {
			matchAny([]*pattern{p}, route, lenient)
			odd(route)
			return
		}
		_, got := p.match(cursor{text: route}, lenient, -1)
		if want := twin(text, route); got != want {
			t.Errorf("pattern %q, route %q: got %v, want %v", text, route, got, want)
		}
		list := strings.FieldsFunc(route, func(r rune) bool { return r == '/' })
		if _, again := p.match(cursor{list: append([]string{}, list...)}, lenient, -1); again != got {
			t.Errorf("pattern %q, route %q: a list of segments gives %v, the text %v", text, route, again, got)
		}
	})
}

// FuzzStrictReading compares with the standard library's own idea of dots and escapes.
func FuzzStrictReading(f *testing.F) {
	f.Add("/a/./b/../c")
	f.Add("/a/%2e%2E/b//c/")
	f.Fuzz(func(t *testing.T, text string) {
		got := "/" + strings.Join(strictReading(nil, text), "/")
		lenientReading(nil, text)
		if strings.Contains(strings.ToLower(text), "%2f") || strings.Count(text, "/") >= maxPathSegments {
			return
		}
		decoded := strings.NewReplacer("%2e", ".", "%2E", ".").Replace(text)
		if want := path.Clean("/" + decoded); strings.NewReplacer("%2e", ".", "%2E", ".").Replace(got) != want {
			t.Errorf("%q reads as %q, want %q", text, got, want)
		}
		if !odd(text) {
			plain := "/" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '/' }), "/")
			if plain != got {
				t.Errorf("%q counts as plain, but reads as %q", text, got)
			}
		}
	})
}
