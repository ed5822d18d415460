package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/file"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// replayFlags are the flags of gatewatch replay.
type replayFlags struct {
	config, format string
	rules, geo     []string
	revoked        []string
	disorder       time.Duration
	openapi        []string
}

func newReplayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE…|-",
		Short: "Run the engine over recorded telemetry",
		Long: "replay reads telemetry from files, one record a line, and writes the alerts that it gives to stdout, one JSON object a line.\n" +
			"Everything else goes to stderr. Files may be plain, gzip or zstd; several are merged by event time; - is standard input.\n" +
			"The same input always gives the same alerts, and the same as a live run over the same telemetry.",
		Example: "  gatewatch replay access.jsonl\n  gatewatch replay --rules rules/ --geo city.mmdb --geo asn.mmdb 'logs-*.jsonl.gz'",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name at least one file, or - for standard input")
			}
			return replay(c.Context(), f, args, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "take ingest, geo, inventory, rules and engine from this configuration")
	flags.StringSliceVar(&f.rules, "rules", nil, "rule file or directory (default the shipped rules)")
	flags.StringVar(&f.format, "format", "", "format of the records (default auto: by content)")
	flags.StringSliceVar(&f.geo, "geo", nil, "GeoIP database (MMDB); may be given several times")
	flags.StringSliceVar(&f.revoked, "revoked", nil, "list of revoked tokens; may be given several times")
	flags.StringSliceVar(&f.openapi, "openapi", nil, "OpenAPI 3 file or folder; may be given several times")
	flags.DurationVar(&f.disorder, "disorder", 0, "how far out of order events may be (default 2s)")
	return cmd
}

