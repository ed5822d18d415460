package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/fixtures/truth"
)

// generateFlags is what a person asked gatewatch generate for.
type generateFlags struct {
	cfg       traffic.Config
	scenarios []string
	start     string
	out       string
	labels    string
	revoked   string
	list      bool
}

// newGenerateCommand makes "gatewatch generate": labelled synthetic telemetry for trying rules out.
func newGenerateCommand() *cobra.Command {
	f := generateFlags{cfg: traffic.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write synthetic telemetry with labelled misuse",
		Long: "generate writes what the gateways of a shop and a bank would log, one JSON object a line, in the order in which the records\n" +
			"arrive. The same flags give the same bytes. Misuse, and rightful use that looks like misuse, is mixed in; --labels writes\n" +
			"down who did what and when, so that a rule set can be judged.\n\n" + scenarioHelp(),
		Example: "  gatewatch generate --labels labels.jsonl | gatewatch replay -\n" +
			"  gatewatch generate --scenario profile-enumeration=3 --scenario benign --rate 500 --duration 1h --out hour.jsonl.zst\n" +
			"  gatewatch generate --scenario none --rate 5 --duration 14d --out fortnight.jsonl.gz",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("generate takes no arguments, got %q; scenarios are chosen with --scenario", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.list {
				_, err := io.WriteString(cmd.OutOrStdout(), scenarioHelp())
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f.register(cmd)
	return cmd
}

func (f *generateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Uint64Var(&f.cfg.Seed, "seed", f.cfg.Seed, "number that everything follows from")
	flags.StringSliceVar(&f.scenarios, "scenario", []string{"all"}, "`names`, or all, misuse, benign, none; name=3 for three of them")
	flags.IntVar(&f.cfg.Clients, "clients", 0, "callers, people and machines (0: 100 × rate, at least 2,000)")
	flags.Float64Var(&f.cfg.Rate, "rate", f.cfg.Rate, "ordinary calls a second, on average; scenarios come on top")
	flags.Var(&days{&f.cfg.Duration}, "duration", "event time to cover: 90s, 10m, 6h, 14d")
	flags.StringVar(&f.start, "start", f.cfg.Start.Format(time.RFC3339), "event `time` of the beginning, RFC 3339, or now")
	flags.Var(&days{&f.cfg.History}, "history", "ordinary traffic before the start")
	flags.Float64Var(&f.cfg.HistoryRate, "history-rate", 1, "calls a second in the history")
	flags.Var(&days{&f.cfg.Disorder}, "disorder", "how much later than its call a record may arrive")
	flags.Float64Var(&f.cfg.LateShare, "late", f.cfg.LateShare, "share of the reads, 0..1, that arrive 5 s to 5 min late")
	flags.Float64Var(&f.cfg.DuplicateShare, "duplicates", f.cfg.DuplicateShare, "share of the records, 0..1, that are delivered twice")
	flags.StringVar(&f.out, "out", "-", "`file` to write; .gz and .zst are compressed; - is the standard output")
	flags.StringVar(&f.labels, "labels", "", "`file` for the labels, JSON lines")
	flags.StringVar(&f.revoked, "revoked", "", "`file` for the tokens that are revoked, as --revoked of replay and eval reads it")
	flags.BoolVar(&f.list, "list", false, "list the scenarios and stop")
}

// config checks what was asked for.
func (f *generateFlags) config() (traffic.Config, error) {
	cfg := f.cfg
	var err error
	if cfg.Scenarios, err = traffic.ParsePicks(f.scenarios...); err != nil {
		return cfg, usagef("%w", err)
	}
	if f.start == "now" {
		cfg.Start = time.Now().Truncate(time.Millisecond)
	} else if cfg.Start, err = time.Parse(time.RFC3339, f.start); err != nil {
		return cfg, usagef("--start %q is no RFC 3339 time such as 2026-11-23T10:00:00Z", f.start)
	}
	if cfg.History == 0 {
		cfg.HistoryRate = 0
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usagef("%w", err)
	}
	if f.labels == "-" && f.out == "-" {
		return cfg, usagef("--labels - and --out - would mix on the standard output: give one of them a file")
	}
	return cfg, nil
}

func (f *generateFlags) run(ctx context.Context, stdout io.Writer) (err error) {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	g, err := traffic.New(cfg)
	if err != nil {
		return err
	}
	out, err := createLines(f.out, stdout)
	if err != nil {
		return err
	}
	revoked := &revocations{}
	if err := errors.Join(writeRecords(ctx, out, g, cfg, revoked), out.Close()); err != nil {
		return fmt.Errorf("write telemetry: %w", err)
	}
	if err := revoked.save(f.revoked); err != nil {
		return err
	}
	if f.labels == "" {
		return nil
	}
	labels, err := createLines(f.labels, stdout)
	if err != nil {
		return err
	}
	return errors.Join(truth.WriteLabels(labels, g.Labels()), labels.Close())
}

// revocations are the tokens that were revoked in what was generated, a line each.
type revocations struct{ lines []byte }

func (v *revocations) note(r *traffic.Record) {
	if r.Revokes() {
		v.lines = fmt.Appendf(v.lines, "%s,%s\n", r.Token, r.Time.Std().Format(time.RFC3339Nano))
	}
}

func (v *revocations) save(name string) error {
	if name == "" {
		return nil
	}
	if err := os.WriteFile(name, v.lines, 0o600); err != nil {
		return fmt.Errorf("write revoked tokens: %w", err)
	}
	return nil
}

// writeRecords writes every record and shows the progress to a person who watches.
func writeRecords(ctx context.Context, w io.Writer, g *traffic.Generator, cfg traffic.Config, revoked *revocations) error {
	progress := newScreen(os.Stderr, false)
	defer progress.clear()
	shown := time.Now()
	var r traffic.Record
	var line []byte
	for n := 0; g.Next(&r); n++ {
		revoked.note(&r)
		line = append(traffic.AppendJSON(line[:0], &r), '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
		if n%4096 != 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if progress.interactive() && time.Since(shown) > time.Second/2 {
			shown = time.Now()
			done := r.Time.Std().Sub(cfg.Start.Add(-cfg.History))
			progress.show(fmt.Sprintf("%d records, %.0f %%", n, 100*max(0, float64(done)/float64(cfg.Duration+cfg.History))))
		}
	}
	return nil
}

// createLines opens a file for many small writes, compressed as its name says; "-" is the standard output.
func createLines(name string, stdout io.Writer) (io.WriteCloser, error) {
	f := &linesFile{}
	var sink io.Writer = stdout
	if name != "-" {
		file, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		sink = file
		f.closers = append(f.closers, file.Close)
	}
	switch filepath.Ext(name) {
	case ".gz":
		z := gzip.NewWriter(sink)
		sink, f.closers = z, append(f.closers, z.Close)
	case ".zst":
		z, err := zstd.NewWriter(sink)
		if err != nil {
			return nil, fmt.Errorf("compress %s: %w", name, err)
		}
		sink, f.closers = z, append(f.closers, z.Close)
	}
	f.Writer = bufio.NewWriterSize(sink, 256<<10)
	return f, nil
}

// linesFile closes its layers from the inside out.
type linesFile struct {
	*bufio.Writer
	closers []func() error
}

// Close flushes and closes everything that createLines opened.
func (f *linesFile) Close() error {
	err := f.Flush()
	for i := len(f.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, f.closers[i]())
	}
	return err
}

// scenarioHelp says what each scenario is.
func scenarioHelp() string {
	var b strings.Builder
	misuse := false
	for _, s := range traffic.Scenarios() {
		if s.Misuse && !misuse {
			b.WriteString("Misuse, and the detection that should find it:\n")
		} else if !s.Misuse && misuse {
			b.WriteString("\nRightful use, and the detection that it might fool:\n")
		}
		misuse = s.Misuse
		fmt.Fprintf(&b, "  %-30s %-13s %s\n", s.Name, s.Detection, s.About)
	}
	return b.String()
}

// days is a flag for a duration that may be given in days.
type days struct{ *time.Duration }

// Set implements pflag.Value.
func (d *days) Set(text string) error {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || n > 36500 {
			return errors.New("not a number of days")
		}
		*d.Duration = time.Duration(n * 24 * float64(time.Hour))
		return nil
	}
	parsed, err := time.ParseDuration(text)
	*d.Duration = parsed
	return err
}

// Type implements pflag.Value.
func (d *days) Type() string { return "duration" }
