package realtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
)

// Telemetry is traffic that began 36 hours ago: duration of it with every kind of misuse, each as often as told, and none of
// it late. After that come harmless calls of many clients, 192 in number and later than all windows: they are in every
// partition, whatever it is keyed by, and let every episode end.
func Telemetry(t testing.TB, duration time.Duration, each int) [][]byte {
	t.Helper()
	c := traffic.DefaultConfig()
	c.Start = time.Now().Add(-36 * time.Hour).Truncate(time.Second).UTC()
	c.Duration, c.LateShare = duration, 0
	for i := range c.Scenarios {
		c.Scenarios[i].Count = each
	}
	generator, err := traffic.New(c)
	must(t, err)
	var lines [][]byte
	for r := range generator.All() {
		lines = append(lines, traffic.AppendJSON(nil, r))
	}
	last := event.TimeOf(c.Start.Add(34 * time.Hour))
	for i := range 192 {
		lines = append(lines, fmt.Appendf(nil, `{"time":%q,"client_id":"last-%d","method":"GET","path":"/users/1/profile","status":200}`, last, i))
	}
	return lines
}

// Replay is what gatewatch finds in the lines without any interruption, with the rules and places of the configuration. It
// reads a file for each partition: events of one instant are taken in the order of their partitions.
func Replay(t testing.TB, binary, config string, lines [][]byte, partitions int) *Alerts {
	t.Helper()
	arguments := append([]string{"replay", "--config", config}, writePartitions(t, lines, partitions)...)
	command := exec.CommandContext(t.Context(), binary, arguments...)
	command.Env = append(os.Environ(), "CLICKHOUSE_PASSWORD="+Password)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("replay: %v\n%s", err, &stderr)
	}
	t.Logf("replay: %s", &stderr)
	found := NewAlerts("replay")
	for line := range bytes.Lines(stdout.Bytes()) {
		must(t, found.Add(line))
	}
	if len(found.Versions) < 30 {
		t.Fatalf("replay finds only %d versions of alerts", len(found.Versions))
	}
	return found
}

// writePartitions writes the lines of each partition to a file; the names sort as the partitions do.
func writePartitions(t testing.TB, lines [][]byte, partitions int) (paths []string) {
	t.Helper()
	contents := make([]bytes.Buffer, partitions)
	for i, line := range lines {
		contents[i%partitions].Write(line)
		contents[i%partitions].WriteByte('\n')
	}
	dir := t.TempDir()
	for i := range contents {
		path := filepath.Join(dir, fmt.Sprintf("%03d.jsonl", i))
		must(t, os.WriteFile(path, contents[i].Bytes(), 0o600))
		paths = append(paths, path)
	}
	return paths
}