// settings merges the flags into the configuration, or into the defaults when there is none.
func (f replayFlags) settings() (config, error) {
	c := defaultConfig()
	if f.config != "" {
		var err error
		if c, err = readConfig(f.config); err != nil {
			return c, err
		}
	}
	if len(f.rules) > 0 {
		c.Rules.Paths = f.rules
	}
	if len(f.geo) > 0 {
		c.Geo.Databases = f.geo
	}
	if len(f.revoked) > 0 {
		c.Ingest.Revocation.Files = f.revoked
	}
	if len(f.openapi) > 0 {
		c.Inventory.OpenAPI = f.openapi
	}
	if f.format != "" {
		c.Ingest.Format = f.format
	}
	if f.disorder != 0 {
		c.Engine.Disorder = f.disorder
	}
	if err := errors.Join(c.Ingest.Validate(), c.Engine.validate(), c.Geo.Validate(), c.Inventory.Validate()); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// openOffline opens what rules and decoding need where telemetry is read from files.
func (c *config) openOffline(log *slog.Logger) (*rules.Set, *decoding, error) {
	set, err := loadRules(c.Rules.Paths)
	if err != nil {
		return nil, nil, err
	}
	databases, err := openGeo(c.Geo, geo.Options{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	revoked, err := openRevocations(c.Ingest.Config, log, nil)
	if err != nil {
		return nil, nil, err
	}
	known, err := openInventory(c.Inventory, log)
	if err != nil {
		return nil, nil, err
	}
	warnBlind(log, set, databases)
	warnUnlisted(log, set, c.Rules.Paths, known)
	c.Limits.warnUnknown(log, set)
	decoding := newDecoding(c.Ingest.Config, databases, nil)
	decoding.options.Revoked = revoked
	decoding.use(set)
	decoding.know(known)
	return set, decoding, nil
}

func replay(ctx context.Context, f replayFlags, names []string, stdin io.Reader, stdout, stderr io.Writer) error {
	c, err := f.settings()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	set, decoding, err := c.openOffline(log)
	if err != nil {
		return err
	}
	progress := newProgress(stderr)
	source, err := file.Open(file.Options{
		Names: names, Stdin: stdin, NewDecoder: decoding.newDecoder, MaxLine: c.Ingest.MaxRecordBytes, Progress: progress.show,
		Stop: ctx.Done(),
	})
	if err != nil {
		return usageError{err}
	}
	defer source.Close()

	out := &alertWriter{w: bufio.NewWriterSize(stdout, 1<<16)}
	rejected := &rejectCounter{}
	engine := detector.New(set, c.engineOptions())
	p := pipeline.New(pipeline.Options{
		Engine: engine, Delivery: out, DeadLetters: rejected, MaxPending: c.Engine.MaxPendingEvents, Log: log,
	})
	started := time.Now()
	err = runToEnd(ctx, p, source, p)
	progress.clear()
	if err == nil || ctx.Err() != nil {
		err = errors.Join(err, out.w.Flush())
	}
	replaySummary(stderr, engine.Stats(), out, rejected, time.Since(started))
	return err
}

func openGeo(c geo.Config, o geo.Options) (*geo.Databases, error) {
	if len(c.Databases) == 0 {
		return nil, nil
	}
	databases, err := geo.Open(c.Databases, o)
	if err != nil {
		return nil, usageError{err}
	}
	return databases, nil
}

// engineOptions are the engine's settings.
func (c *config) engineOptions() detector.Options {
	o := detector.DefaultOptions()
	o.Disorder, o.Limits, o.ValueSeed = c.Engine.Disorder, c.Limits.limits(), c.Ingest.ValueSeed()
	if c.Engine.Workers > 0 {
		o.Workers = c.Engine.Workers
	}
	return o
}

// runToEnd reads a source that ends into the receiver, which is the pipeline or leads to it, and applies everything. What a
// broken file still gave is applied too.
func runToEnd(ctx context.Context, p *pipeline.Pipeline, source *file.Source, receiver ingest.Receiver) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	finished := make(chan error, 1)
	go func() { finished <- p.Run(running) }()
	err := source.Run(ctx, receiver)
	if ctx.Err() == nil {
		err = errors.Join(err, p.Flush(ctx))
	}
	stop()
	why := <-finished
	if why != nil && errors.Is(err, pipeline.ErrStopped) {
		err = nil // that it stopped says less than why
	}
	return errors.Join(err, why, ctx.Err())
}

// alertWriter writes alerts as JSON lines. It is not concurrent: the pipeline calls it from one goroutine.
type alertWriter struct {
	w       *bufio.Writer
	line    bytes.Buffer
	written uint64
	byState map[alert.State]int
}

// Enqueue implements [pipeline.Delivery].
func (a *alertWriter) Enqueue(_ context.Context, records []sinks.Record) (uint64, error) {
	if a.byState == nil {
		a.byState = map[alert.State]int{}
	}
	for _, r := range records {
		x := r.Alert
		a.line.Reset()
		err := sinks.WriteJSON(&a.line, x)
		if err == nil {
			_, err = a.line.WriteTo(a.w)
		}
		if err != nil {
			return a.written, fmt.Errorf("write alert: %w", err)
		}
		a.written++
		a.byState[x.State]++
	}
	return a.written, nil
}

// Acknowledged implements [pipeline.Delivery].
func (a *alertWriter) Acknowledged() uint64 { return a.written }

// Drain implements [pipeline.Delivery].
func (a *alertWriter) Drain(context.Context) error { return nil }

// rejectCounter counts rejected records: replay keeps no dead letters, for the input is still there.
type rejectCounter struct {
	total    int
	byReason map[ingest.Reason]int
	first    ingest.Rejected
}

// Write implements [pipeline.DeadLetters].
func (r *rejectCounter) Write(_ context.Context, rejected []ingest.Rejected) error {
	if r.byReason == nil {
		r.byReason = map[ingest.Reason]int{}
	}
	for _, x := range rejected {
		if r.total == 0 {
			r.first = x
		}
		r.total++
		r.byReason[x.Reason]++
	}
	return nil
}

func replaySummary(w io.Writer, s detector.Stats, out *alertWriter, rejected *rejectCounter, took time.Duration) {
	fmt.Fprintf(w, "%s in %s (%s events/s): %s, %s\n", plural(int(s.Events), "event"), took.Round(time.Millisecond),
		thousands(uint64(float64(s.Events)/max(1e-9, took.Seconds()))), plural(out.byState[alert.Open], "alert"), plural(int(out.written), "version"))
	if s.Late > 0 {
		fmt.Fprintf(w, "%s came late; left out %s by rules for which the order of events matters\n", plural(int(s.Late), "event"), plural(int(s.Skipped), "time"))
	}
	rejected.summary(w)
}

func (r *rejectCounter) summary(w io.Writer) {
	for _, reason := range ingest.Reasons() {
		if n := r.byReason[reason]; n > 0 {
			fmt.Fprintf(w, "%s rejected: %s\n", plural(n, "record"), reason)
		}
	}
	if r.total > 0 {
		x := r.first
		name := x.Partition.Topic
		if name == file.Stdin {
			name = "standard input"
		}
		fmt.Fprintf(w, "the first one: %s, line %d: %s\n", name, x.Offset+1, x.Detail)
	}
}

// progress shows how far long work is, on a terminal only.
type progress struct {
	screen *screen
	next   time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{screen: newScreen(f, false)}
}

func (p *progress) show(read, total int64) {
	if p.screen == nil || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(200 * time.Millisecond)
	if total > 0 {
		p.screen.show(fmt.Sprintf("%d %% of %d MB", 100*read/total, total>>20))
		return
	}
	p.screen.show(fmt.Sprintf("%d MB", read>>20))
}

func (p *progress) clear() {
	if p.screen != nil {
		p.screen.clear()
	}
}

// thousands writes n with separators.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
