package recovery

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// memory is the most that gatewatch may ever have held in memory while two of its destinations were away.
const memory = 400 << 20

// TestDestinationsDown keeps ClickHouse and the topic of alerts away during all the telemetry and over a kill. The file
// gets everything meanwhile, and the others everything in the same order afterwards.
func TestDestinationsDown(t *testing.T) {
	t.Setenv("GOMEMLIMIT", strconv.Itoa(memory*9/10)) // as the operator is told to: how far garbage piles up is not what is tested
	s := newScene(t, 12*time.Minute, 6, func(c realtest.Config) {
		stateIn("state")(c)
		for _, name := range []string{"kafka", "clickhouse"} {
			queue := c["sinks"].(realtest.Section)[name].(realtest.Section)["queue"].(realtest.Section)
			queue["max_alerts"], queue["batch_alerts"] = 20, 10 // of some hundreds
		}
	})
	up := []func(){s.topic.Down(t), s.clickHouse.Hang(t)}
	s.service.Start(t)
	const parts = 10
	for i := range parts {
		s.produce(t, i, parts)
		if i == parts/2 {
			s.service.UntilMetric(t, s.ctx, "gatewatch_engine_events_total", func(n float64) bool { return n > 0 })
			s.service.Kill(t)
			s.service.Start(t)
		}
	}
	realtest.UntilHas(t, s.ctx, s.want, func() *realtest.Alerts { return s.inFile(t) })
	if n := len(s.inTopic(t).Versions) + len(s.inClickHouse(t).Versions); n > 0 {
		t.Fatalf("%d alerts came through where everything was cut off", n)
	}
	if peak := peakMemory(t, s.service.PID()); peak > memory {
		t.Errorf("gatewatch held %d MiB while destinations were away, more than %d", peak>>20, memory>>20)
	}
	for _, up := range up {
		up()
	}
	s.finish(t)
	if diff := cmp.Diff(s.inFile(t).Order, s.inTopic(t).Order); diff != "" {
		t.Errorf("the topic got alerts in another order than the file (-file +topic):\n%s", diff)
	}
}

// peakMemory is the most that a process has ever had resident, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range bytes.Lines(status) {
		if rest, is := bytes.CutPrefix(line, []byte("VmHWM:")); is {
			n, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))))
			must(t, err)
			t.Logf("peak memory %d MiB", n>>10)
			return n << 10
		}
	}
	t.Fatal("no VmHWM in the status of the process")
	return 0
}
