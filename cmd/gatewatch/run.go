package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/blindspot"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	"github.com/gatewatch/gatewatch/ingest/deadletter"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/ingest/push"
	"github.com/gatewatch/gatewatch/ingest/revocation"
	"github.com/gatewatch/gatewatch/sinks"
)

func newRunCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run --config gatewatch.yaml",
		Short: "Watch the telemetry in Kafka and deliver alerts",
		Long: "run is the service: it reads telemetry from Kafka, detects, and delivers alerts to all sinks of the configuration.\n" +
			"SIGTERM and SIGINT stop it after what was read is delivered, within shutdown_timeout. SIGHUP reloads the rules.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("run takes no arguments; the configuration is named by --config")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usagef("name the configuration: gatewatch run --config gatewatch.yaml")
			}
			return runService(c.Context(), path)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file")
	return cmd
}

// runService works until ctx ends. What fails before anything was started is returned at once.
func runService(ctx context.Context, path string) error {
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	handler, err := c.Log.handler(os.Stderr)
	if err != nil {
		return usageError{err}
	}
	s := &service{config: c, log: slog.New(handler), registry: prometheus.NewRegistry()}
	if err := s.build(ctx); err != nil {
		return errors.Join(err, s.closeAll())
	}
	err = s.run(ctx)
	return errors.Join(err, s.closeAll())
}

// service is a running gatewatch: what it consists of, and how to close it, last opened first.
type service struct {
	config   config
	log      *slog.Logger
	registry *prometheus.Registry
	closers  []func(ctx context.Context) error

	rules    *ruleFiles
	geo      *geo.Databases
	revoked  *revocation.List // nil: no lists
	operator *operatorServer
	store    *disk.Store
	queue    *sinks.Queue
	source   *kafka.Source
	push     *push.Receiver     // nil: none
	pipeline *pipeline.Pipeline // nil: shared
	shared   *sharing           // nil: pipeline
	sight    *sight
}

func (s *service) onClose(f func(ctx context.Context) error) { s.closers = append(s.closers, f) }

// closeAll closes what was opened, within the shutdown timeout. An alert that was not delivered by then is an error.
func (s *service) closeAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i](ctx))
	}
	return errors.Join(errs...)
}

// build opens everything without starting to read.
func (s *service) build(ctx context.Context) error {
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.rules, err = openRules(s.config.Rules, s.log, s.registry); err != nil {
		return err
	}
	if s.geo, err = openGeo(s.config.Geo, geo.Options{Registerer: s.registry, Logger: s.log}); err != nil {
		return err
	}
	if s.revoked, err = openRevocations(s.config.Ingest.Config, s.log, s.registry); err != nil {
		return err
	}
	warnBlind(s.log, s.rules.set, s.geo)
	s.config.Limits.warnUnknown(s.log, s.rules.set)
	if s.config.Ingest.PrivacyKey == "" {
		s.log.Warn("pseudonyms are made with a key that everybody knows; set ingest.privacy_key to {env: NAME} or {file: PATH}")
	}
	if err := s.listen(); err != nil {
		return err
	}
	watching, err := blindspot.NewMetrics(s.registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	s.sight = newSight(s.config.BlindSpots, watching, s.log)
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.openSinks(ctx); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.receive()
}

func (s *service) listen() error {
	if s.config.HTTP.Listen == "" {
		return nil
	}
	var err error
	if s.operator, err = listenOperator(s.config.HTTP.Listen, s.registry); err != nil {
		return err
	}
	s.onClose(s.operator.close)
	go func() {
		if err := s.operator.serve(); err != nil {
			s.log.Error("metrics are gone", "error", err)
		}
	}()
	s.log.Info("metrics and health", "address", s.operator.address())
	return nil
}

func (s *service) openSinks(ctx context.Context) error {
	destinations, err := s.config.Sinks.open(ctx)
	if err != nil {
		return err
	}
	refused := sinks.NewDeadLetterFile(s.config.DeadLetters.Alerts)
	s.onClose(func(context.Context) error { return refused.Close() })
	s.queue, err = sinks.NewQueue(sinks.Options{Destinations: destinations, DeadLetters: refused, Registerer: s.registry, Logger: s.log, OnBlocked: s.sight.blocked})
	if err != nil {
		return usageError{err}
	}
	s.sight.sinks = s.queue.Status
	s.onClose(s.queue.Close)
	return nil
}

// connect makes the source and the pipeline between it and the sinks.
func (s *service) connect(ctx context.Context) error {
	decoding := newDecoding(s.config.Ingest.Config, s.geo, s.registry)
	decoding.options.Revoked = s.revoked
	decoding.use(s.rules.set)
	letters, err := s.openDeadLetters()
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { return letters.Close() })
	metrics, err := pipeline.NewMetrics(s.registry, time.Now)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	sighted := sightedLetters{letters, s.sight}
	if s.config.State.shared() {
		return s.connectShared(ctx, decoding, sighted, metrics)
	}
	return s.connectAlone(ctx, decoding, sighted, metrics)
}

