package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/file"
	"github.com/gatewatch/gatewatch/ingest/inventory"
	"github.com/gatewatch/gatewatch/rules"
)

// newInventoryCommand makes "gatewatch inventory" and its subcommands.
func newInventoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inventory",
		Short: "Compare what is called with what OpenAPI files specify",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; `gatewatch inventory --help` lists the commands", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newInventoryReportCommand(), newInventoryLearnCommand())
	return cmd
}

// openInventory reads the files of the configuration; none give nil.
func openInventory(c inventory.Config, log *slog.Logger) (*inventory.Inventory, error) {
	v, err := inventory.Load(c)
	if err != nil {
		return nil, usageError{fmt.Errorf("read inventory:\n%w", err)}
	}
	if v != nil {
		for _, warning := range v.Warnings() {
			log.Warn("an operation is specified twice", "detail", warning)
		}
	}
	return v, nil
}

// warnUnlisted says which rules cannot see for lack of an inventory. Of the shipped ones everybody knows.
func warnUnlisted(log *slog.Logger, set *rules.Set, paths []string, v *inventory.Inventory) {
	if v.Specified() || len(paths) == 0 {
		return
	}
	var blind []string
	for _, r := range set.Rules {
		_, needs := r.Detection.(*rules.Inventory)
		for _, f := range r.Fields() {
			needs = needs || f.Kind() == event.Owner || f.Kind() == event.Classification
		}
		if needs {
			blind = append(blind, r.ID)
		}
	}
	if len(blind) > 0 {
		log.Warn("some rules see nothing without an inventory; name OpenAPI files under inventory.openapi", "rules", blind)
	}
}

// inventoryFlags say what telemetry to read, and with which specifications.
type inventoryFlags struct {
	config, records, learned string
	openapi                  []string
}

func (f *inventoryFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "take inventory and ingest from this `configuration`")
	flags.StringSliceVar(&f.openapi, "openapi", nil, "OpenAPI 3 `files`, folders and patterns (default those of --config)")
	flags.StringVar(&f.learned, "learned", "", "`file` of learned routes (default that of --config)")
	flags.StringVar(&f.records, "records", "", "`format` of the records (default auto: by content)")
}

// settings merges the flags into the configuration, or into the defaults when there is none.
func (f *inventoryFlags) settings() (config, error) {
	c := defaultConfig()
	if f.config != "" {
		var err error
		if c, err = readConfig(f.config); err != nil {
			return c, err
		}
	}
	if len(f.openapi) > 0 {
		c.Inventory.OpenAPI = f.openapi
	}
	if f.learned != "" {
		c.Inventory.Learned = f.learned
	}
	if f.records != "" {
		c.Ingest.Format = f.records
	}
	if err := c.Ingest.Validate(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// events calls each with every event of the files. Records that cannot be read are counted on stderr.
func (f *inventoryFlags) events(cmd *cobra.Command, c config, v *inventory.Inventory, names []string, each func(*event.Event) error) error {
	decoding := newDecoding(c.Ingest.Config, nil, nil)
	decoding.know(v)
	progress := newProgress(cmd.ErrOrStderr())
	source, err := file.Open(file.Options{
		Names: names, Stdin: cmd.InOrStdin(), NewDecoder: decoding.newDecoder, MaxLine: c.Ingest.MaxRecordBytes, Progress: progress.show,
		Stop: cmd.Context().Done(),
	})
	if err != nil {
		return usageError{err}
	}
	defer source.Close()
	r := &eventReader{each: each}
	err = source.Run(cmd.Context(), r)
	progress.clear()
	r.rejected.summary(cmd.ErrOrStderr())
	return err
}

// someFiles is for commands that read telemetry.
func someFiles(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("name at least one file of telemetry, or - for standard input")
	}
	if i := slices.Index(args, ""); i >= 0 {
		return usagef("file name %d is empty", i+1)
	}
	return nil
}

// eventReader looks at events without detecting anything in them. It implements [ingest.Receiver].
type eventReader struct {
	each     func(*event.Event) error
	rejected rejectCounter
}

func (*eventReader) Assigned(context.Context, map[event.Partition]int64) error { return nil }
func (*eventReader) CaughtUp(event.Partition, time.Time)                       {}
func (*eventReader) Revoked(context.Context, event.Partition)                  {}

func (r *eventReader) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	if b.Release != nil {
		defer b.Release()
	}
	if err := r.rejected.Write(ctx, rejected); err != nil {
		return err
	}
	for i := range b.Events {
		if err := r.each(&b.Events[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}
