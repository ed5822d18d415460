package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/truth"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/file"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// evalFlags are the flags of gatewatch eval.
type evalFlags struct {
	replayFlags
	labels string
	output string // table or json
	shadow bool
	demands
}

// demands are what the report must satisfy; a negative number demands nothing.
type demands struct {
	recall           float64 // least share of the misuse that is found, 0..1
	falseAlerts      int     // most
	falsePerDays     float64 // most false alerts per 1,000 client-days
	falsePerMillion  float64 // most false alerts per million events
	late             int     // most episodes found after their stated time
	accusedNegatives int     // most hard negatives with an alert
}

func newEvalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --labels LABELS [flags] FILE…|-",
		Short: "Say what the rules find in labelled telemetry, what they miss and what they raise for nothing",
		Long: "eval reads telemetry as replay does, and labels that say who did what in it: which episodes are misuse, and which are rightful\n" +
			"use that looks like it. It prints, for each kind of misuse, what was found, what was missed and how long it took, and the\n" +
			"alerts that nobody's misuse explains: per million events, and per 1,000 client-days. A client-day is a client (the\n" +
			"subject, else client_id, token or address) and a UTC day on which it called.\n\n" +
			"The flags that begin with --max or --min are demands. When one is not met, eval says so and ends with status 1.",
		Example: "  gatewatch generate --duration 7d --rate 2 --labels labels.jsonl --out week.jsonl.zst\n" +
			"  gatewatch eval --labels labels.jsonl --geo city.mmdb week.jsonl.zst\n" +
			"  gatewatch eval --labels labels.jsonl --rules rules/ --min-recall 0.95 --max-false-per-1000-client-days 1 --format json access.jsonl",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name at least one file, or - for standard input")
			}
			return eval(c.Context(), f, args, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
}

func (f *evalFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.labels, "labels", "", "`file` with the labels, JSON lines (required)")
	flags.StringVar(&f.config, "config", "", "take ingest, geo, rules and engine from this configuration")
	flags.StringSliceVar(&f.rules, "rules", nil, "rule file or directory (default the shipped rules)")
	flags.StringSliceVar(&f.geo, "geo", nil, "GeoIP database (MMDB); may be given several times")
	flags.StringSliceVar(&f.revoked, "revoked", nil, "list of revoked tokens; may be given several times")
	flags.StringSliceVar(&f.openapi, "openapi", nil, "OpenAPI 3 file or folder; may be given several times")
	flags.DurationVar(&f.disorder, "disorder", 0, "how far out of order events may be (default 2s)")
	flags.StringVar(&f.replayFlags.format, "input-format", "", "format of the records (default auto: by content)")
	flags.StringVar(&f.output, "format", "table", "how to print the report: table or json")
	flags.BoolVar(&f.shadow, "shadow", false, "count rules in shadow mode as if they were enforced")
	flags.Float64Var(&f.recall, "min-recall", -1, "demand that at least this share of the misuse is found, 0..1")
	flags.IntVar(&f.falseAlerts, "max-false-alerts", -1, "demand at most so many false alerts")
	flags.Float64Var(&f.falsePerDays, "max-false-per-1000-client-days", -1, "demand at most so many false alerts per 1,000 client-days")
	flags.Float64Var(&f.falsePerMillion, "max-false-per-million-events", -1, "demand at most so many false alerts per million events")
	flags.IntVar(&f.late, "max-late", -1, "demand that at most so many episodes are found after the time that their label states")
	flags.IntVar(&f.accusedNegatives, "max-accused-negatives", -1, "demand that alerts are about at most so many of the labels that are no misuse")
}

func (f *evalFlags) validate() error {
	switch {
	case f.labels == "":
		return usagef("--labels is required: eval compares alerts with what a labels file says; `gatewatch generate --labels` writes one")
	case f.output != "table" && f.output != "json":
		return usagef("--format must be table or json, not %q; --input-format is the format of the records", f.output)
	case f.recall > 1:
		return usagef("--min-recall is a share from 0 to 1, not %v", f.recall)
	}
	return nil
}

func eval(ctx context.Context, f evalFlags, names []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := f.validate(); err != nil {
		return err
	}
	c, err := f.settings()
	if err != nil {
		return err
	}
	labels, err := readLabels(f.labels)
	if err != nil {
		return err
	}
	e, err := newEvaluation(c, f, labels, stderr)
	if err != nil {
		return err
	}
	report, err := e.run(ctx, names, stdin, stderr)
	if report == nil {
		return err
	}
	if f.output == "json" {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = errors.Join(err, enc.Encode(report))
	} else {
		err = errors.Join(err, writeEval(stdout, report))
	}
	return errors.Join(err, f.unmet(report))
}

func readLabels(name string) ([]truth.Label, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("read labels: %w", err)}
	}
	defer f.Close()
	labels, err := truth.ReadLabels(bufio.NewReader(f))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", name, err)}
	}
	if len(labels) == 0 {
		return nil, usageError{fmt.Errorf("%s holds no labels", name)}
	}
	return labels, nil
}

// evaluation is one run over labelled telemetry.
type evaluation struct {
	config   config
	set      *rules.Set
	decoding *decoding
	judge    *truth.Judge
	log      *slog.Logger
}

