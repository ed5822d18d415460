package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/router"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

func newRouteCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "route --config gatewatch.yaml",
		Short: "Bring the events of each entity together, for several instances of gatewatch run",
		Long: "route reads kafka.topics and writes route.topic, in which all events of a client, user, token or whatever else the rules\n" +
			"group by are in one partition. It keeps nothing itself: start as many as the traffic needs. SIGTERM and SIGINT stop it\n" +
			"after what was read is written. SIGHUP reloads the rules; new rules belong here first, then to gatewatch run.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("route takes no arguments; the configuration is named by --config")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usagef("name the configuration: gatewatch route --config gatewatch.yaml")
			}
			return runRoute(c.Context(), path)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file")
	return cmd
}

// runRoute works until ctx ends. What fails before anything was started is returned at once.
func runRoute(ctx context.Context, path string) error {
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	handler, err := c.Log.handler(os.Stderr)
	if err != nil {
		return usageError{err}
	}
	r := &routing{service: service{config: c, log: slog.New(handler), registry: prometheus.NewRegistry()}}
	if err := r.build(); err != nil {
		return errors.Join(err, r.closeAll())
	}
	err = r.run(ctx)
	return errors.Join(err, r.closeAll())
}

// routing is a running router: what it has in common with the service, and the router in place of engine and sinks.
type routing struct {
	service
	router *router.Router
}

func (r *routing) build() error {
	if err := checkRoute(r.config); err != nil {
		return usageError{err}
	}
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if r.rules, err = openRules(r.config.Rules, r.log, r.registry); err != nil {
		return err
	}
	// Places are looked up where they are needed: by rules that choose events by them, and where addresses become pseudonyms.
	if r.geo, err = openGeo(r.config.Geo, geo.Options{Registerer: r.registry, Logger: r.log}); err != nil {
		return err
	}
	if r.revoked, err = openRevocations(r.config.Ingest.Config, r.log, r.registry); err != nil {
		return err
	}
	if err := r.listen(); err != nil {
		return err
	}
	return r.connect()
}

func checkRoute(c config) error {
	switch {
	case c.Route.Topic == "":
		return errors.New("route.topic is missing: name the topic to write")
	case slices.Contains(c.Kafka.Topics, c.Route.Topic):
		return fmt.Errorf("route.topic %s is one of kafka.topics: it would read what it writes", c.Route.Topic)
	case c.Route.Group == c.Kafka.Group:
		return fmt.Errorf("route.group and kafka.group are both %s: routers would be given partitions that gatewatch run reads", c.Route.Group)
	}
	return nil
}

// connect makes the source and the router.
func (r *routing) connect() error {
	decoding := newDecoding(r.config.Ingest.Config, r.geo, r.registry)
	decoding.options.Revoked = r.revoked
	decoding.use(r.rules.set)
	letters, err := r.openDeadLetters()
	if err != nil {
		return err
	}
	r.onClose(func(context.Context) error { return letters.Close() })
	raw := r.config.Kafka
	raw.Group = r.config.Route.Group
	r.source, err = kafka.New(kafka.Options{
		Config: raw, NewDecoder: func() kafka.Decoder { return decoding.newDecoder() }, Registerer: r.registry, Log: r.log,
	})
	if err != nil {
		return usageError{err}
	}
	cluster, err := connection.New(raw.Config)
	if err != nil {
		return usageError{err}
	}
	r.router, err = router.New(router.Options{
		Config: r.config.Route, Cluster: cluster, Topics: raw.Topics, Rules: r.rules.set, Committer: r.source, DeadLetters: letters,
		HideAddress: slices.Contains(r.config.Ingest.Pseudonymise, "source_ip"), Registerer: r.registry, Log: r.log,
	})
	if err != nil {
		return err
	}
	r.onClose(func(context.Context) error { r.router.Close(); return nil })
	r.rules.onReload = func(ctx context.Context) error {
		decoding.use(r.rules.set)
		return r.router.Reload(ctx, r.rules.set)
	}
	return nil
}

// run routes until ctx ends or something fails for good. The source stops first and hands its partitions back, which writes
// and commits what was read.
func (r *routing) run(ctx context.Context) error {
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	if err := r.router.Open(reading); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	routerEnded := make(chan error, 1)
	var watchers sync.WaitGroup
	go func() {
		routerEnded <- r.router.Run(writing)
		stopReading() // nothing more can be written
	}()
	watchers.Go(func() { r.rules.watch(reading) })
	watchers.Go(func() { watchRevocations(reading, r.revoked, r.log) })
	if r.geo != nil {
		watchers.Go(func() {
			if err := r.geo.Watch(reading); err != nil {
				r.log.Warn("GeoIP databases are not watched for changes", "error", err)
			}
		})
	}
	if r.operator != nil {
		r.operator.setReady()
	}
	r.log.Info("routing", "from", r.config.Kafka.Topics, "to", r.config.Route.Topic, "group", r.config.Route.Group)
	err := r.source.Run(reading, r.router)
	if r.operator != nil {
		r.operator.setNotReady("stopping")
	}
	stopReading()
	watchers.Wait()
	stopWriting()
	return errors.Join(err, <-routerEnded)
}
