package ruletest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/rules"
)

// FuzzRun runs whatever tests can be read, twice: they end alike, and nothing panics.
func FuzzRun(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	for _, file := range []string{"../pack/geography", "../pack/workflow"} {
		ruleText, err := os.ReadFile(file + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		tests, err := os.ReadFile(file + ".tests.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(ruleText, tests...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, tests, err := rules.ParseTests(rules.File{Name: "f.yaml", Data: data})
		if err != nil {
			return
		}
		for _, test := range tests {
			if test.Events() > 300 {
				continue
			}
			first, err := Run(t.Context(), test)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Run(t.Context(), test)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.Alerts, again.Alerts) + cmp.Diff(first.Failures, again.Failures); diff != "" {
				t.Errorf("the second run ends otherwise: %s", diff)
			}
		}
	})
}
