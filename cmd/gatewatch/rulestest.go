package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/ruletest"
)

type rulesTestFlags struct {
	junit        string
	only         string
	requireTests bool
	noColor      bool
}

func newRulesTestCommand() *cobra.Command {
	var f rulesTestFlags
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE…]",
		Short: "Run the tests that stand beside rules",
		Long: "test runs the tests of rule files on the service's own engine: each makes requests and says which alerts must come of\n" +
			"them. It prints what failed and how close it was, and exits with status 1 when a test fails, 2 when a file is wrong.\n" +
			"The README describes the notation under \"Test your rules\".",
		Example: "  gatewatch rules test\n  gatewatch rules test my-rules/ --require-tests --junit rules.xml\n  gatewatch rules test my-rules/ --run 'profiles|night'",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), cmd.OutOrStdout(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.junit, "junit", "", "write the outcome as JUnit XML into this `file`, for CI")
	flags.StringVar(&f.only, "run", "", "run only the tests whose name this regular `expression` matches")
	flags.BoolVar(&f.requireTests, "require-tests", false, "fail when a rule has no test that expects an alert of it")
	flags.BoolVar(&f.noColor, "no-color", false, "do not colour the outcome")
	return cmd
}

func (f *rulesTestFlags) run(ctx context.Context, w io.Writer, paths []string) error {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return usagef("--run: %w", err)
	}
	set, tests, err := loadTests(paths)
	if err != nil {
		return err
	}
	var results []ruletest.Result
	report := testReport{w: w, paint: paintFor(w, f.noColor)}
	for _, t := range tests {
		if !only.MatchString(t.Name) {
			continue
		}
		result, err := ruletest.Run(ctx, t)
		if err != nil {
			return err
		}
		report.add(&result)
		results = append(results, result)
	}
	if len(results) == 0 && f.only != "" {
		return usagef("--run %s: no test of %d has such a name", f.only, len(tests))
	}
	untested := ruletest.Untested(set, tests)
	report.end(set, untested)
	if f.junit != "" {
		if err := writeJUnit(f.junit, results); err != nil {
			return err
		}
	}
	return f.verdict(report.failed, untested)
}

func (f *rulesTestFlags) verdict(failed int, untested []string) error {
	switch {
	case failed > 0:
		return fmt.Errorf("%s failed", plural(failed, "test"))
	case f.requireTests && len(untested) > 0:
		return fmt.Errorf("%s without a test that expects an alert", plural(len(untested), "rule"))
	}
	return nil
}

// loadTests compiles rules with their tests.
func loadTests(paths []string) (*rules.Set, []*rules.Test, error) {
	files, err := readRuleFiles(paths)
	if err != nil {
		return nil, nil, err
	}
	set, tests, err := rules.ParseTests(files...)
	if err != nil {
		return nil, nil, usagef("the rules or their tests are invalid:\n%w", err)
	}
	return set, tests, nil
}

// paintFor colours what goes to a terminal.
func paintFor(w io.Writer, noColor bool) paint {
	if f, ok := w.(*os.File); ok {
		return newScreen(f, noColor).paint
	}
	return paint{}
}

func writeJUnit(path string, results []ruletest.Result) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return errors.Join(ruletest.WriteJUnit(file, results), file.Close())
}

// testReport tells a person how tests end, as they end.
type testReport struct {
	w      io.Writer
	paint  paint
	file   string
	ran    int
	failed int
	took   time.Duration
}

func (p *testReport) add(r *ruletest.Result) {
	if r.Test.File != p.file {
		p.file = r.Test.File
		fmt.Fprintln(p.w, p.paint.bold(p.file))
	}
	p.ran++
	p.took += r.Elapsed
	outcome := p.paint.good("ok  ")
	if !r.Passed() {
		p.failed++
		outcome = p.paint.bad("FAIL")
	}
	figures := fmt.Sprintf("%s, %s", plural(r.Events, "request"), plural(len(r.Alerts), "alert"))
	fmt.Fprintf(p.w, "  %s  %s  %s\n", outcome, r.Test.Name, p.paint.dim(figures))
	for _, failure := range r.Failures {
		fmt.Fprintf(p.w, "        line %d: %s\n", failure.Line, strings.ReplaceAll(failure.Text, "\n", "\n        "))
	}
}

func (p *testReport) end(set *rules.Set, untested []string) {
	if len(untested) > 0 {
		fmt.Fprintf(p.w, "\nno test expects an alert of %s\n", strings.Join(untested, ", "))
	}
	outcome := p.paint.good("all passed")
	switch {
	case p.ran == 0:
		outcome = "nothing was tested"
	case p.failed > 0:
		outcome = p.paint.bad(fmt.Sprintf("%d failed", p.failed))
	}
	fmt.Fprintf(p.w, "\n%s, %s, %s in %s\n", plural(p.ran, "test"), plural(set.Len(), "rule"), outcome, p.took.Round(time.Millisecond))
}
