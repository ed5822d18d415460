package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector"
)

func newStateExportCommand() *cobra.Command {
	var f stateFlags
	var kinds []string
	cmd := &cobra.Command{
		Use:   "export [--config F | --state LOCATION] [--kind KIND]",
		Short: "Write everything that is known as JSON lines",
		Long: "export writes one JSON object a line for each entity, the same as `gatewatch state inspect --json KIND ID`, in the order of kind\n" +
			"and id. Of a state in Kafka it writes one partition after the other.",
		Example: "  gatewatch state export --config gatewatch.yaml --kind client_id | jq 'select(.rules[].alert)'",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.inState(cmd, func(v *stateView, out io.Writer) error {
				progress := newProgress(cmd.ErrOrStderr())
				defer progress.clear()
				return v.export(cmd.Context(), out, kinds, progress)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "only entities of these `kinds`, such as client_id or client_id+token_id")
	return cmd
}

// entityObject is an entity as JSON. Partition is left out of what comes from a folder.
type entityObject struct {
	Partition *int32 `json:"partition,omitempty"`
	detector.Description
}

func (u *unit) object(d detector.Description) entityObject {
	return entityObject{Partition: u.partitionNumber(), Description: d}
}

func (u *unit) partitionNumber() *int32 {
	if u.partition == noPartition {
		return nil
	}
	return &u.partition
}

func (v *stateView) export(ctx context.Context, out io.Writer, kinds []string, p *progress) error {
	w := bufio.NewWriterSize(out, 1<<16)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, partition := range v.partitions {
		u, err := v.read(ctx, partition)
		if err != nil {
			return err
		}
		if err := v.checkKinds(u, kinds); err != nil {
			return err
		}
		v.warnLost(u)
		if err := u.export(ctx, enc, kinds, p); err != nil {
			return fmt.Errorf("write entities: %w", err)
		}
	}
	return w.Flush()
}

func (u *unit) export(ctx context.Context, enc *json.Encoder, kinds []string, p *progress) (err error) {
	total, n := u.entities(kinds), 0
	u.engine.EachEntity(func(d detector.Description) bool {
		n++
		p.count(n, total)
		err = errors.Join(ctx.Err(), enc.Encode(u.object(d)))
		return err == nil
	}, kinds...)
	return err
}

func (u *unit) entities(kinds []string) (n int) {
	for _, g := range u.engine.Stats().Groups {
		if len(kinds) == 0 || slices.Contains(kinds, g.Kind) {
			n += g.Entities
		}
	}
	return n
}

// count shows how many things of how many are done.
func (p *progress) count(n, total int) {
	if p.screen == nil || n%256 != 0 || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(200 * time.Millisecond)
	p.screen.show(fmt.Sprintf("%s of %s entities", thousands(uint64(n)), thousands(uint64(total))))
}

// checkKinds refuses kinds that no rule watches: what the state may have of them is not restored.
func (v *stateView) checkKinds(u *unit, kinds []string) error {
	known := u.engine.Kinds()
	for _, kind := range kinds {
		if !slices.Contains(known, kind) {
			return usagef("no rule watches entities of kind %q; the rules watch %s", kind, strings.Join(known, ", "))
		}
	}
	return nil
}

// warnLost says once for each unit what is not shown.
func (v *stateView) warnLost(u *unit) {
	if lost := u.lost(); len(lost) > 0 {
		v.log.Warn("what rules of the state know is not shown, because they are not among the rules given; name those of the service with --config or --rules",
			"rules", strings.Join(lost, ", "))
	}
}
