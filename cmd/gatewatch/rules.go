package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// newRulesCommand makes "gatewatch rules" and its subcommands.
func newRulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check, test, list and explain rules",
		Long:  "rules works on rule files and directories; without any it works on the rules that gatewatch ships.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; `gatewatch rules --help` lists the commands", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newRulesCheckCommand(), newRulesListCommand(), newRulesSchemaCommand(), newRulesExplainCommand(), newRulesTestCommand())
	return cmd
}

// readRuleFiles reads the rule files of paths. Where there are none, or they hold contracts but no rules, the shipped rules are what
// runs.
func readRuleFiles(paths []string) ([]rules.File, error) {
	files, err := rules.ReadFiles(paths...)
	if err != nil {
		return nil, usageError{err}
	}
	if slices.ContainsFunc(files, func(f rules.File) bool { return !onlyContracts(f) }) {
		return files, nil
	}
	shipped, err := rules.ReadFS(pack.Files())
	if err != nil {
		return nil, usageError{err}
	}
	return append(shipped, files...), nil
}

// onlyContracts reports whether a file has contracts and no rules. A file that cannot be read at all has its errors told as one of
// rules.
func onlyContracts(f rules.File) bool {
	c := f.Count()
	return c.Rules == 0 && c.Contracts > 0
}

// loadRules compiles the rules of paths, or the shipped ones. An invalid rule is the caller's mistake; the error lists all.
func loadRules(paths []string) (*rules.Set, error) {
	files, err := readRuleFiles(paths)
	if err != nil {
		return nil, err
	}
	set, err := rules.Parse(files...)
	if err != nil {
		return nil, usagef("the rules are invalid:\n%w", err)
	}
	return set, nil
}

func newRulesCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [DIR|FILE…]",
		Short: "Compile rules and their tests and report everything that is wrong with them",
		Long: "check prints one line for each file that is right, and every error of those that are not, with file, line and column.\n" +
			"It exits with status 2 when there are errors.",
		Example: "  gatewatch rules check\n  gatewatch rules check my-rules/ extra.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := readRuleFiles(args)
			if err != nil {
				return err
			}
			return checkRules(cmd.OutOrStdout(), files)
		},
	}
}

// checkRules compiles the files together, because ids must be unique among all of them.
func checkRules(w io.Writer, files []rules.File) error {
	_, _, err := rules.ParseTests(files...)
	var defects rules.Errors
	if err != nil && !errors.As(err, &defects) {
		return err
	}
	byFile := map[string]rules.Errors{}
	for _, d := range defects {
		byFile[d.File] = append(byFile[d.File], d)
	}
	for _, f := range files {
		if wrong := byFile[f.Name]; len(wrong) > 0 {
			fmt.Fprintln(w, wrong)
			continue
		}
		fmt.Fprintf(w, "%s: ok, %s\n", f.Name, contents(f))
	}
	if len(defects) > 0 {
		return usagef("%s in %s", plural(len(defects), "error"), plural(len(byFile), "file"))
	}
	return nil
}

// contents counts what a file holds.
func contents(f rules.File) string {
	var parts []string
	c := f.Count()
	for _, p := range []struct {
		n    int
		noun string
	}{{c.Rules, "rule"}, {c.Contracts, "contract"}, {c.Tests, "test"}} {
		if p.n > 0 {
			parts = append(parts, plural(p.n, p.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(uint64(n)) + " " + noun + "s"
}

func newRulesListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [DIR|FILE…]",
		Short:   "List rules with what they watch and their limits",
		Example: "  gatewatch rules list\n  gatewatch rules list --json my-rules/ | jq '.[].id'",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := loadRules(args)
			if err != nil {
				return err
			}
			list := make([]rules.Summary, set.Len())
			for i, r := range set.Rules {
				list[i] = r.Summary()
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			if err := listRules(cmd.OutOrStdout(), list); err != nil {
				return err
			}
			return listContracts(cmd.OutOrStdout(), set.Contracts)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON array with more about each rule")
	return cmd
}

func listRules(w io.Writer, list []rules.Summary) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSEVERITY\tMODE\tDETECT\tBY\tWINDOW\tLIMIT\tTITLE")
	for _, s := range list {
		row := []string{s.ID, s.Severity, s.Mode, s.Detect, s.By, s.Window, s.Limit, s.Title}
		for i, text := range row {
			if text == "" {
				row[i] = "-"
			}
			row[i] = strings.Join(strings.Fields(row[i]), " ")
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// listContracts writes the contracts below the rules, if there are any.
func listContracts(w io.Writer, list []*rules.Contract) error {
	if len(list) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nCONTRACT\tAPPLIES TO\tAGREED\tTITLE")
	for _, c := range list {
		row := []string{c.ID, c.Consumers(), strings.Join(c.Agreed(), ", "), c.Title}
		for i := range row {
			row[i] = strings.Join(strings.Fields(row[i]), " ")
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newRulesSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of rule files, for editors",
		Long: "schema prints a JSON Schema (draft 2020-12). With the YAML language server, save it next to the rules and put\n\n" +
			"  # yaml-language-server: $schema=rules.schema.json\n\ninto the first line of a rule file.",
		Example: "  gatewatch rules schema > rules.schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("schema takes no arguments, got %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(rules.Schema())
			return err
		},
	}
}
