package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector"
)

func newStateInspectCommand() *cobra.Command {
	var f stateFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [--config F | --state LOCATION] [KIND ID]",
		Short: "Say what is kept, or what is known of one entity",
		Long: "inspect without an entity sums up the state: the last checkpoint, how far was read, how many entities there are, which rules\n" +
			"they are known under, and what waits for which sink. With an entity it says what each rule knows of it.\n\n" +
			"KIND is what a rule groups by, such as client_id, or client_id+token_id for a combination, whose ID is 'a|b'. Where gatewatch\n" +
			"writes pseudonyms, ID may be the pseudonym or, with a --config that has the privacy key, the value itself.",
		Example: "  gatewatch state inspect --config gatewatch.yaml\n  gatewatch state inspect --config gatewatch.yaml client_id mobile-app\n" +
			"  gatewatch state inspect --state /var/lib/gatewatch/state --json client_id+token_id 'mobile-app|tok_5f2b…'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return usagef("name an entity by its kind and id, such as client_id mobile-app, or none")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.inState(cmd, func(v *stateView, out io.Writer) error {
				if len(args) == 0 {
					return v.summarise(cmd.Context(), out, asJSON)
				}
				return v.inspect(cmd.Context(), out, asJSON, args[0], args[1])
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object")
	return cmd
}

// inspect looks for the entity in all partitions: it is in one.
func (v *stateView) inspect(ctx context.Context, out io.Writer, asJSON bool, kind, id string) error {
	var similar []string
	for _, partition := range v.partitions {
		u, err := v.read(ctx, partition)
		if err != nil {
			return err
		}
		if err := v.checkKinds(u, []string{kind}); err != nil {
			return err
		}
		d, ok := v.find(u, kind, id)
		if !ok {
			similar = append(similar, u.similar(kind, id)...)
			continue
		}
		v.warnLost(u)
		if asJSON {
			return writeJSON(out, u.object(d))
		}
		return writeEntity(out, d, u.manifest.Number)
	}
	return unknownEntity(kind, id, similar)
}

// find takes the id as it is, else as gatewatch would write it.
func (v *stateView) find(u *unit, kind, id string) (detector.Description, bool) {
	if d, ok := u.engine.Describe(kind, id); ok {
		return d, true
	}
	return u.engine.Describe(kind, v.pseudonyms(kind, id))
}

// pseudonyms writes the values of an id as gatewatch does.
func (v *stateView) pseudonyms(kind, id string) string {
	decoding, fields := newDecoding(v.config.Ingest.Config, nil, nil), strings.Split(kind, "+")
	if len(fields) == 1 {
		return decoding.pseudonym(kind, id)
	}
	values := splitValues(id)
	if len(values) != len(fields) {
		return id
	}
	escape := strings.NewReplacer(`\`, `\\`, "|", `\|`)
	for i, value := range values {
		values[i] = escape.Replace(decoding.pseudonym(fields[i], value))
	}
	return strings.Join(values, "|")
}

// splitValues takes the id of a combination apart, in which | and \ are escaped by \.
func splitValues(id string) []string {
	values := []string{""}
	for i := 0; i < len(id); i++ {
		last := len(values) - 1
		switch {
		case id[i] == '|':
			values = append(values, "")
		case id[i] == '\\' && i+1 < len(id):
			i++
			values[last] += id[i : i+1]
		default:
			values[last] += id[i : i+1]
		}
	}
	return values
}

const mostSimilar = 5

// similar looks for ids that contain what was typed, or as much of its beginning as some id contains.
func (u *unit) similar(kind, id string) []string {
	for text := id; len(text) >= 3; text = text[:len(text)*3/4] {
		if ids := u.engine.Similar(kind, text, mostSimilar); len(ids) > 0 {
			return ids
		}
	}
	return nil
}

func unknownEntity(kind, id string, similar []string) error {
	err := fmt.Errorf("%s %s: %w", kind, id, errUnknownEntity)
	switch {
	case len(similar) > 0:
		return fmt.Errorf("%w; similar: %s", err, strings.Join(similar[:min(mostSimilar, len(similar))], ", "))
	case strings.Contains(kind, "token_id"):
		return fmt.Errorf("%w; tokens are known by their pseudonyms, which take the privacy key of the service's --config", err)
	}
	return err
}

var errUnknownEntity = errors.New("nothing is known of it")

// writeEntity says in words what is known.
func writeEntity(out io.Writer, d detector.Description, checkpoint uint64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, last seen %s, %s of memory\n", d.Kind, d.ID, d.LastSeen, plural(d.Bytes, "byte"))
	fmt.Fprintf(&b, "as of %s, checkpoint %d\n", d.AsOf, checkpoint)
	if len(d.Rules) == 0 {
		b.WriteString("no rule knows anything of it\n")
	}
	for _, k := range d.Rules {
		writeKnowledge(&b, k)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeKnowledge(b *strings.Builder, k detector.Knowledge) {
	fmt.Fprintf(b, "\n%s: %s", k.Rule, k.Title)
	if k.Shadow {
		b.WriteString(" (shadow)")
	}
	fmt.Fprintf(b, "\n  %s\n", k.Summary)
	if s := k.Suspicion; s != nil {
		fmt.Fprintf(b, "  suspicious since %s, %s of evidence\n", s.Since, plural(s.Evidence, "piece"))
	}
	if a := k.Alert; a != nil {
		fmt.Fprintf(b, "  open alert: %s\n    %s version %d, from %s to %s, %s of evidence\n", a.Summary, a.ID, a.Version, a.FirstSeen, a.LastSeen, plural(a.Evidence, "piece"))
	}
}
