package inventory

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// twin is the matcher as anybody would write it: a regular expression for each template, and the most concrete one counts.
type twin struct {
	templates []string
	forms     []*regexp.Regexp
}

func newTwin(templates []string) *twin {
	w := &twin{templates: templates}
	for _, template := range templates {
		var b strings.Builder
		for _, s := range parts(template) {
			b.WriteString("/" + parameter.ReplaceAllString(regexp.QuoteMeta(s), "[^/]+"))
		}
		w.forms = append(w.forms, regexp.MustCompile("(?s)^"+b.String()+"$"))
	}
	return w
}

var parameter = regexp.MustCompile(`\\\{[^}]*\\\}`)

func parts(path string) (all []string) {
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// find returns the template that counts, -1 when none fits.
func (w *twin) find(path string) int {
	plain := ""
	for _, s := range parts(path) {
		plain += "/" + s
	}
	best, rank := -1, ""
	for i, form := range w.forms {
		if r := concreteness(w.templates[i]); form.MatchString(plain) && (best < 0 || r < rank) {
			best, rank = i, r
		}
	}
	return best
}

// concreteness sorts templates by how concrete their segments are, from the first one on.
func concreteness(template string) string {
	var b strings.Builder
	for _, s := range parts(template) {
		literals, _ := parseSegment(s)
		text := strings.Join(literals, "{}")
		switch {
		case len(literals) == 1:
			b.WriteString("a")
		case text == "{}":
			b.WriteString("c")
		default:
			fmt.Fprintf(&b, "b%04d%s", 9999-len(text), text)
		}
		b.WriteByte('\x00')
	}
	return b.String()
}

// randomTemplates makes templates that are likely to compete for the same paths, each form once.
func randomTemplates(r *rand.Rand) (templates []string) {
	segments := []string{"a", "b", "ab", "{p}", "{p}", "a{p}", "{p}b", "a{p}b", "{p}a{q}", "x-{p}.{q}", "aa{p}"}
	seen := map[string]bool{}
	for range 1 + r.IntN(12) {
		template, form := "", ""
		for range r.IntN(4) {
			s := segments[r.IntN(len(segments))]
			template += "/" + s
			form += "/" + strings.ReplaceAll(s, "{q}", "{p}")
		}
		if template == "" {
			template, form = "/", "/"
		}
		if !seen[form] {
			seen[form] = true
			templates = append(templates, template)
		}
	}
	return templates
}

func FuzzFind(f *testing.F) {
	f.Add(uint64(1), "/a/ab/b")
	f.Add(uint64(2), "/aab/x-a.b/")
	f.Add(uint64(3), "//abab/aaa")
	f.Fuzz(func(t *testing.T, seed uint64, path string) {
		check(t, seed, path)
	})
}

func TestFindAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	letters := []string{"a", "b", "ab", "x-", ".", "/", "/", "c"}
	for seed := range uint64(6_000) {
		path := "/"
		for range r.IntN(12) {
			path += letters[r.IntN(len(letters))]
		}
		check(t, seed, path)
	}
}

func check(t *testing.T, seed uint64, path string) {
	t.Helper()
	if strings.ContainsAny(path, "%;") || len(parts(path)) > maxSegments || slices.ContainsFunc(parts(path), func(s string) bool { return dots(s) > 0 }) {
		return // the twin knows no spellings
	}
	templates := randomTemplates(rand.New(rand.NewPCG(seed, 1)))
	tree := &node{}
	for i, template := range templates {
		end, err := tree.insert(template)
		if err != nil {
			t.Fatal(err)
		}
		end.add("GET", i)
	}
	var p segments
	p.read(path)
	got, want := tree.find(p.list(), "GET"), newTwin(templates).find(path)
	if got != want {
		t.Fatalf("%q of %q: found %d, the twin %d", path, templates, got, want)
	}
	p.read(escaped(path))
	if again := tree.find(p.list(), "GET"); again != got {
		t.Fatalf("%q of %q: found %d when spelled otherwise, and %d", path, templates, again, got)
	}
}

// escaped writes every byte but slashes with a percent sign.
func escaped(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if path[i] == '/' {
			b.WriteByte('/')
			continue
		}
		fmt.Fprintf(&b, "%%%02x", path[i])
	}
	return b.String()
}

func FuzzSegments(f *testing.F) {
	f.Add("/a/%2e%2e/b;c/./d//e")
	f.Fuzz(func(t *testing.T, path string) {
		var p segments
		if !p.read(path) {
			return
		}
		for _, s := range p.list() {
			if s == "" || dots(s) > 0 || strings.ContainsAny(s, "/;") {
				t.Fatalf("%q has the segment %q", path, s)
			}
			if want, err := url.PathUnescape(s); err == nil && decoded(s) != want {
				t.Fatalf("%q is decoded to %q, not %q", s, decoded(s), want)
			}
		}
	})
}
