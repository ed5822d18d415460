package recovery

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// partitions of the telemetry.
const partitions = 12

// scene is a service whose source, and two of whose three destinations, can be cut off.
type scene struct {
	ctx     context.Context
	name    string // of everything that belongs to the test
	config  realtest.Config
	service *realtest.Service
	lines   [][]byte
	want    *realtest.Alerts

	source, topic, clickHouse *sinktest.Proxy
}

// newScene prepares everything and starts nothing. Settings may change the configuration.
func newScene(t *testing.T, telemetry time.Duration, each int, settings func(realtest.Config)) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	t.Cleanup(cancel)
	s := &scene{ctx: ctx, name: strings.ToLower(t.Name())}
	s.source, s.topic, s.clickHouse = broker.Proxy(t, 1), broker.Proxy(t, 2), sinktest.NewProxy(t, clickHouse)
	must(t, broker.CreateTopic(ctx, s.name, partitions))
	must(t, broker.CreateTopic(ctx, s.name+"-alerts", 1))

	s.config = realtest.NewConfig(t, s.source.Addr, s.name)
	s.config.Expire(time.Second)
	s.config.AddTopic(s.topic.Addr, s.name+"-alerts")
	s.config.AddClickHouse(s.clickHouse.Addr, s.name)
	settings(s.config)
	s.service = realtest.NewService(t, binary, "run", "gatewatch", s.config)
	s.lines = realtest.Telemetry(t, telemetry, each)
	s.want = realtest.Replay(t, binary, s.service.ConfigFile(), s.lines, partitions)
	return s
}

// produce sends part i of n of the telemetry.
func (s *scene) produce(t *testing.T, i, n int) {
	t.Helper()
	must(t, broker.ProduceLines(s.ctx, s.name, partitions, realtest.Part(s.lines, i, n, partitions)))
}

func (s *scene) inFile(t *testing.T) *realtest.Alerts {
	return realtest.ReadFile(t, "the file", s.service.Path("alerts.jsonl"))
}

func (s *scene) inTopic(t *testing.T) *realtest.Alerts {
	return broker.ReadTopic(t, s.ctx, "the topic", s.name+"-alerts")
}

func (s *scene) inClickHouse(t *testing.T) *realtest.Alerts {
	return realtest.ReadClickHouse(t, s.ctx, "ClickHouse", clickHouse, s.name)
}

// finish waits until every destination has everything, ends the service in order, and compares.
func (s *scene) finish(t *testing.T) {
	t.Helper()
	all := []func(*testing.T) *realtest.Alerts{s.inFile, s.inTopic, s.inClickHouse}
	for _, read := range all {
		realtest.UntilHas(t, s.ctx, s.want, func() *realtest.Alerts { return read(t) })
	}
	s.service.Stop(t)
	for _, read := range all {
		read(t).Check(t, s.want)
	}
}

// few fails the test if repeats are more than now and then.
func few(t *testing.T, got *realtest.Alerts, atMost int) {
	t.Helper()
	if got.Repeats > atMost {
		t.Errorf("%s got %d versions again, more than %d", got.Place, got.Repeats, atMost)
	}
}

// counted reports how many events the engine has had in this life of the service, 0 while it does not answer.
func (s *scene) counted() float64 {
	n, _ := s.service.Metric(s.ctx, "gatewatch_engine_events_total")
	return n
}

// within asks again and again until done is true or the time is over.
func (s *scene) within(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); realtest.Pass(s.ctx, 20*time.Millisecond) {
		if done() {
			return true
		}
	}
	return false
}

// stateIn keeps the state in a folder and makes checkpoints often, so that blows hit many of them.
func stateIn(dir string) func(realtest.Config) {
	return func(c realtest.Config) {
		c["state"] = realtest.Section{"location": dir, "interval": fmt.Sprint(200 * time.Millisecond)}
		c["engine"] = realtest.Section{"disorder": "10s"} // a life may be longer than the telemetry that it is given
	}
}
