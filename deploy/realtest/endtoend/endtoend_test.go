// Package endtoend runs the built gatewatch as its operator would, against a real broker and a real ClickHouse.
package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
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
		binary = filepath.Join(s.Dir, "gatewatch")
		build := exec.Command("go", "build", "-o", binary, "github.com/gatewatch/gatewatch/cmd/gatewatch")
		build.Stderr = os.Stderr
		return build.Run()
	}))
}

const topic = "gateway-telemetry"

// TestKafkaToClickHouse produces telemetry with every kind of misuse to Kafka while gatewatch runs, restarts the broker in
// the middle, and compares what ClickHouse has at the end with what replay finds in the same telemetry.
func TestKafkaToClickHouse(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	dir := t.TempDir()
	lines := telemetry(t)
	want := replay(ctx, t, dir, lines)
	if len(want) < 30 {
		t.Fatalf("replay finds only %d versions of alerts", len(want))
	}

	if err := broker.CreateTopic(ctx, topic, 12); err != nil {
		t.Fatal(err)
	}
	service := start(ctx, t, dir)
	half := len(lines) / 2
	produce(ctx, t, lines[:half])
	if err := broker.Restart(); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, lines[half:])

	got := await(ctx, t, len(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts in ClickHouse differ from those of replay (-replay +ClickHouse):\n%s", diff)
	}
	service.checkMetrics(t, len(lines))
	service.stop(t)
	for name, got := range map[string]described{"the file": fromFile(t, dir), "the Kafka topic": fromTopic(ctx, t)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("alerts in %s differ from those of replay (-replay +%s):\n%s", name, name, diff)
		}
	}
}

// fromFile reads what the file sink wrote.
func fromFile(t *testing.T, dir string) described {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "alerts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	found := described{}
	for line := range bytes.Lines(content) {
		found.add(t, line)
	}
	return found
}

// fromTopic reads what the Kafka sink produced.
func fromTopic(ctx context.Context, t *testing.T) described {
	t.Helper()
	found := described{}
	for partition := range 3 {
		conn, err := kafka.DialLeader(ctx, "tcp", broker.Plain(), "alerts", partition)
		if err != nil {
			t.Fatal(err)
		}
		_, end, err := conn.ReadOffsets()
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker.Plain()}, Topic: "alerts", Partition: partition, MaxWait: 100 * time.Millisecond})
		for offset := int64(0); offset < end; {
			m, err := r.ReadMessage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			found.add(t, m.Value)
			offset = m.Offset + 1
		}
		r.Close()
	}
	return found
}

// telemetry is twelve minutes of traffic a day and a half ago, and one harmless call after all windows have passed, which lets
// every episode end.
func telemetry(t *testing.T) [][]byte {
	t.Helper()
	cfg := traffic.DefaultConfig()
	cfg.Start = time.Now().Add(-36 * time.Hour).Truncate(time.Second).UTC()
	cfg.Duration, cfg.Rate, cfg.LateShare = 12*time.Minute, 100, 0
	generator, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for r := range generator.All() {
		lines = append(lines, traffic.AppendJSON(nil, r))
	}
	last := traffic.Record{Time: event.TimeOf(cfg.Start.Add(34 * time.Hour)), ClientID: "last", Method: "GET", Path: "/health", Status: 200}
	return append(lines, fmt.Appendf(nil, `{"time":%q,"client_id":"last","method":"GET","path":"/health","status":200}`, last.Time))
}

// version identifies what may be delivered once only.
type version struct {
	ID      string
	Version int
}

// described maps each version to its rule and state, for people who read a difference.
type described map[version]string

func geoFlags() []string {
	var flags []string
	for _, name := range []string{"world", "world-asn", "world-anonymous"} {
		flags = append(flags, "--geo", "../../../fixtures/geoip/"+name+".mmdb")
	}
	return flags
}

func replay(ctx context.Context, t *testing.T, dir string, lines [][]byte) described {
	t.Helper()
	path := filepath.Join(dir, "telemetry.jsonl")
	if err := os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, binary, append(append([]string{"replay"}, geoFlags()...), path)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("replay: %v\n%s", err, &stderr)
	}
	t.Logf("replay: %s", &stderr)
	found := described{}
	scanner := bufio.NewScanner(&stdout)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		found.add(t, scanner.Bytes())
	}
	return found
}

