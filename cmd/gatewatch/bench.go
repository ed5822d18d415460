package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/rules"
)

// benchFlags are the flags of gatewatch bench.
type benchFlags struct {
	rules    []string
	clients  int
	events   int
	density  int
	flood    int
	brokers  []string
	asJSON   bool
	skipping []string
	profile  string
}

// benchResult is what one machine does with one rule set. Times are of wall clock, in nanoseconds where the name says so.
type benchResult struct {
	CPUs           int            `json:"cpus"`
	GoVersion      string         `json:"go_version"`
	Rules          int            `json:"rules"`
	Clients        int            `json:"clients"`
	Events         int            `json:"events"`
	BytesPerEvent  float64        `json:"bytes_per_event"`
	DecodeNS       float64        `json:"decode_ns_per_event"` // one core: decode, places, pseudonyms, route
	MatchNS        float64        `json:"match_ns_per_event"`  // one core: which rules and entities an event concerns
	ApplyNS        float64        `json:"apply_ns_per_event"`  // one core: order and apply to all rules
	EventsPerCore  float64        `json:"events_per_second_per_core"`
	AllocsPerEvent float64        `json:"allocations_per_event"`
	Entities       int            `json:"entities"`
	BytesPerEntity float64        `json:"bytes_per_entity"`
	BytesPerClient float64        `json:"bytes_per_client"`
	HeapPerClient  float64        `json:"heap_bytes_per_client"`
	Formats        []formatResult `json:"formats,omitempty"`
	Flood          *floodResult   `json:"flood,omitempty"`
	Kafka          *kafkaResult   `json:"kafka,omitempty"`
}

