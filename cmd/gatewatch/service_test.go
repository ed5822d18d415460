package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
)

// testService is a gatewatch that reads from an embedded broker and writes to files, and everything that leaves it.
type testService struct {
	*service
	dir    string
	broker *embeddedBroker
	log    *lockedBuffer
	stop   func() error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startService runs the service with the configuration, in which DIR and BROKER are replaced.
func startService(t *testing.T, configuration string) *testService {
	t.Helper()
	broker, err := startBroker("telemetry", 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.close)
	s := &testService{dir: t.TempDir(), broker: broker, log: &lockedBuffer{}}
	text := strings.NewReplacer("DIR", s.dir, "BROKER", broker.addresses()[0]).Replace(configuration)
	c, err := parseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c.dir = t.TempDir()
	s.service = &service{config: c, log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), registry: prometheus.NewRegistry()}
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.build(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := s.run(ctx)
		ended <- errors.Join(err, s.closeAll())
	}()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *testService) produce(t *testing.T, lines ...[]byte) {
	t.Helper()
	w := newProducer(s.broker.addresses(), "telemetry")
	defer w.Close()
	if err := produce(t.Context(), w, lines); err != nil {
		t.Fatal(err)
	}
}

// await polls until the file has at least n lines that contain text.
func (s *testService) await(t *testing.T, name, text string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		content, _ := os.ReadFile(filepath.Join(s.dir, name)) // it may not be there yet
		var found []string
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, text) {
				found = append(found, line)
			}
		}
		if len(found) >= n {
			return found
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has %d lines with %q, want %d; the log:\n%s", name, len(found), text, n, s.log)
		case <-tick.C:
		}
	}
}

const serviceConfig = `
kafka: {brokers: ["BROKER"], topics: [telemetry], topic_interval: 200ms, heartbeat_interval: 100ms}
dead_letters: {file: DIR/rejected.jsonl, alerts: DIR/refused.jsonl}
sinks: {file: {path: DIR/alerts.jsonl, sync: never}}
http: {listen: "127.0.0.1:0"}
rules: {paths: [DIR/rules.yaml]}
`

func ruleText(limit int) string {
	return fmt.Sprintf(`
rules:
  - {id: profiles, title: Many profiles, detect: distinct, by: token_id, where: {route: "/users/{id}"}, count: path.id, window: 1m, limit: %d}
`, limit)
}

func writeRules(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// call is a record as of now.
func call(token string, user int) []byte {
	return fmt.Appendf(nil, `{"time":%q,"client_id":"app","token_id":%q,"method":"GET","path":"/users/%d","status":200}`,
		time.Now().UTC().Format(time.RFC3339Nano), token, user)
}

// TestNoRawTokenLeaves sends tokens in every place of good and bad records and looks for them in all that comes out: alerts,
// dead letters, the log and the metrics.
func TestNoRawTokenLeaves(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	s := startService(t, strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1))
	const token = "s3cr3t-TOKEN-0123456789abcdef"
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
	var lines [][]byte
	for i := range 20 {
		lines = append(lines, call(token, i), call(jwt, i))
	}
	for _, bad := range []string{
		`{"token_id":"%s"`, `{"token_id":"%s","status":200}`, `%s`, `{"%s":1}`, `[{"token_id":"%s"}]`,
		`{"time":"2026-11-22T10:00:00Z","client_id":"%s","method":"GET","path":"/x","status":"%s"}`,
		`{"time":"%s","client_id":"c","method":"GET","path":"/x","status":200,"token_id":"%[1]s"}`,
		`{"time":"1970-01-01T00:00:00Z","client_id":"c","method":"GET","path":"/users/%s","status":200,"token_id":"%[1]s"}`,
	} {
		for _, secret := range []string{token, jwt} {
			lines = append(lines, []byte(strings.ReplaceAll(strings.ReplaceAll(bad, "%[1]s", secret), "%s", secret)))
		}
	}
	s.produce(t, lines...)
	s.await(t, "alerts.jsonl", `"state":"open"`, 2)
	s.await(t, "rejected.jsonl", `"reason"`, 16)
	metrics := s.get(t, "/metrics")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{"log": s.log.String(), "metrics": metrics}
	for _, name := range []string{"alerts.jsonl", "rejected.jsonl"} {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		outputs[name] = string(content)
	}
	for name, text := range outputs {
		if text == "" {
			t.Errorf("%s is empty", name)
		}
		for _, secret := range []string{token, jwt, token[:16], "eyJzdWIiOiJ1c2VyLTEifQ"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s contains %q", name, secret)
			}
		}
	}
}