func newEvaluation(c config, f evalFlags, labels []truth.Label, stderr io.Writer) (*evaluation, error) {
	e := &evaluation{config: c, log: slog.New(slog.NewTextHandler(stderr, nil))}
	set, decoding, err := c.openOffline(e.log)
	if err != nil {
		return nil, err
	}
	e.set, e.decoding = set, decoding
	e.decoding.options.Now = endOfTime
	shadow := func(rule string) bool {
		r := set.ByID(rule)
		return !f.shadow && r != nil && r.Mode == rules.Shadow
	}
	e.judge = truth.NewJudge(labels, truth.Options{Shown: e.decoding.pseudonym, Shadow: shadow})
	return e, nil
}

// endOfTime is a clock before which all labelled telemetry lies: generated weeks may lie ahead of the real one.
func endOfTime() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// run judges everything in the files. The report is nil when nothing could be read; with an error it is about what could.
func (e *evaluation) run(ctx context.Context, names []string, stdin io.Reader, stderr io.Writer) (*truth.Report, error) {
	progress := newProgress(stderr)
	source, err := file.Open(file.Options{
		Names: names, Stdin: stdin, NewDecoder: e.decoding.newDecoder, MaxLine: e.config.Ingest.MaxRecordBytes, Progress: progress.show,
		Stop: ctx.Done(),
	})
	if err != nil {
		return nil, usageError{err}
	}
	defer source.Close()
	alerts, rejected := &judgeDelivery{judge: e.judge}, &rejectCounter{}
	options := e.config.engineOptions()
	options.Shadow = true
	engine := detector.New(e.set, options)
	p := pipeline.New(pipeline.Options{
		Engine: engine, Delivery: alerts, DeadLetters: rejected, MaxPending: e.config.Engine.MaxPendingEvents, Log: e.log,
	})
	started := time.Now()
	err = runToEnd(ctx, p, source, judgeReceiver{p, e.judge})
	progress.clear()
	if ctx.Err() != nil {
		return nil, err
	}
	evalSummary(stderr, engine.Stats(), rejected, time.Since(started))
	return e.judge.Report(), err
}

func evalSummary(w io.Writer, s detector.Stats, rejected *rejectCounter, took time.Duration) {
	fmt.Fprintf(w, "%s events in %s (%s events/s)\n", thousands(s.Events), took.Round(time.Millisecond),
		thousands(uint64(float64(s.Events)/max(1e-9, took.Seconds()))))
	rejected.summary(w)
}

// judgeReceiver shows the events to the judge on their way to the pipeline.
type judgeReceiver struct {
	ingest.Receiver
	judge *truth.Judge
}

// Receive implements [ingest.Receiver].
func (r judgeReceiver) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	for i := range b.Events {
		r.judge.Event(&b.Events[i])
	}
	return r.Receiver.Receive(ctx, b, rejected)
}

// judgeDelivery hands the alerts to the judge.
type judgeDelivery struct {
	judge *truth.Judge
	taken uint64
}

// Enqueue implements [pipeline.Delivery].
func (d *judgeDelivery) Enqueue(_ context.Context, records []sinks.Record) (uint64, error) {
	for _, r := range records {
		d.judge.Alert(r.Alert)
	}
	d.taken += uint64(len(records))
	return d.taken, nil
}

// Acknowledged implements [pipeline.Delivery].
func (d *judgeDelivery) Acknowledged() uint64 { return d.taken }

// Drain implements [pipeline.Delivery].
func (d *judgeDelivery) Drain(context.Context) error { return nil }

// unmet says which demands the report does not satisfy.
func (d demands) unmet(r *truth.Report) error {
	var wrong []string
	demand := func(met bool, format string, args ...any) {
		if !met {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	accused := 0
	for _, n := range r.Negatives {
		accused += n.Accused
	}
	demand(d.recall < 0 || r.Recall >= d.recall, "recall is %.3f, below --min-recall %v", r.Recall, d.recall)
	demand(d.falseAlerts < 0 || r.False.Count <= d.falseAlerts, "%s, above --max-false-alerts %d", plural(r.False.Count, "false alert"), d.falseAlerts)
	demand(d.falsePerDays < 0 || r.False.Per1000ClientDays <= d.falsePerDays,
		"%.3f false alerts per 1,000 client-days, above --max-false-per-1000-client-days %v", r.False.Per1000ClientDays, d.falsePerDays)
	demand(d.falsePerMillion < 0 || r.False.PerMillionEvents <= d.falsePerMillion,
		"%.3f false alerts per million events, above --max-false-per-million-events %v", r.False.PerMillionEvents, d.falsePerMillion)
	demand(d.late < 0 || r.Late <= d.late, "%d episodes found too late, above --max-late %d", r.Late, d.late)
	demand(d.accusedNegatives < 0 || accused <= d.accusedNegatives, "%s of rightful use with alerts, above --max-accused-negatives %d", plural(accused, "label"), d.accusedNegatives)
	if len(wrong) > 0 {
		return errors.New("not as demanded: " + strings.Join(wrong, "; "))
	}
	return nil
}
