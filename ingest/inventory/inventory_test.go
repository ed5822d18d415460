package inventory

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the specifications give into their files")

// TestSpecifications runs testdata/*.txtar: specifications, what they name, and requests with what is known of them; or what is
// wrong with them. A request is "METHOD PATH", and the route that the gateway logged if there is one.
func TestSpecifications(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no specifications", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil || strings.TrimSpace(string(archive.Comment)) == "" {
				t.Fatal("the file does not say what it shows", err)
			}
			got := outcome(t, archive)
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// outcome returns the archive with everything that is computed made anew.
func outcome(t *testing.T, archive *txtar.Archive) *txtar.Archive {
	t.Helper()
	folder, c := t.TempDir(), DefaultConfig()
	out := &txtar.Archive{Comment: archive.Comment}
	var requests []string
	for _, f := range archive.Files {
		switch {
		case f.Name == "operations" || f.Name == "problems" || f.Name == "warnings":
			continue
		case f.Name == "requests":
			requests = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
			continue
		}
		out.Files = append(out.Files, f)
		path := filepath.Join(folder, f.Name)
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		if f.Name == "learned.yaml" {
			c.Learned = path
			continue
		}
		c.OpenAPI = append(c.OpenAPI, path)
	}
	part := func(name string, lines []string) {
		if len(lines) > 0 {
			text := strings.ReplaceAll(strings.Join(lines, "\n"), folder+string(filepath.Separator), "")
			out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(text + "\n")})
		}
	}
	v, err := Load(c)
	if err != nil {
		part("problems", []string{err.Error()})
		return out
	}
	part("operations", listing(v))
	part("warnings", v.Warnings())
	part("requests", answers(v, requests))
	return out
}

func listing(v *Inventory) (lines []string) {
	for _, o := range v.Operations() {
		line := fmt.Sprintf("%d %s %s api=%s", o.Line, o.Method, o.Route, o.API)
		if o.Owner != "" {
			line += " owner=" + o.Owner
		}
		if o.Classification != "" {
			line += " classification=" + o.Classification
		}
		if o.Deprecated {
			line += " deprecated"
		}
		if o.Sunset != 0 {
			line += " sunset=" + o.Sunset.String()
		}
		lines = append(lines, line)
	}
	return lines
}

func answers(v *Inventory, requests []string) (lines []string) {
	for _, request := range requests {
		request, _, _ = strings.Cut(request, " -> ")
		words := append(strings.Fields(request), "", "")
		o, answer := v.Find(words[0], words[1], words[2]), "nothing is known"
		switch {
		case o == nil:
		case o.Registered:
			answer = o.Route
		default:
			answer = "unregistered"
		}
		if route := v.Route(words[1]); route != "" {
			answer += ", learned " + route
		}
		lines = append(lines, request+" -> "+answer)
	}
	return lines
}

func TestFilesAndFolders(t *testing.T) {
	folder := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("openapi: 3.0.3\ninfo: {title: x, version: '1'}\npaths:\n  /%s: {get: {responses: {}}}\n", strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b, a := write("b.yaml"), write("a.yml")
	write("deep/c.json")
	write(".git/d.yaml")
	write("deep/notes.txt")
	v, err := Load(Config{OpenAPI: []string{b, folder, filepath.Join(folder, "*.y*ml")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/b.yaml", "/a.yml", "/deep-c.json"}
	var got []string
	for _, o := range v.Operations() {
		got = append(got, o.Route)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	missing := filepath.Join(folder, "none.yaml")
	_, err = Load(Config{OpenAPI: []string{missing, filepath.Join(folder, "*.xml"), filepath.Dir(b) + "/deep/notes.txt", a}})
	for _, want := range []string{missing + ": no such file or directory", "*.xml: no file has such a name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}

func TestNoFilesAreNoInventory(t *testing.T) {
	v, err := Load(DefaultConfig())
	if v != nil || err != nil {
		t.Error(v, err)
	}
	if v.Find("GET", "/", "") != nil || v.Route("/") != "" || v.Specified() {
		t.Error("something is known")
	}
}

func TestHugeSpecifications(t *testing.T) {
	if _, err := Parse(Specification{"huge.yaml", []byte("openapi: 3.0.3\n#" + strings.Repeat("x", MaxFileBytes))}); err == nil ||
		err.Error() != "huge.yaml: is larger than 16 MiB" {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(path, make([]byte, MaxFileBytes+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Config{OpenAPI: []string{path}}); err == nil || !strings.HasSuffix(err.Error(), "is larger than 16 MiB") {
		t.Error(err)
	}
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: x, version: '1'}\nservers:\n")
	for i := range maxBases {
		fmt.Fprintf(&b, "  - {url: /b%d}\n", i)
	}
	b.WriteString("paths:\n")
	for i := range MaxOperations/maxBases + 1 {
		fmt.Fprintf(&b, "  /p%d: {get: {}}\n", i)
	}
	if _, err := Parse(Specification{"many.yaml", []byte(b.String())}); err == nil || strings.Count(err.Error(), "\n") > 0 ||
		!strings.Contains(err.Error(), "the specifications name more than 100000 operations") {
		t.Error(err)
	}
}

func TestDeepSpecifications(t *testing.T) {
	const head = "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {}\nx-a: "
	for _, text := range []string{
		head + strings.Repeat("[", 1_000_000),
		head + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
		head + "\n" + strings.Repeat("  - ", 1000) + strings.Repeat("? ", 100_000),
	} {
		if _, err := Parse(Specification{"deep.yaml", []byte(text)}); err == nil || !strings.HasPrefix(err.Error(), "deep.yaml: ") {
			t.Errorf("%.60q: %v", text[len(head):], err)
		}
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	v := parsed(t, "/a/{b}/c-{d}.json", "/caf\u00e9/{id}", "/a/b")
	for _, path := range []string{"/a/1/c-2.json", "/caf%C3%A9/%31", "//a/./x/../b;v=1", "/nowhere", strings.Repeat("/a", 100)} {
		if n := testing.AllocsPerRun(100, func() { v.Find("GET", path, "/x/{y}") }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

// parsed makes an inventory in which GET is specified for each path.
func parsed(t testing.TB, paths ...string) *Inventory {
	t.Helper()
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: x, version: '1'}\npaths:\n")
	for _, path := range paths {
		fmt.Fprintf(&b, "  %q: {get: {}}\n", path)
	}
	v, err := Parse(Specification{"test.yaml", []byte(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func BenchmarkFind(b *testing.B) {
	var paths []string
	for i := range 1000 {
		paths = append(paths, fmt.Sprintf("/v1/things%d/{id}", i), fmt.Sprintf("/v1/things%d/{id}/parts/{part}", i))
	}
	v := parsed(b, paths...)
	for name, path := range map[string]string{
		"found": "/v1/things500/7f3e2a90-1c55-4e0e-9c4e-3a0f3f2d1b11/parts/9", "unknown": "/v1/nothing/7f3e2a90",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Find("GET", path, "")
			}
		})
	}
}
