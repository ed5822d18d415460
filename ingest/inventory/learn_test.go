package inventory

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func learned(t *testing.T, most int, paths []string) []string {
	t.Helper()
	l := NewLearner(most)
	for _, path := range paths {
		if err := l.Add(path); err != nil {
			t.Fatal(err)
		}
	}
	return l.Routes()
}

func TestManyValuesAreAParameter(t *testing.T) {
	var paths []string
	for i := range 60 {
		paths = append(paths, "/categories/"+word(i)+"/products", "/shops/"+word(i%50), fmt.Sprintf("/users/%d/%s", i, word(i)), "/deep/"+word(i)+"/x/"+word(i+7))
	}
	paths = append(paths, "/users/me", "/", "/a{b", "/x/../y")
	want := []string{"/categories/{id}/products", "/deep/{id}/x/{id2}", "/users/{id}/{id2}"}
	if diff := cmp.Diff(want, learned(t, 0, paths)); diff != "" {
		t.Error(diff)
	}
	if got := learned(t, 0, paths[:30]); got != nil {
		t.Errorf("learned %q of too little", got)
	}
}

// word makes words of letters alone, which look like no ids.
func word(i int) string { return string([]byte{'a' + byte(i/26%26), 'a' + byte(i%26), 'o', 'n'}) }

// What was a parameter below one value is one below all of them, whichever comes first.
func TestCollapsedBelowOneValue(t *testing.T) {
	var paths []string
	for i := range 8 {
		paths = append(paths, "/of/"+word(0)+"/"+word(i), "/of/"+word(i)+"/"+word(0))
	}
	for range 2 {
		if diff := cmp.Diff([]string{"/of/{id}/{id2}"}, learned(t, 5, paths)); diff != "" {
			t.Error(diff)
		}
		slices.Sort(paths)
	}
}

func TestLearningDoesNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var paths []string
		for range 200 {
			path := []string{"", "/of"}[round%2]
			for range 1 + r.IntN(4) {
				path += "/" + []string{word(r.IntN(4)), word(r.IntN(12)), "42"}[r.IntN(3)]
				if len(path) == 5 && round%3 == 0 {
					path = fmt.Sprint("/", word(r.IntN(676))) // enough to collapse the first segment
				}
			}
			paths = append(paths, path)
		}
		want := learned(t, 5, paths)
		if diff := cmp.Diff(want, canonical(paths, 5)); diff != "" {
			t.Fatal("the definition gives something else:", diff)
		}
		for _, order := range []func(a, b string) int{strings.Compare, func(a, b string) int { return strings.Compare(b, a) }} {
			slices.SortFunc(paths, order)
			if diff := cmp.Diff(want, learned(t, 5, paths)); diff != "" {
				t.Fatal("sorted:", diff)
			}
		}
		for range 3 {
			r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
			if diff := cmp.Diff(want, learned(t, 5, append(paths, paths[:20]...))); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}

// canonical is what learning means, on the whole set at once.
func canonical(paths []string, most int) (routes []string) {
	var split [][]string
	for _, path := range paths {
		split = append(split, parts(path))
	}
	collapse("", split, 0, false, most, &routes)
	slices.Sort(routes)
	return slices.Compact(routes)
}

func collapse(route string, paths [][]string, parameters int, learned bool, most int, routes *[]string) {
	tails, words := map[string][][]string{}, 0
	for _, p := range paths {
		if len(p) == 0 {
			if learned {
				*routes = append(*routes, route)
			}
			continue
		}
		if p[0] != "42" && tails[p[0]] == nil {
			words++
		}
		tails[p[0]] = append(tails[p[0]], p[1:])
	}
	limit := most
	if route == "" {
		limit = firstFactor * most
	}
	var together [][]string
	for word, rest := range tails {
		if words > limit || word == "42" {
			together = append(together, rest...)
			continue
		}
		collapse(route+"/"+word, rest, parameters, learned, most, routes)
	}
	if len(together) > 0 {
		name := "/{id}"
		if parameters > 0 {
			name = fmt.Sprintf("/{id%d}", parameters+1)
		}
		collapse(route+name, together, parameters+1, learned || words > limit, most, routes)
	}
}

func TestLearningIsBounded(t *testing.T) {
	l := NewLearner(1 << 30)
	var err error
	for i := 0; err == nil && i < 4*maxLearned; i++ {
		err = l.Add("/" + word(i) + "/" + word(i/676) + "/" + word(i/676/676))
	}
	if err == nil || l.count > maxLearned+8 {
		t.Errorf("%v, %d held", err, l.count)
	}
	l = NewLearner(0)
	for i := range 200_000 {
		if err := l.Add("/of/" + word(i) + "/" + word(i/676) + "/" + word(i/676/26)); err != nil {
			t.Fatal(err)
		}
	}
	if l.count > 200 {
		t.Errorf("%d prefixes are held of what is one route", l.count)
	}
}

func TestLearnedFileIsRead(t *testing.T) {
	text, err := FormatLearned([]string{"/a/{id}", "/caf\u00e9: #1/{id}/{id2}"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "learned.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := Load(Config{Learned: path})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/x": "/a/{id}", "/caf%C3%A9: #1/x/y": "/caf\u00e9: #1/{id}/{id2}", "/b": ""} {
		if got := v.Route(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if text, err = FormatLearned(nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Config{Learned: path}); err != nil {
		t.Errorf("no routes: %v", err)
	}
}
