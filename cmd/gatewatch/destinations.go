package main

import (
	"context"
	"fmt"
	"os"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/clickhouse"
	filesink "github.com/gatewatch/gatewatch/sinks/file"
	kafkasink "github.com/gatewatch/gatewatch/sinks/kafka"
	"github.com/gatewatch/gatewatch/sinks/stdout"
	"github.com/gatewatch/gatewatch/sinks/syslog"
)

// open makes the sinks that the configuration names. Nothing is connected yet: a destination may come later.
func (c sinksConfig) open(ctx context.Context) ([]sinks.Destination, error) {
	var all []sinks.Destination
	add := func(s sinks.Sink, queue sinks.Config) { all = append(all, sinks.Destination{Sink: s, Config: queue}) }
	if c.named["stdout"] {
		add(stdout.New(os.Stdout), c.Stdout.Queue)
	}
	if c.named["file"] {
		s := filesink.New(c.File.Config)
		if err := s.Check(ctx); err != nil {
			return nil, fmt.Errorf("open sinks.file: %w", err)
		}
		add(s, c.File.Queue)
	}
	if c.named["kafka"] {
		s, err := kafkasink.New(c.Kafka.Config)
		if err != nil {
			return nil, usagef("sinks.kafka: %w", err)
		}
		add(s, c.Kafka.Queue)
	}
	if c.named["clickhouse"] {
		s, err := clickhouse.New(c.ClickHouse.Config)
		if err != nil {
			return nil, usagef("sinks.clickhouse: %w", err)
		}
		add(s, c.ClickHouse.Queue)
	}
	if c.named["syslog"] {
		s, err := syslog.New(c.Syslog.Config)
		if err != nil {
			return nil, usagef("sinks.syslog: %w", err)
		}
		add(s, c.Syslog.Queue)
	}
	for _, d := range c.HTTP.destinations() {
		if !c.named[d.name] {
			continue
		}
		s, err := d.open()
		if err != nil {
			return nil, usagef("sinks.%s: %w", d.name, err)
		}
		add(s, d.queue)
	}
	return all, nil
}
