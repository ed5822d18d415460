package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/ingest/keyed"
)

const routeConfig = `
kafka: {brokers: ["BROKER"], topics: [telemetry], fetch_wait: 20ms, heartbeat_interval: 20ms}
route: {topic: keyed, partitions: 4}
rules: {paths: ["DIR/rules.yaml"]}
dead_letters: {file: "DIR/rejected.jsonl", alerts: "DIR/refused.jsonl"}
sinks: {stdout: {}}
http: {listen: 127.0.0.1:0}
inventory: {openapi: ["DIR/openapi.yaml"]}
`

// startRoute runs a router with the configuration, as startService does with the service.
func startRoute(t *testing.T, dir string, broker *embeddedBroker) (r *routing, stop func()) {
	t.Helper()
	c, err := parseConfig([]byte(strings.NewReplacer("DIR", dir, "BROKER", broker.addresses()[0]).Replace(routeConfig)))
	if err != nil {
		t.Fatal(err)
	}
	r = &routing{service: service{config: c, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}}
	if err := r.build(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(r.run(ctx), r.closeAll()) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestRoute(t *testing.T) {
	broker, err := startBroker("telemetry", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.close()
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	spec := "openapi: 3.0.0\ninfo: {title: Users, version: '1', x-owner: team-users}\npaths:\n  /users/{userId}: {get: {}}\n"
	if err := os.WriteFile(filepath.Join(dir, "openapi.yaml"), []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	r, stop := startRoute(t, dir, broker)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.addresses()...), kgo.ConsumeTopics("keyed"), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	raw := &kgo.Record{Topic: "telemetry", Value: call("some-token-of-a-client", 1)}
	bad := &kgo.Record{Topic: "telemetry", Value: []byte("bad")}
	if err := client.ProduceSync(t.Context(), raw, bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d := keyed.NewDecoder(keyed.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for events := 0; events == 0; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			run, err := d.Decode(record.Offset, record.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(record.Value), "some-token-of-a-client") {
				t.Error("a token leaves")
			}
			events += len(run.Batch.Events)
			for i := range run.Batch.Events {
				if e := &run.Batch.Events[i]; e.Operation == nil || e.Operation.Owner != "team-users" || e.Route != "/users/{userId}" {
					t.Errorf("what the router knows of the operation is lost: %+v, route %s", e.Operation, e.Route)
				}
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(dir, "rejected.jsonl"))
	for tries := 0; tries < 200 && !strings.Contains(string(text), "not_json"); tries++ {
		time.Sleep(10 * time.Millisecond)
		text, err = os.ReadFile(filepath.Join(dir, "rejected.jsonl"))
	}
	if !strings.Contains(string(text), "not_json") {
		t.Errorf("no dead letter: %s %v", text, err)
	}
	answer, err := http.Get(fmt.Sprintf("http://%s/metrics", r.operator.address()))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, _ := io.ReadAll(answer.Body)
	if !regexp.MustCompile(`gatewatch_route_copies_total\{kind="token_id"\} 1\n`).Match(page) {
		t.Errorf("metrics:\n%s", page)
	}
	checkRows(t, r.registry)
	stop()
}

// checkRows holds the README's table against the metrics of a router.
func checkRows(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "gatewatch_") && !strings.Contains(string(text), "\n| `"+name+"`") {
			t.Errorf("the README has no row for the metric %s", name)
		}
	}
}

func TestRouteRefusesWhatCannotWork(t *testing.T) {
	for route, want := range map[string]string{
		`{}`:                               "route.topic is missing",
		`{topic: gateway-access}`:          "one of kafka.topics",
		`{topic: keyed, group: gatewatch}`: "both gatewatch",
	} {
		c, err := parseConfig([]byte("sinks: {stdout: {}}\nroute: " + route))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkRoute(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("route: %s: error %v, want %s", route, err, want)
		}
	}
}
