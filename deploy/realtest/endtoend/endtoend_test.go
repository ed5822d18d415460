// Package endtoend runs the built gatewatch as its operator would, against a real broker and a real ClickHouse.
package endtoend

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

var (
	broker     *realtest.Kafka
	clickHouse string // address
	binary     string
)

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		if broker, err = s.Kafka(); err != nil {
			return err
		}
		if clickHouse, err = s.ClickHouse(); err != nil {
			return err
		}
		binary, err = s.Build()
		return err
	}))
}

const (
	topic      = "gateway-telemetry"
	partitions = 12
)

// TestKafkaToClickHouse produces telemetry with every kind of misuse to Kafka while gatewatch runs, restarts the broker in
// the middle, and compares what every destination has at the end with what replay finds in the same telemetry.
func TestKafkaToClickHouse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	lines := realtest.Telemetry(t, 11*time.Minute, 1)
	must(t, broker.CreateTopic(ctx, topic, partitions))
	config := realtest.NewConfig(t, broker.Plain(), topic)
	config.AddClickHouse(clickHouse, "gatewatch")
	config.AddTopic(broker.Plain(), "alerts")
	service := realtest.NewService(t, binary, "run", "gatewatch", config)
	want := realtest.Replay(t, binary, service.ConfigFile(), lines, partitions)

	service.Start(t)
	must(t, broker.ProduceLines(ctx, topic, partitions, realtest.Part(lines, 0, 2, partitions)))
	must(t, broker.Restart())
	must(t, broker.ProduceLines(ctx, topic, partitions, realtest.Part(lines, 1, 2, partitions)))
	inClickHouse := func() *realtest.Alerts {
		return realtest.ReadClickHouse(t, ctx, "ClickHouse", clickHouse, "gatewatch")
	}
	realtest.UntilHas(t, ctx, want, inClickHouse)
	// Counted once although a broker restart makes gatewatch read some of them twice.
	if n, _ := service.Metric(ctx, "gatewatch_engine_events_total"); n != float64(len(lines)) {
		t.Errorf("%v events counted, not %d", n, len(lines))
	}
	service.Stop(t)

	inClickHouse().Check(t, want)
	realtest.ReadFile(t, "the file", service.Path("alerts.jsonl")).Check(t, want)
	broker.ReadTopic(t, ctx, "the Kafka topic", "alerts").Check(t, want)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
