package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/inventory"
	"github.com/gatewatch/gatewatch/rules"
)

// maxExplained bounds the input: explanations are for a person to read.
const maxExplained = 1 << 20

type explainFlags struct {
	event  string
	rules  []string
	only   []string
	geo    []string
	api    []string
	asJSON bool
}

func newRulesExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain --event FILE|- [--rules DIR]",
		Short: "Say for an event which rules it concerns, and why not the others",
		Long: "explain reads one record of telemetry, which may hold several events, as the service would, and says for each rule\n" +
			"whether the event counts for it: which conditions hold, which entity it belongs to, what is read from it, and what is missing.",
		Example: "  head -1 access.jsonl | gatewatch rules explain --event - --rules my-rules/\n" +
			"  gatewatch rules explain --event event.json --rule profile-enumeration --geo GeoLite2-City.mmdb --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("explain takes no arguments, got %q; the event is given with --event", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.InOrStdin(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.event, "event", "", "`file` with the record; - is the standard input")
	flags.StringSliceVar(&f.rules, "rules", nil, "rule `files` and directories (default: the shipped rules)")
	flags.StringSliceVar(&f.only, "rule", nil, "explain only the rules with these `ids`")
	flags.StringSliceVar(&f.geo, "geo", nil, "GeoIP `databases` (MMDB)")
	flags.StringSliceVar(&f.api, "openapi", nil, "OpenAPI 3 `files` and folders")
	flags.BoolVar(&f.asJSON, "json", false, "write JSON")
	return cmd
}

func (f *explainFlags) run(stdin io.Reader, w io.Writer) error {
	if f.event == "" {
		return usagef("explain needs an event: --event FILE, or --event - for the standard input")
	}
	set, err := loadRules(f.rules)
	if err != nil {
		return err
	}
	for _, id := range f.only {
		if set.ByID(id) == nil {
			return usagef("there is no rule %q; `gatewatch rules list` shows all", id)
		}
	}
	record, err := f.read(stdin)
	if err != nil {
		return err
	}
	events, err := f.decode(record, set)
	if err != nil {
		return err
	}
	return f.write(w, set, events)
}

func (f *explainFlags) read(stdin io.Reader) ([]byte, error) {
	in := stdin
	if f.event != "-" {
		file, err := os.Open(f.event)
		if err != nil {
			return nil, usagef("open event: %w", err)
		}
		defer file.Close()
		in = file
	}
	record, err := io.ReadAll(io.LimitReader(in, maxExplained+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read event: %w", err)
	case len(record) > maxExplained:
		return nil, usagef("the event has more than %d bytes: give explain a single record", maxExplained)
	}
	return record, nil
}

// decode reads the record with the service's own decoder. What it rejects is an error: it says why nothing would be found.
func (f *explainFlags) decode(record []byte, set *rules.Set) ([]event.Event, error) {
	opts := ingest.Options{Query: accesslog.NewQueryNames(set.QueryParams()...)}
	if len(f.geo) > 0 {
		databases, err := geo.Open(f.geo, geo.Options{})
		if err != nil {
			return nil, usageError{err}
		}
		opts.Geo = databases
	}
	known, err := openInventory(inventory.Config{OpenAPI: f.api}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	opts.Inventory = known
	d := ingest.NewDecoder(opts)
	d.Begin(event.Partition{Topic: f.event})
	d.Add(0, record)
	batch, rejected := d.Take()
	if len(rejected) > 0 {
		return nil, fmt.Errorf("the event would be rejected: %s (%s)", rejected[0].Reason, rejected[0].Detail)
	}
	if len(batch.Events) == 0 {
		return nil, fmt.Errorf("the input holds no event")
	}
	return batch.Events, nil
}

// explained is an event and what the rules make of it.
type explained struct {
	Event        string              `json:"event"`
	Explanations []rules.Explanation `json:"rules"`
}

func (f *explainFlags) write(w io.Writer, set *rules.Set, events []event.Event) error {
	all := make([]explained, len(events))
	for i := range events {
		all[i] = explained{describeEvent(&events[i]), f.chosen(rules.Explain(set, &events[i]))}
	}
	if f.asJSON {
		return writeJSON(w, all)
	}
	for i, x := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if _, err := io.WriteString(w, x.text()); err != nil {
			return err
		}
	}
	return nil
}

func (f *explainFlags) chosen(list []rules.Explanation) []rules.Explanation {
	if len(f.only) == 0 {
		return list
	}
	var chosen []rules.Explanation
	for _, x := range list {
		for _, id := range f.only {
			if x.Rule == id {
				chosen = append(chosen, x)
			}
		}
	}
	return chosen
}

func describeEvent(e *event.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %d", e.Time, e.Method, e.Path, e.Status)
	if e.Route != "" && e.Route != e.Path {
		fmt.Fprintf(&b, ", route %s", e.Route)
	}
	return b.String()
}

// text writes the rules that concern the event first.
func (x *explained) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, x.Event)
	for _, matched := range []bool{true, false} {
		for _, r := range x.Explanations {
			if r.Matched == matched {
				explainRule(&b, &r)
			}
		}
	}
	return b.String()
}

func explainRule(b *strings.Builder, r *rules.Explanation) {
	if r.Matched {
		fmt.Fprintf(b, "  counts  %s: %s=%s", r.Rule, r.Kind, r.Entity)
		if r.Value != "" {
			fmt.Fprintf(b, ", %s", r.Value)
		}
		fmt.Fprintln(b)
	} else {
		fmt.Fprintf(b, "  no      %s\n", r.Rule)
	}
	for _, c := range r.Checks {
		if !c.Holds {
			fmt.Fprintf(b, "            wants %s; found %s\n", c.Wanted, c.Found)
		}
	}
	for _, field := range r.Missing {
		fmt.Fprintf(b, "            groups by %s, which the event does not have\n", field)
	}
	if r.Matched {
		for _, note := range r.Notes {
			fmt.Fprintf(b, "            but %s\n", note)
		}
	}
}
