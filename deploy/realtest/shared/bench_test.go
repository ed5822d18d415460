package shared

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
)

const (
	benchEvents  = 1_000_000
	benchClients = 100_000
	benchDensity = 200 // events in a millisecond of event time
)

// BenchmarkSharing measures how many events a second one process takes from the raw topic, how many a router copies to the
// keyed topic, and how many one, two and three instances take from there, the broker and all of them on this machine.
func BenchmarkSharing(b *testing.B) {
	ctx := b.Context()
	topic := fmt.Sprintf("sharing-%d", time.Now().UnixNano())
	must(b, broker.CreateTopic(ctx, topic, partitions))
	must(b, broker.ProduceLines(ctx, topic, partitions, steady(b)))

	measure := func(name, command string, processes int, metric string, change func(realtest.Config)) {
		done := b.Run(name, func(b *testing.B) {
			var all []*realtest.Service
			for i := range processes {
				all = append(all, benchService(b, command, topic, name, i, change))
			}
			for _, s := range all {
				s.Start(b)
			}
			events, took := untilRead(b, ctx, all, metric)
			for _, s := range all {
				s.Stop(b)
			}
			b.ReportMetric(events/took.Seconds(), "events/s")
			b.ReportMetric(events, "events")
			b.ReportMetric(float64(took.Milliseconds()), "ms")
			b.ReportMetric(0, "ns/op")
		})
		if !done {
			b.FailNow() // the next reads what this one should have written
		}
	}
	keyed := realtest.Section{"topic": topic + "-keyed", "partitions": partitions, "group": topic + "-route"}
	measure("alone", "run", 1, "gatewatch_engine_events_total", func(realtest.Config) {})
	measure("route", "route", 1, "gatewatch_route_events_total", func(c realtest.Config) { c["route"] = keyed })
	for n := 1; n <= 3; n++ {
		measure(fmt.Sprintf("instances-%d", n), "run", n, "gatewatch_engine_events_total", func(c realtest.Config) {
			c["route"] = keyed
			c["state"] = realtest.Section{"location": fmt.Sprintf("kafka://%s-state-%d", topic, n)}
		})
	}
}

// steady is telemetry without misuse: each event costs what an ordinary one does.
func steady(b *testing.B) [][]byte {
	s, err := traffic.NewSteady(traffic.SteadyConfig{Seed: 1, Clients: benchClients})
	must(b, err)
	start := event.TimeOf(time.Now().Add(-time.Hour))
	lines := make([][]byte, benchEvents)
	for i := range lines {
		lines[i], _ = s.Append(nil, start+event.Time(i/benchDensity))
	}
	return lines
}

func benchService(b *testing.B, command, topic, name string, i int, change func(realtest.Config)) *realtest.Service {
	c := realtest.NewConfig(b, broker.Plain(), topic)
	c["kafka"].(realtest.Section)["group"] = topic + "-group-" + name
	change(c)
	return realtest.NewService(b, binary, command, fmt.Sprintf("%s-%d", name, i), c)
}

// untilRead waits until the services have read everything, and returns what a metric says of all of them together and how long
// it took from the first event to the last.
func untilRead(b *testing.B, ctx context.Context, all []*realtest.Service, metric string) (events float64, took time.Duration) {
	const quiet = 3 * time.Second
	began, changed := time.Now(), time.Now()
	realtest.Until(b, ctx, "everything to be read", func() bool {
		now, sum, lag, owned := time.Now(), 0.0, 0.0, 0.0
		for _, s := range all {
			s.MustRun(b)
			sum += value(ctx, s, metric)
			lag += value(ctx, s, "gatewatch_kafka_lag_records")
			owned += value(ctx, s, "gatewatch_kafka_partitions")
		}
		switch {
		case sum == 0:
			began = now
		case sum != events:
			events, changed = sum, now
		}
		return events > 0 && owned == partitions && lag == 0 && now.Sub(changed) > quiet
	})
	return events, changed.Sub(began)
}

func value(ctx context.Context, s *realtest.Service, metric string) float64 {
	v, _ := s.Metric(ctx, metric)
	return v
}
