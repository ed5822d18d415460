package main

import (
	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/inventory"
	"github.com/gatewatch/gatewatch/ingest/route"
)

func newInventoryLearnCommand() *cobra.Command {
	var f inventoryFlags
	var most int
	cmd := &cobra.Command{
		Use:   "learn [flags] FILE…|-",
		Short: "Learn route templates from telemetry",
		Long: "learn reads telemetry and writes route templates for inventory.learned to stdout. What looks like an id is a parameter in any\n" +
			"case; learn finds those that do not, such as names of categories: a segment is a parameter when more than --max-values\n" +
			"different ones stand in it behind the same beginning (the first segment: 20 times as many). Only requests that answered 2xx count, and only those without a route\n" +
			"in the log or in a specification. The same requests in any order give the same templates.",
		Example: "  gatewatch inventory learn monday.jsonl.gz tuesday.jsonl.gz > learned.yaml",
		Args:    someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.learn(cmd, most, args)
		},
	}
	f.register(cmd)
	cmd.Flags().IntVar(&most, "max-values", inventory.DefaultMaxValues, "most different `values` of a segment that is no parameter, 1 to 10000")
	return cmd
}

func (f *inventoryFlags) learn(cmd *cobra.Command, most int, names []string) error {
	if most < 1 || most > 10_000 {
		return usagef("--max-values is %d, must be between 1 and 10000", most)
	}
	c, err := f.settings()
	if err != nil {
		return err
	}
	c.Inventory.Learned = "" // is learned anew
	known, err := openInventory(c.Inventory, quietLog(cmd))
	if err != nil {
		return err
	}
	learner := inventory.NewLearner(most)
	err = f.events(cmd, c, known, names, func(e *event.Event) error {
		if e.Status < 200 || e.Status > 299 || e.Route != route.Template(e.Path) {
			return nil // not answered, or the route is known from the log or a specification
		}
		return learner.Add(e.Path)
	})
	if err != nil {
		return err
	}
	text, err := inventory.FormatLearned(learner.Routes())
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}