func (d described) add(t *testing.T, line []byte) {
	t.Helper()
	var a struct {
		ID      string
		Version int
		State   string
		Rule    struct{ ID string }
	}
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatal(err)
	}
	d[version{a.ID, a.Version}] = a.Rule.ID + " " + a.State
}

// produce sends the lines in their order, some at a time, without keys: gateways do not key by client.
func produce(ctx context.Context, t *testing.T, lines [][]byte) {
	t.Helper()
	w := &kafka.Writer{Addr: kafka.TCP(broker.Plain()), Topic: topic, Balancer: &kafka.RoundRobin{}, BatchTimeout: time.Millisecond,
		RequiredAcks: kafka.RequireAll, MaxAttempts: 100}
	defer w.Close()
	for from := 0; from < len(lines); from += 500 {
		var messages []kafka.Message
		for _, line := range lines[from:min(from+500, len(lines))] {
			messages = append(messages, kafka.Message{Value: line})
		}
		if err := w.WriteMessages(ctx, messages...); err != nil {
			t.Fatal(err)
		}
	}
}

type service struct {
	command *exec.Cmd
	log     *bytes.Buffer
	address string
}

func start(ctx context.Context, t *testing.T, dir string) *service {
	t.Helper()
	s := &service{log: &bytes.Buffer{}, address: freeAddress(t)}
	var databases []string
	for i, flag := range geoFlags() {
		if i%2 == 1 {
			path, err := filepath.Abs(flag)
			if err != nil {
				t.Fatal(err)
			}
			databases = append(databases, path)
		}
	}
	config := fmt.Sprintf(`
kafka: {brokers: [%q], topics: [%s]}
geo: {databases: [%s]}
dead_letters: {file: %q, alerts: %q}
sinks:
  clickhouse: {addresses: [%q], username: gatewatch, password: {env: CLICKHOUSE_PASSWORD}}
  file: {path: %q}
  kafka: {brokers: [%q], topic: alerts, partitions: 3}
http: {listen: %q}
`, broker.Plain(), topic, strings.Join(databases, ", "), filepath.Join(dir, "rejected.jsonl"), filepath.Join(dir, "refused.jsonl"),
		clickHouse, filepath.Join(dir, "alerts.jsonl"), broker.Plain(), s.address)
	path := filepath.Join(dir, "gatewatch.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.command = exec.CommandContext(ctx, binary, "run", "--config", path)
	s.command.Env = append(os.Environ(), "CLICKHOUSE_PASSWORD=gatewatch-test")
	s.command.Stdout, s.command.Stderr = s.log, s.log
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.command.ProcessState == nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
		if t.Failed() {
			t.Logf("gatewatch wrote:\n%s", s.log)
		}
	})
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await polls ClickHouse until it has as many versions as wanted and all episodes that it knows are closed, or time is up.
func await(ctx context.Context, t *testing.T, wanted int) described {
	t.Helper()
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr: []string{clickHouse}, Auth: clickhouse.Auth{Database: "gatewatch", Username: "gatewatch", Password: "gatewatch-test"},
	})
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	found := described{}
	for len(found) < wanted {
		select {
		case <-ctx.Done():
			return found
		case <-tick.C:
		}
		rows, err := db.QueryContext(ctx, "SELECT id, toInt64(version), rule_id, toString(state) FROM alerts FINAL")
		if err != nil {
			continue // the table is not there yet
		}
		found = described{}
		for rows.Next() {
			var id, rule, state string
			var n int64
			if err := rows.Scan(&id, &n, &rule, &state); err != nil {
				t.Fatal(err)
			}
			found[version{id, int(n)}] = rule + " " + state
		}
		rows.Close()
	}
	return found
}

// checkMetrics reads /metrics: nothing was rejected, and every event was counted once although a broker restart makes
// gatewatch read some of them twice.
func (s *service) checkMetrics(t *testing.T, events int) {
	t.Helper()
	response, err := http.Get("http://" + s.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("gatewatch_engine_events_total %d\n", events)
	if other := fmt.Sprintf("gatewatch_engine_events_total %g\n", float64(events)); !strings.Contains(text.String(), want) && !strings.Contains(text.String(), other) {
		for line := range strings.Lines(text.String()) {
			if strings.HasPrefix(line, "gatewatch_engine_events_total") {
				t.Errorf("metrics say %q, want %q", line, want)
			}
		}
	}
}

// stop asks gatewatch to end, as an orchestrator does.
func (s *service) stop(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Wait(); err != nil {
		t.Errorf("gatewatch ends with %v", err)
	}
}
