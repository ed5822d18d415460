package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector"
)

func newStateVerifyCommand() *cobra.Command {
	var f stateFlags
	cmd := &cobra.Command{
		Use:   "verify [--config F | --state LOCATION]",
		Short: "Read everything that is kept and say whether it is whole",
		Long: "verify reads and decodes all of a state: the manifest of the last checkpoint, every chunk of it, what each rule knows of each\n" +
			"entity, and the records that wait for a sink. It prints a line for each thing that it checked, and exits with status 1 when\n" +
			"something is damaged or was written by a version that it does not know. What a killed process leaves behind is whole.",
		Example: "  gatewatch state verify --config gatewatch.yaml\n  gatewatch state verify --state kafka://kafka-1:9092/gatewatch-state --partition 3",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.inState(cmd, func(v *stateView, out io.Writer) error { return v.verify(cmd.Context(), out) })
		},
	}
	f.register(cmd)
	return cmd
}

// verify goes on after a partition that is damaged: an operator wants to know of all.
func (v *stateView) verify(ctx context.Context, out io.Writer) error {
	damaged := 0
	for _, partition := range v.partitions {
		if v.topic != nil {
			fmt.Fprintf(out, "partition %d\n", partition)
		}
		u, err := v.read(ctx, partition)
		if ctx.Err() != nil || err != nil && len(v.partitions) == 1 {
			return err
		}
		if err != nil {
			damaged++
			fmt.Fprintf(out, "FAILED      %v\n", err)
			continue
		}
		u.writeChecked(out)
	}
	if damaged > 0 {
		return fmt.Errorf("%d of %s cannot be read", damaged, plural(len(v.partitions), "partition"))
	}
	return nil
}

// writeChecked says what was read without a mistake.
func (u *unit) writeChecked(out io.Writer) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(out, "%-11s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("format", "%s", u.summary(time.Now()).format())
	if u.manifest.Number == 0 {
		line("checkpoint", "none yet")
	} else {
		m := u.manifest
		line("checkpoint", "number %d of %s: the manifest decodes, with %s", m.Number, m.At.UTC().Format(time.RFC3339), plural(len(m.Positions), "position"))
		line("chunks", "%s of %s in %s: all are there and decode", plural(u.chunks, "chunk"), fileSize(u.bytes), plural(m.Lanes, "lane"))
		line("entities", "%s known: all states decode", thousands(uint64(u.entities(nil))))
		line("rules", "%s", u.ruleCheck())
	}
	line("outbox", "%s, %s: all decode", plural(u.outbox.alerts, "alert"), plural(u.outbox.blindSpots, "blind spot"))
	line("whole", "nothing is missing or damaged")
}

func (u *unit) ruleCheck() string {
	kept := 0
	for _, r := range u.rules {
		if r.Status == detector.RuleKept {
			kept++
		}
	}
	if lost := u.lost(); len(lost) > 0 {
		return fmt.Sprintf("%d known; what these know was passed over, because they are not among the rules given: %s", kept, strings.Join(lost, ", "))
	}
	return fmt.Sprintf("%d known", kept)
}
