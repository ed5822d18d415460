// Package kafkastate tests and measures the state in Kafka against a real broker.
package kafkastate

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	store "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

var broker *realtest.Kafka

// addressEnv tells a child process where the broker is.
const addressEnv = "GATEWATCH_TEST_BROKER"

func TestMain(m *testing.M) {
	if os.Getenv(addressEnv) != "" {
		os.Exit(write(os.Args[1:]))
	}
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		broker, err = s.Kafka()
		return err
	}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limited returns a context for waiting on the broker; a test that needs this long has failed.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func options(address, topic string) store.Options {
	c := connection.DefaultConfig()
	c.Brokers = []string{address}
	return store.Options{
		Connection: c, Topic: topic, Partitions: 3, ReplicationFactor: 1,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
}

// unused names a topic after the test.
func unused(t testing.TB) string {
	return strings.NewReplacer("/", "-", "#", "-", " ", "-", "=", "-").Replace(t.Name())
}

// open opens partition 1 as a process of its own would.
func open(t testing.TB, topic string) *store.Store {
	t.Helper()
	opened, err := store.OpenTopic(limited(t), options(broker.Plain(), topic))
	must(t, err)
	t.Cleanup(opened.Close)
	s, err := opened.Open(limited(t), 1)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	statetest.Run(t, statetest.Options{Fences: true}, func(t *testing.T) statetest.Open {
		return func(bool) state.Store { return open(t, unused(t)) }
	})
}
