package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// stateResult is what durable state costs.
type stateResult struct {
	EventsPerSecond float64 `json:"events_per_second"` // with checkpoints, else as kafkaResult
	Throughput      float64 `json:"throughput_share"`  // of what it is without
	Checkpoints     int     `json:"checkpoints"`
	Seconds         float64 `json:"checkpoint_seconds"`  // from cut to commit, on average
	Bytes           float64 `json:"checkpoint_bytes"`    // on average
	PauseBelow      float64 `json:"longest_pause_below"` // seconds; the bound of the highest bucket that has something
	Restart         float64 `json:"restart_seconds"`     // from opening the folder to an engine that can go on
	RestartEntities int     `json:"restart_entities"`    // that it knows then
	DiskBytes       int64   `json:"state_bytes"`         // of the folder
}

// benchStore is a state in a folder for the time of a measurement.
type benchStore struct {
	dir     string
	set     *rules.Set
	metrics *prometheus.Registry
	store   *disk.Store
	queue   *sinks.Queue
	durable *pipeline.Durable
}

func openBenchStore(ctx context.Context, set *rules.Set, delivery *delayRecorder) (*benchStore, error) {
	dir, err := os.MkdirTemp("", "gatewatch-bench-")
	if err != nil {
		return nil, err
	}
	s := &benchStore{dir: dir, set: set, metrics: prometheus.NewRegistry()}
	if err := s.open(ctx, delivery); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *benchStore) open(ctx context.Context, delivery *delayRecorder) (err error) {
	if s.store, err = disk.Open(ctx, disk.Options{Dir: filepath.Join(s.dir, "state"), Version: version()}); err != nil {
		return err
	}
	quick := sinks.DefaultConfig()
	quick.BatchDelay = 0
	s.queue, err = sinks.NewQueue(sinks.Options{
		Destinations: []sinks.Destination{{Sink: delaySink{delivery}, Config: quick}},
		DeadLetters:  sinks.NewDeadLetterFile(filepath.Join(s.dir, "refused.jsonl")),
	})
	if err != nil {
		return err
	}
	outbox := state.NewOutbox(s.store)
	restored, err := pipeline.Restore(ctx, s.store, outbox, s.set, detector.DefaultOptions())
	if err != nil {
		return err
	}
	outbox.Use(delaySink{}.Name())
	s.durable = &pipeline.Durable{
		Store: s.store, Outbox: outbox, Feed: s.queue.Attach(outbox), Interval: defaultConfig().State.Interval, Restored: restored,
	}
	return nil
}

// closeStore lets go of the folder, whose content stays.
func (s *benchStore) closeStore() error {
	var errs []error
	if s.queue != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		errs = append(errs, s.queue.Close(ctx))
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	s.queue, s.store = nil, nil
	return errors.Join(errs...)
}

func (s *benchStore) close() error { return errors.Join(s.closeStore(), os.RemoveAll(s.dir)) }

// costs fills in what the checkpoints so far have cost.
func (s *benchStore) costs(r *stateResult) error {
	families, err := s.metrics.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		m := f.GetMetric()[0]
		switch f.GetName() {
		case "gatewatch_checkpoint_seconds":
			r.Checkpoints = int(m.GetHistogram().GetSampleCount())
			r.Seconds = m.GetHistogram().GetSampleSum() / float64(max(1, r.Checkpoints))
		case "gatewatch_checkpoint_bytes_total":
			r.Bytes = m.GetCounter().GetValue()
		case "gatewatch_checkpoint_pause_seconds":
			r.PauseBelow = highest(m.GetHistogram())
		}
	}
	r.Bytes /= float64(max(1, r.Checkpoints))
	return nil
}

// highest returns the bound of the highest bucket in which there is something; what is beyond all buckets counts as infinite.
func highest(h *dto.Histogram) (bound float64) {
	var below uint64
	for _, b := range h.GetBucket() {
		if b.GetCumulativeCount() > below {
			below, bound = b.GetCumulativeCount(), b.GetUpperBound()
		}
	}
	if below < h.GetSampleCount() {
		return 1e9
	}
	return bound
}

// restart opens the folder again, as the next start of the service would.
func (s *benchStore) restart(ctx context.Context, r *stateResult) error {
	if err := s.closeStore(); err != nil {
		return err
	}
	s.durable = nil
	r.DiskBytes = folderSize(s.dir)
	began := time.Now()
	if err := s.open(ctx, &delayRecorder{}); err != nil {
		return err
	}
	r.Restart = time.Since(began).Seconds()
	for _, g := range s.durable.Restored.Engine.Stats().Groups {
		r.RestartEntities += g.Entities
	}
	return nil
}

func folderSize(dir string) (bytes int64) {
	_ = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// delaySink is a destination that notes when alerts come to it.
type delaySink struct{ *delayRecorder }

// Name implements [sinks.Sink].
func (delaySink) Name() string { return "bench" }

// Deliver implements [sinks.Sink].
func (d delaySink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	_, err := d.Enqueue(ctx, sinks.Alerts(batch))
	return err
}

// Close implements [sinks.Sink].
func (delaySink) Close(context.Context) error { return nil }