func (s *testService) get(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get("http://" + s.operator.address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awaitReady polls until the service says that it is ready.
func (s *testService) awaitReady(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for s.get(t, "/readyz") != "ok\n" {
		if time.Now().After(deadline) {
			t.Fatalf("not ready; the log:\n%s", s.log)
		}
	}
}

// TestReload changes the rules of a running service: a bad file changes nothing, a good one is used from then on.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, ruleText(1000))
	s := startService(t, strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1))
	s.awaitReady(t)
	writeRules(t, dir, "rules: [{id: broken}]")
	s.awaitMetric(t, `gatewatch_rules_reloads_total{result="failed"} 1`)
	if metrics := s.get(t, "/metrics"); !strings.Contains(metrics, "gatewatch_rules_current 0") {
		t.Error("the metrics do not say that the rules in use are old")
	}
	writeRules(t, dir, ruleText(3))
	s.awaitMetric(t, `gatewatch_rules_reloads_total{result="loaded"} 1`)
	var lines [][]byte
	for i := range 10 {
		lines = append(lines, call("some-token-of-a-client", i))
	}
	s.produce(t, lines...)
	found := s.await(t, "alerts.jsonl", `"state":"open"`, 1)
	var a struct{ Observed struct{ Limit int } }
	if err := json.Unmarshal([]byte(found[0]), &a); err != nil || a.Observed.Limit != 3 {
		t.Errorf("limit %d, %v; want 3", a.Observed.Limit, err)
	}
}

func (s *testService) awaitMetric(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.get(t, "/metrics"), line+"\n") {
		select {
		case <-ctx.Done():
			t.Fatalf("no metric says %s; the log:\n%s", line, s.log)
		case <-tick.C:
		}
	}
}

func TestPortInUse(t *testing.T) {
	first, err := listenOperator("127.0.0.1:0", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer first.listener.Close()
	_, err = listenOperator(first.address(), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), first.address()) || !strings.Contains(err.Error(), "another address") {
		t.Errorf("error %v does not say which address is taken and what to do", err)
	}
}

// TestReplayRepeats feeds the same telemetry whole, compressed, and cut into two files that overlap in time.
func TestReplayRepeats(t *testing.T) {
	dir := t.TempDir()
	cfg := traffic.DefaultConfig()
	cfg.Duration, cfg.Rate, cfg.LateShare, cfg.Disorder = 3*time.Minute, 30, 0, 0
	generator, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all, odd, even bytes.Buffer
	n := 0
	for r := range generator.All() {
		line := append(traffic.AppendJSON(nil, r), '\n')
		all.Write(line)
		if n++; n%2 == 0 {
			even.Write(line)
		} else {
			odd.Write(line)
		}
	}
	for name, content := range map[string]*bytes.Buffer{"all.jsonl": &all, "odd.jsonl": &odd, "even.jsonl": &even} {
		if err := os.WriteFile(filepath.Join(dir, name), content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replayed := func(names ...string) (versions []string) {
		var stdout, stderr bytes.Buffer
		for i := range names {
			names[i] = filepath.Join(dir, names[i])
		}
		if err := replay(t.Context(), replayFlags{}, names, nil, &stdout, &stderr); err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		for line := range strings.Lines(stdout.String()) {
			var a struct {
				ID      string
				Version int
				State   string
			}
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatal(err)
			}
			versions = append(versions, fmt.Sprint(a))
		}
		return versions
	}
	want := replayed("all.jsonl")
	if len(want) < 10 {
		t.Fatalf("only %d versions", len(want))
	}
	for _, names := range [][]string{{"all.jsonl"}, {"odd.jsonl", "even.jsonl"}} {
		if got := replayed(names...); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%v give other alerts: %d versions, want %d", names, len(got), len(want))
		}
	}
}

func TestReplayOfBadRecords(t *testing.T) {
	input := strings.Join([]string{
		`not json`, `{"time":"2026-11-22T10:00:00Z"}`, `{"time":"2100-01-01T00:00:00Z","client_id":"c","method":"GET","path":"/","status":200}`,
		`{"time":"1970-01-01T00:00:00Z","client_id":"c","method":"GET","path":"/","status":200}`, strings.Repeat("[", 100_000),
		`{"time":"2026-11-22T10:00:00Z","client_id":"c","method":"GET","path":"/` + strings.Repeat("a", 100_000) + `","status":200}`,
		`{"time":"2026-11-22T10:00:00Z","client_id":"c","method":"GET","path":"/","status":200}`, strings.Repeat("x", 10<<20), "",
		"{\"time\":\"2026-11-22T10:00:01Z\",\"client_id\":\"\xff\",\"method\":\"GET\",\"path\":\"/\",\"status\":200}",
	}, "\n")
	var stdout, stderr bytes.Buffer
	if err := replay(t.Context(), replayFlags{}, []string{"-"}, strings.NewReader(input), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 event in", ": 0 alerts, 0 versions\n", "1 record rejected: missing_field", "not_json", "missing_field", "future", "bad_time", "too_large"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, &stderr)
		}
	}
}

// TestReplayIntoFullDisk says once why the alerts could not be written.
func TestReplayIntoFullDisk(t *testing.T) {
	var events strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&events, `{"time":"2026-11-22T10:%02d:%02d.000Z","token_id":"t%d","method":"GET","path":"/users/%d/profile","status":200}`+"\n", i/6000, i/100%60, i%100, i)
	}
	reader, full := io.Pipe()
	reader.CloseWithError(errors.New("no space left"))
	var stderr bytes.Buffer
	err := replay(t.Context(), replayFlags{}, []string{"-"}, strings.NewReader(events.String()), full, &stderr)
	if err == nil || !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), pipeline.ErrStopped.Error()) {
		t.Errorf("error %v", err)
	}
}
