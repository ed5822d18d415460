package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/inventory"
)

func newInventoryReportCommand() *cobra.Command {
	var f inventoryFlags
	var format string
	cmd := &cobra.Command{
		Use:   "report [flags] FILE…|-",
		Short: "List shadow, zombie, ownerless and unused endpoints",
		Long: "report reads telemetry and lists what is called although no specification names it (shadow) or although its date has come\n" +
			"(zombie), what nobody owns (ownerless), and what is specified and never called (unused), with requests and callers.",
		Example: "  gatewatch inventory report --openapi specs/ access.jsonl\n  gatewatch inventory report --config gatewatch.yaml --format json 'logs-*.jsonl.gz' | jq .shadow",
		Args:    someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.report(cmd, format, args)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

// quietLog shows warnings alone.
func quietLog(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (f *inventoryFlags) report(cmd *cobra.Command, format string, names []string) error {
	if format != "table" && format != "json" {
		return usagef("--format is %q, must be table or json", format)
	}
	c, err := f.settings()
	if err != nil {
		return err
	}
	if len(c.Inventory.OpenAPI) == 0 {
		return usagef("name the specifications: --openapi with files or folders, or --config with inventory.openapi")
	}
	known, err := openInventory(c.Inventory, quietLog(cmd))
	if err != nil {
		return err
	}
	census := inventory.NewCensus(known)
	if err := f.events(cmd, c, known, names, func(e *event.Event) error { census.Add(e); return nil }); err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(cmd.OutOrStdout(), census.Report())
	}
	return writeReport(cmd.OutOrStdout(), census.Report())
}

// writeReport writes a report for people.
func writeReport(w io.Writer, r inventory.Report) error {
	fmt.Fprint(w, plural(int(r.Events), "request"))
	if r.From != "" {
		fmt.Fprintf(w, " from %s to %s", r.From, r.To)
	}
	fmt.Fprintf(w, ", %s in the specifications\n", plural(r.Named, "endpoint"))
	for _, part := range []struct {
		title, none string
		list        []inventory.Endpoint
		when        bool // somebody called them
	}{
		{"Shadow: answered 2xx, and no specification names them", "none", r.Shadow, true},
		{"Zombie: called after their date", "none", r.Zombie, true},
		{"Ownerless: nobody owns them", "none", r.Ownerless, true},
		{"Unused: specified, and nobody calls them", "none", r.Unused, false},
	} {
		fmt.Fprintf(w, "\n%s (%d)\n", part.title, len(part.list))
		if err := writeEndpoints(w, part.list, part.when); err != nil {
			return err
		}
	}
	if r.Others > 0 {
		fmt.Fprintf(w, "\n%s went to more shadow endpoints than are listed\n", plural(int(r.Others), "request"))
	}
	return nil
}

func writeEndpoints(w io.Writer, list []inventory.Endpoint, when bool) error {
	if len(list) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if when {
		fmt.Fprint(table, "  REQUESTS\tCALLERS\tFIRST SEEN\tLAST SEEN\t")
	} else {
		fmt.Fprint(table, "  ")
	}
	fmt.Fprintln(table, "ENDPOINT\tAPI\tOWNER\tRETIRED")
	for i := range list {
		e := &list[i]
		if fmt.Fprint(table, "  "); when {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t", thousands(e.Requests), callers(e), dash(minute(e.FirstSeen)), dash(minute(e.LastSeen)))
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\n", e.Method, visible(e.Route), dash(visible(e.API)), dash(visible(e.Owner)), dash(strings.TrimSuffix(e.Sunset, "T00:00:00.000Z")))
	}
	return table.Flush()
}

func callers(e *inventory.Endpoint) string {
	if e.CallersExact {
		return thousands(e.Callers)
	}
	return "≈ " + thousands(e.Callers)
}

// minute cuts an instant to its minute.
func minute(instant string) string {
	const form = "2006-01-02T15:04"
	if len(instant) < len(form) {
		return ""
	}
	return strings.Replace(instant[:len(form)], "T", " ", 1)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// visible cuts what somebody chose to what a person reads, without what steers a terminal.
func visible(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
