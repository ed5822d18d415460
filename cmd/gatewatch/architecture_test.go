package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gatewatch/gatewatch/"

// arrows says which packages of gatewatch each part may import: what begins with one of the given names. The most specific
// part counts. A part that is not listed may import everything.
var arrows = map[string][]string{
	"detector/event":          {},
	"detector/alert":          {},
	"detector/wire":           {},
	"detector/window":         {"detector/wire"},
	"rules":                   {"detector/event", "detector/alert", "detector/window", "rules"},
	"detector":                {"detector", "rules"},
	"ingest":                  {"detector/event", "ingest"},
	"ingest/kafka/connection": {},
	"sinks":                   {"detector/alert", "sinks", "ingest/kafka/connection"},
	"fixtures":                {"detector/event", "detector/alert", "fixtures"},
	"deploy":                  {"cmd", "detector", "rules", "ingest", "sinks", "fixtures", "deploy"},
	"rules/ruletest":          {"detector", "rules", "ingest"},
	"cmd":                     {"cmd", "detector", "rules", "ingest", "sinks", "fixtures"},
}

// TestImportArrows holds the direction of imports: a part that knows less can be understood, tested and replaced alone.
func TestImportArrows(t *testing.T) {
	checked := 0
	for dir, imports := range imports(t, false) {
		allowed, ok := arrows[partOf(dir)]
		if !ok {
			t.Errorf("%s belongs to no part: say in this test what it may import", dir)
		}
		for _, path := range imports {
			checked++
			if path == dir || slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") }) {
				continue
			}
			t.Errorf("%s imports %s; it may import only %v", dir, path, allowed)
		}
	}
	if checked < 20 {
		t.Errorf("only %d imports were looked at", checked)
	}
}

// TestEngineHasNoClockOrNetwork keeps the engine's outcome a function of its events.
func TestEngineHasNoClockOrNetwork(t *testing.T) {
	for dir, imports := range imports(t, true) {
		if partOf(dir) != "detector" && !strings.HasPrefix(dir, "detector/") {
			continue
		}
		for _, forbidden := range []string{"net", "net/http", "os", "math/rand", "math/rand/v2"} {
			if slices.Contains(imports, forbidden) {
				t.Errorf("%s imports %s", dir, forbidden)
			}
		}
	}
	for file, calls := range clockCalls(t, "../../detector") {
		t.Errorf("%s reads the clock: %v", file, calls)
	}
}

func partOf(dir string) string {
	for part := dir; part != "."; part = filepath.Dir(part) {
		if _, ok := arrows[part]; ok {
			return part
		}
	}
	return ""
}

// imports returns what each directory's files, tests apart, import: of this module (without its name), or from elsewhere.
func imports(t *testing.T, elsewhere bool) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	walkGo(t, "../..", func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../../"))
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			own, found := strings.CutPrefix(name, module)
			if found != elsewhere {
				all[dir] = append(all[dir], own)
			}
		}
	})
	return all
}

func walkGo(t *testing.T, root string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clockCalls returns the uses of time.Now and its like below root.
func clockCalls(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	walkGo(t, root, func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == "time" &&
				slices.Contains([]string{"Now", "Since", "Until", "After", "NewTimer", "NewTicker", "Tick", "AfterFunc", "Sleep"}, selector.Sel.Name) {
				found[path] = append(found[path], "time."+selector.Sel.Name)
			}
			return true
		})
	})
	return found
}