// kafkaResult is the whole way from Kafka to alerts.
type kafkaResult struct {
	Broker          string  `json:"broker"`
	Events          int     `json:"events"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUSeconds      float64 `json:"cpu_seconds"`           // of this process
	EventsPerCPU    float64 `json:"events_per_cpu_second"` // of this process
	LiveRate        float64 `json:"live_events_per_second"`
	DelayP50        float64 `json:"delay_p50_seconds"` // event to alert, at the live rate
	DelayP99        float64 `json:"delay_p99_seconds"`
	LiveAlerts      int     `json:"live_alerts"`

	State *stateResult `json:"state,omitempty"`
}

func newBenchCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine does with these rules",
		Long: "bench measures decoding, applying and the whole way from Kafka to alerts, with steady telemetry of many clients that does\n" +
			"nothing wrong. Without --brokers the broker runs in this process and shares its cores with everything else.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("bench takes no arguments")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			stop, err := startProfile(f.profile)
			if err != nil {
				return err
			}
			r, err := bench(c.Context(), f, c.ErrOrStderr())
			if err = errors.Join(err, stop()); err != nil {
				return err
			}
			return r.write(c.OutOrStdout(), f.asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.rules, "rules", nil, "rule file or directory (default the shipped rules)")
	flags.IntVar(&f.clients, "clients", 100_000, "active clients")
	flags.IntVar(&f.events, "events", 4_000_000, "events to measure with, in each part")
	flags.IntVar(&f.density, "density", 200_000, "events a second of event time")
	flags.IntVar(&f.flood, "flood", 0, "then send so many requests of clients, users, tokens and addresses that were never seen, and measure memory again")
	flags.StringSliceVar(&f.brokers, "brokers", nil, "measure with this Kafka cluster instead of the broker in this process")
	flags.StringSliceVar(&f.skipping, "skip", nil, "leave parts out: engine, formats, kafka")
	flags.StringVar(&f.profile, "cpuprofile", "", "write a CPU profile of the measured parts to this file, for go tool pprof")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// startProfile profiles until what it returns is called. An empty path profiles nothing.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

func (f benchFlags) validate() error {
	switch {
	case f.clients < 1 || f.clients > 10_000_000:
		return usagef("--clients must be between 1 and 10,000,000")
	case f.events < 100_000:
		return usagef("--events must be at least 100,000")
	case f.density < 1:
		return usagef("--density must be positive")
	case f.flood < 0 || f.flood > 100_000_000:
		return usagef("--flood must be between 0 and 100,000,000")
	}
	for _, part := range f.skipping {
		if part != "engine" && part != "formats" && part != "kafka" {
			return usagef("--skip must be engine, formats or kafka")
		}
	}
	return nil
}

func (f benchFlags) skips(part string) bool { return slices.Contains(f.skipping, part) }

func bench(ctx context.Context, f benchFlags, stderr io.Writer) (*benchResult, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	set, err := loadRules(f.rules)
	if err != nil {
		return nil, err
	}
	databases, err := geo.OpenBytes(geoip.Databases(), geo.Options{})
	if err != nil {
		return nil, err
	}
	r := &benchResult{CPUs: runtime.GOMAXPROCS(0), GoVersion: runtime.Version(), Rules: set.Len(), Clients: f.clients, Events: f.events}
	decoding := newDecoding(defaultConfig().Ingest.Config, databases, nil)
	decoding.use(set)
	if !f.skips("formats") {
		fmt.Fprintln(stderr, "measuring formats …")
		if r.Formats, err = benchFormats(ctx); err != nil {
			return nil, err
		}
	}
	if !f.skips("engine") {
		fmt.Fprintln(stderr, "measuring the engine …")
		if err := benchEngine(ctx, f, set, decoding, r, stderr); err != nil {
			return nil, err
		}
	}
	if !f.skips("kafka") {
		fmt.Fprintln(stderr, "measuring Kafka to alert …")
		if r.Kafka, err = benchKafka(ctx, f, set, decoding); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// benchChunk is how many events are measured at a time: enough that the clock costs nothing.
const benchChunk = 4096

// benchEngine measures the parts of the engine, one after another on one core, until all clients are known and enough events
// were seen after that.
func benchEngine(ctx context.Context, f benchFlags, set *rules.Set, decoding *decoding, r *benchResult, stderr io.Writer) error {
	lines, err := newSteadyLines(f, 0, 1)
	if err != nil {
		return err
	}
	o := detector.DefaultOptions()
	o.Workers = 1
	engine := detector.New(set, o)
	preparer, decoder := engine.NewPreparer(), decoding.newDecoder()
	decoder.Begin(event.Partition{Topic: "bench"})
	before := heap()
	var decode, match, apply time.Duration
	var bytes, measured int
	var allocated uint64
	warmUp := max(f.events, 2*f.clients)
	for n := 0; n < warmUp+f.events && ctx.Err() == nil; n += benchChunk {
		chunk := lines.next(benchChunk)
		started, mallocs := time.Now(), allocations(n >= warmUp)
		for i, line := range chunk {
			decoder.Add(int64(n+i), line)
		}
		batch, rejected := decoder.Take()
		decoded := time.Now()
		prepared := preparer.Prepare(batch)
		matched := time.Now()
		engine.Push(prepared)
		engine.Advance()
		applied := time.Now()
		if len(rejected) > 0 {
			return fmt.Errorf("a generated record was rejected: %s", rejected[0].Detail)
		}
		if n < warmUp {
			continue
		}
		decode, match, apply = decode+decoded.Sub(started), match+matched.Sub(decoded), apply+applied.Sub(matched)
		allocated += allocations(true) - mallocs
		bytes += lines.bytes
		measured += len(chunk)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(measured) }
	r.DecodeNS, r.MatchNS, r.ApplyNS = per(decode), per(match), per(apply)
	r.EventsPerCore = 1e9 / (r.DecodeNS + r.MatchNS + r.ApplyNS)
	r.BytesPerEvent = float64(bytes) / float64(measured)
	r.AllocsPerEvent = float64(allocated) / float64(measured)
	var stateBytes int64
	for _, g := range engine.Stats().Groups {
		r.Entities += g.Entities
		stateBytes += g.Bytes
	}
	r.BytesPerEntity = float64(stateBytes) / float64(max(1, r.Entities))
	r.BytesPerClient = float64(stateBytes) / float64(f.clients)
	r.HeapPerClient = float64(heap()-before) / float64(f.clients)
	if f.flood > 0 {
		fmt.Fprintln(stderr, "measuring a flood of new keys …")
		engine.Finish(event.Partition{Topic: "bench"})
		r.Flood = benchFlood(ctx, engine, f.flood, event.Time(lines.at), before)
	}
	runtime.KeepAlive(engine)
	return nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// allocations is the number of allocations of the process so far, or 0 when it does not matter: asking stops the world.
func allocations(wanted bool) uint64 {
	if !wanted {
		return 0
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// steadyLines is steady telemetry whose event time passes at the density asked for.
type steadyLines struct {
	steady *traffic.Steady
	at     float64 // Unix milliseconds
	step   float64
	buffer []byte
	lines  [][]byte
	bytes  int // of the last chunk
}

func newSteadyLines(f benchFlags, shard, shards int) (*steadyLines, error) {
	steady, err := traffic.NewSteady(traffic.SteadyConfig{Seed: 1, Clients: f.clients, Shard: shard, Shards: shards})
	if err != nil {
		return nil, err
	}
	// Everything lies in the past: what is ahead of the clock would be rejected.
	length := time.Duration(float64(2*f.events+2*f.clients) / float64(f.density) * float64(time.Second))
	start := time.Now().Add(-length - time.Minute).UnixMilli()
	return &steadyLines{steady: steady, at: float64(start), step: 1000 * float64(shards) / float64(f.density)}, nil
}

// next returns n lines, valid until the next call.
func (s *steadyLines) next(n int) [][]byte {
	s.buffer, s.lines = s.buffer[:0], s.lines[:0]
	ends := make([]int, n)
	for i := range ends {
		s.buffer, _ = s.steady.Append(s.buffer, event.Time(s.at))
		s.at += s.step
		ends[i] = len(s.buffer)
	}
	from := 0
	for _, end := range ends {
		s.lines = append(s.lines, s.buffer[from:end])
		from = end
	}
	s.bytes = len(s.buffer)
	return s.lines
}

func (r *benchResult) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("machine", "%d cores, %s", r.CPUs, r.GoVersion)
	row("rules", "%d", r.Rules)
	row("active clients", "%s", thousands(uint64(r.Clients)))
	if r.DecodeNS > 0 {
		row("event", "%.0f bytes", r.BytesPerEvent)
		row("decode", "%.0f ns/event on one core", r.DecodeNS)
		row("match", "%.0f ns/event on one core", r.MatchNS)
		row("order and apply", "%.0f ns/event on one core", r.ApplyNS)
		row("all three", "%s events/s per core", thousands(uint64(r.EventsPerCore)))
		row("allocations", "%.3f per event", r.AllocsPerEvent)
		row("memory", "%.0f bytes per client, %.0f per entity (%s entities); heap %.0f bytes per client", r.BytesPerClient, r.BytesPerEntity,
			thousands(uint64(r.Entities)), r.HeapPerClient)
	}
	if fl := r.Flood; fl != nil {
		row("after a flood", "%s new keys of each kind at %.0f ns/event: %s entities, %s bytes of %s; heap %s bytes; %s evicted", thousands(uint64(fl.Keys)),
			fl.NSPerEvent, thousands(uint64(fl.Entities)), thousands(uint64(fl.Bytes)), thousands(uint64(fl.LimitMemory)),
			thousands(uint64(fl.HeapBytes)), thousands(fl.Evicted))
	}
	if k := r.Kafka; k != nil {
		row("Kafka to alert", "%s events/s (%s)", thousands(uint64(k.EventsPerSecond)), k.Broker)
		row("", "%s events per second of this process's CPU time", thousands(uint64(k.EventsPerCPU)))
		row("event to alert", "p50 %.2f s, p99 %.2f s at %s events/s (%d alerts; the disorder of %s included)", k.DelayP50, k.DelayP99,
			thousands(uint64(k.LiveRate)), k.LiveAlerts, detector.DefaultOptions().Disorder)
		s := k.State
		row("with checkpoints", "%s events/s, %.0f %% of without; %d checkpoints of %.0f MB in %.2f s, pauses below %.0f ms",
			thousands(uint64(s.EventsPerSecond)), 100*s.Throughput, s.Checkpoints, s.Bytes/1e6, s.Seconds, 1000*s.PauseBelow)
		row("restart", "%.2f s with %s entities; %.0f MB on disk", s.Restart, thousands(uint64(s.RestartEntities)), float64(s.DiskBytes)/1e6)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeFormats(w, r.Formats)
}