// connectAlone makes the source and the one pipeline of a process that shares nothing.
func (s *service) connectAlone(ctx context.Context, decoding *decoding, letters pipeline.DeadLetters, metrics *pipeline.Metrics) error {
	if s.config.Route.Topic != "" {
		s.log.Warn("route.topic is not read: it is for several instances that share their state; set state to kafka://TOPIC", "route.topic", s.config.Route.Topic)
	}
	var err error
	s.source, err = kafka.New(kafka.Options{
		Config: s.config.Kafka, NewDecoder: func() kafka.Decoder { return decoding.newDecoder() }, Registerer: s.registry, Log: s.log,
		OnGap: s.sight.gap,
	})
	if err != nil {
		return usageError{err}
	}
	durable, err := s.restore(ctx)
	if err != nil {
		return err
	}
	s.pipeline = pipeline.New(pipeline.Options{
		Engine: durable.Restored.Engine, Delivery: durable.Feed, Durable: durable, DeadLetters: letters, Committer: s.source, Metrics: metrics,
		Log: s.log, MaxPending: s.config.Engine.MaxPendingEvents, Patience: s.config.Kafka.ForgetsAfter(),
	})
	s.sight.unread, s.sight.engines = s.source.Unread, s.pipeline.Inspect
	s.sight.tell = func(ctx context.Context, records []sinks.Record) (bool, error) {
		return true, s.pipeline.Tell(ctx, records)
	}
	s.rules.onReload = func(ctx context.Context) error {
		decoding.use(s.rules.set)
		warnBlind(s.log, s.rules.set, s.geo)
		s.config.Limits.warnUnknown(s.log, s.rules.set)
		return s.pipeline.Reload(ctx, s.rules.set)
	}
	return nil
}

func (s *service) openDeadLetters() (deadletter.Writer, error) {
	c := s.config.DeadLetters
	if c.Topic == "" {
		return deadletter.OpenFile(c.File, c.MaxBytes)
	}
	cluster, err := connection.New(s.config.Kafka.Config)
	if err != nil {
		return nil, usageError{err}
	}
	return deadletter.NewKafka(&kafkago.Writer{
		Addr: cluster.Addr(), Transport: cluster.Transport(), Topic: c.Topic, AllowAutoTopicCreation: true,
	}), nil
}

// run reads until ctx ends or something fails for good. The source stops first and hands its partitions back; only then does
// the pipeline stop, and the sinks deliver what is left.
func (s *service) run(ctx context.Context) error {
	engine, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()

	pipelineEnded := make(chan error, 1)
	var watchers sync.WaitGroup
	if s.pipeline != nil {
		go func() {
			pipelineEnded <- s.pipeline.Run(engine)
			stopReading() // nobody would take what is read
		}()
	} else {
		pipelineEnded <- nil // each partition has its own
	}
	watchers.Go(func() { s.rules.watch(reading) })
	watchers.Go(func() { watchRevocations(reading, s.revoked, s.log) })
	if s.operator != nil {
		s.sight.held = s.operator.setHeld
	}
	watchers.Go(func() { s.sight.run(reading) })
	if s.geo != nil {
		watchers.Go(func() {
			if err := s.geo.Watch(reading); err != nil {
				s.log.Warn("GeoIP databases are not watched for changes", "error", err)
			}
		})
	}
	if s.operator != nil {
		s.operator.setReady()
	}
	s.log.Info("watching", "topics", s.config.Kafka.Topics, "group", s.config.Kafka.Group, "rules", s.rules.set.Len())
	err := s.read(reading)
	if s.operator != nil {
		s.operator.setNotReady("stopping")
	}
	if ctx.Err() != nil {
		s.log.Info("stopping", "limit", s.config.ShutdownTimeout)
		err = nil
	}
	stopReading()
	watchers.Wait()
	s.sight.end(engine)
	s.saveLast(engine)
	stopEngine()
	return errors.Join(err, <-pipelineEnded)
}

// read reads until ctx ends or something fails for good.
func (s *service) read(ctx context.Context) error {
	if s.shared != nil {
		return s.shared.run(ctx, s.log)
	}
	return s.source.Run(ctx, s.pipeline)
}
