package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/fixtures/truth"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
	"github.com/gatewatch/gatewatch/sinks"
	filesink "github.com/gatewatch/gatewatch/sinks/file"
)

// demoFlags are the flags of gatewatch demo.
type demoFlags struct {
	duration time.Duration
	rate     float64
	seed     uint64
	noColor  bool
	out      string
}

func newDemoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch misuse being found, with everything in this process",
		Long: "demo needs nothing but this program. It starts a broker that speaks the Kafka protocol, produces the telemetry of a shop\n" +
			"and a bank with labelled misuse in it, reads it as `gatewatch run` would, and shows what is found. At the end, or after\n" +
			"Ctrl-C, it says which misuse was found, after how long, and what was raised that nobody had injected.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("demo takes no arguments")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), f, os.Stdout) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&f.duration, "duration", time.Minute, "how long to produce telemetry")
	flags.Float64Var(&f.rate, "rate", 2000, "calls a second, misuse apart")
	flags.Uint64Var(&f.seed, "seed", 1, "another seed makes other traffic")
	flags.BoolVar(&f.noColor, "no-color", false, "no colours")
	flags.StringVar(&f.out, "out", "", "file for the alerts as JSON lines (default a new file in the directory for temporary files)")
	return cmd
}

// demo is a running demo.
type demo struct {
	flags    demoFlags
	screen   *screen
	rules    *rules.Set
	traffic  *traffic.Generator
	broker   *embeddedBroker
	queue    *sinks.Queue
	engine   *detector.Engine
	pipeline *pipeline.Pipeline
	source   *kafka.Source
	out      string

	mu       sync.Mutex // guards what the sink and the producer count
	alerts   []*alert.Alert
	labels   []truth.Label
	produced int
	sent     time.Time // wall clock of the latest record sent
}

const (
	demoTopic      = "gateway-telemetry"
	demoPartitions = 4
)

func runDemo(ctx context.Context, f demoFlags, stdout *os.File) error {
	d := &demo{flags: f, screen: newScreen(stdout, f.noColor)}
	closeAll, err := d.build()
	defer closeAll()
	if err != nil {
		return err
	}
	d.introduce()
	err = d.watch(ctx)
	d.screen.clear()
	if err != nil {
		return err
	}
	d.summarise(stdout)
	return nil
}

// build starts everything but the traffic. What it returns closes everything, also after an error.
func (d *demo) build() (closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	if d.traffic, err = traffic.Demo(d.flags.seed, time.Now().Add(time.Second), d.flags.rate, d.flags.duration); err != nil {
		return closeAll, usageError{err}
	}
	if d.rules, err = rules.LoadFS(pack.Files()); err != nil {
		return closeAll, err
	}
	databases, err := geo.OpenBytes(geoip.Databases(), geo.Options{})
	if err != nil {
		return closeAll, err
	}
	if d.broker, err = startBroker(demoTopic, demoPartitions); err != nil {
		return closeAll, err
	}
	closers = append(closers, d.broker.close)
	if err = d.openSinks(); err != nil {
		return closeAll, err
	}
	closers = append(closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = d.queue.Close(ctx) // the summary was written from what was delivered
	})
	return closeAll, d.connect(databases)
}

func (d *demo) openSinks() error {
	d.out = d.flags.out
	if d.out == "" {
		dir, err := os.MkdirTemp("", "gatewatch-demo-")
		if err != nil {
			return fmt.Errorf("make a place for the alerts: %w", err)
		}
		d.out = filepath.Join(dir, "alerts.jsonl")
	}
	c := filesink.DefaultConfig()
	c.Path, c.Sync = d.out, filesink.SyncNever
	file := filesink.New(c)
	if err := file.Check(context.Background()); err != nil {
		return err
	}
	quick := sinks.DefaultConfig()
	quick.BatchDelay = 10 * time.Millisecond
	var err error
	d.queue, err = sinks.NewQueue(sinks.Options{
		Destinations: []sinks.Destination{{Sink: file, Config: quick}, {Sink: (*demoSink)(d), Config: quick}},
		DeadLetters:  sinks.NewDeadLetterFile(d.out + ".refused"),
	})
	return err
}

func (d *demo) connect(databases *geo.Databases) error {
	decoding := newDecoding(ingest.DefaultConfig(), databases, nil)
	decoding.use(d.rules)
	c := kafka.DefaultConfig()
	c.Brokers, c.Topics, c.Group = d.broker.addresses(), []string{demoTopic}, "gatewatch-demo"
	var err error
	d.source, err = kafka.New(kafka.Options{Config: c, NewDecoder: func() kafka.Decoder { return decoding.newDecoder() }})
	if err != nil {
		return err
	}
	d.engine = detector.New(d.rules, detector.DefaultOptions())
	d.pipeline = pipeline.New(pipeline.Options{Engine: d.engine, Delivery: d.queue.Attach(nil), DeadLetters: &rejectCounter{}, Committer: d.source})
	return nil
}

func (d *demo) introduce() {
	p := d.screen.paint
	d.screen.line(p.bold("gatewatch demo") + ": a broker that speaks Kafka, a shop and a bank with misuse in their traffic, and gatewatch, in one process")
	d.screen.line(fmt.Sprintf("%d rules, %s calls a second for %v, seed %d. Ctrl-C ends it with a summary.", d.rules.Len(),
		thousands(uint64(d.flags.rate)), d.flags.duration, d.flags.seed))
	d.screen.line("Alerts as JSON lines: " + d.out)
	d.screen.line("")
}

// watch runs until the traffic is over and everything that it raised is shown, or ctx ends.
func (d *demo) watch(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	reading, stopReading := context.WithCancel(running)
	defer stopReading()
	engineEnded, sourceEnded := make(chan error, 1), make(chan error, 1)
	go func() { engineEnded <- d.pipeline.Run(running) }()
	producing, stopProducing := context.WithCancel(ctx)
	defer stopProducing()
	go func() {
		sourceEnded <- d.source.Run(reading, d.pipeline)
		stopProducing() // nobody would read it
		stopReading()
	}()

	status := make(chan struct{})
	go func() {
		defer close(status)
		d.showStatus(reading)
	}()
	err := d.produceAll(producing)
	if err == nil {
		err = d.catchUp(reading)
	}
	stopReading()
	err = errors.Join(err, <-sourceEnded)
	<-status
	if err == nil {
		err = d.queue.Drain(running)
	}
	stop()
	return errors.Join(err, <-engineEnded)
}

// produceAll sends each record when it is due, until the time of the demo or ctx ends. Records that would come late by more than
// what is left are never sent.
func (d *demo) produceAll(ctx context.Context) error {
	producer := newProducer(d.broker.addresses(), demoTopic)
	defer producer.Close()
	const tick = 20 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	end := d.traffic.End().Add(time.Second)
	var r traffic.Record
	more := d.traffic.Next(&r)
	for more && time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return nil // Ctrl-C: what was sent is judged
		case <-ticker.C:
		}
		var lines [][]byte
		for now := time.Now().UnixMilli(); more && int64(r.Arrival) <= now; more = d.traffic.Next(&r) {
			lines = append(lines, traffic.AppendJSON(nil, &r))
		}
		if len(lines) == 0 {
			continue
		}
		if err := produce(context.WithoutCancel(ctx), producer, lines); err != nil {
			return err
		}
		d.mu.Lock()
		d.produced += len(lines)
		d.labels = d.traffic.Labels()
		d.sent = time.Now()
		d.mu.Unlock()
	}
	return nil
}

// catchUp waits until the watermark has passed everything that was sent.
func (d *demo) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		pending := -1
		err := d.pipeline.Inspect(ctx, func(e *detector.Engine) {
			if s := e.Stats(); int(s.Events) >= d.produced {
				pending = s.Pending
			}
		})
		switch {
		case err == nil && pending == 0, errors.Is(err, context.Canceled):
			return nil // all is shown, or the source has ended and says why
		case err != nil:
			return fmt.Errorf("wait for the last alerts: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the last alerts: %w, %d events still wait for the watermark", ctx.Err(), pending)
		case <-ticker.C:
		}
	}
}

// showStatus keeps the status line until ctx ends: often for a person, rarely in a pipe.
func (d *demo) showStatus(ctx context.Context) {
	every := 5 * time.Second
	if d.screen.interactive() {
		every = 500 * time.Millisecond
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	started, last, lastEvents := time.Now(), time.Now(), uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var s detector.Stats
		var behind time.Duration
		err := d.pipeline.Inspect(ctx, func(e *detector.Engine) {
			s = e.Stats()
			if t, ok := e.Watermark(); ok {
				behind = time.Since(t.Std())
			}
		})
		if err != nil {
			return
		}
		now := time.Now()
		rate := float64(s.Events-lastEvents) / now.Sub(last).Seconds()
		last, lastEvents = now, s.Events
		d.screen.show(fmt.Sprintf("%3.0fs  %s events/s  %s events  tracking %s  %s  %.1f s behind", now.Sub(started).Seconds(),
			thousands(uint64(rate)), thousands(s.Events), tracked(s), plural(d.opened(), "alert"), behind.Seconds()))
	}
}

func tracked(s detector.Stats) string {
	names := map[string]string{"client_id": "clients", "token_id": "tokens", "subject": "users", "source_ip": "addresses", "session_id": "sessions"}
	text := ""
	for _, g := range s.Groups {
		if name := names[g.Kind]; name != "" {
			if text != "" {
				text += ", "
			}
			text += thousands(uint64(g.Entities)) + " " + name
		}
	}
	return text
}

func (d *demo) opened() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.alerts {
		if a.State == alert.Open {
			n++
		}
	}
	return n
}

func (d *demo) summarise(w io.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	shown := newDecoding(ingest.DefaultConfig(), nil, nil).shown
	writeDemo(w, judged(d.labels, d.alerts, shown), d.screen.paint)
	fmt.Fprintf(w, "\n%s records were sent; all alerts are in %s\n", thousands(uint64(d.produced)), d.out)
}

// demoSink shows alerts to the person who watches.
type demoSink demo

// Name implements [sinks.Sink].
func (s *demoSink) Name() string { return "screen" }

// Deliver implements [sinks.Sink].
func (s *demoSink) Deliver(_ context.Context, batch []*alert.Alert) error {
	for _, a := range batch {
		s.screen.line(s.screen.alertLine(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = append(s.alerts, batch...)
	return nil
}

// Close implements [sinks.Sink].
func (s *demoSink) Close(context.Context) error { return nil }
