package shared

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// partitions of the raw topic and of the keyed one.
const partitions = 12

// session is how long a member of a group may be silent.
const session = 3 * time.Second

// fleet is all processes of one deployment.
type fleet struct {
	ctx       context.Context
	name      string // of everything that belongs to the test
	lines     [][]byte
	want      *realtest.Alerts
	services  map[string]*realtest.Service // by name: routers and instances, running or not
	instances []string                     // names of those that detect
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	t.Cleanup(cancel)
	f := &fleet{ctx: ctx, name: strings.ToLower(t.Name()), services: map[string]*realtest.Service{}}
	must(t, broker.CreateTopic(ctx, f.name, partitions))
	f.lines = realtest.Telemetry(t, 15*time.Minute, 3)
	return f
}

// router adds a process that writes the keyed topic, connected to the broker at an address. It starts it.
func (f *fleet) router(t *testing.T, name, address string) { f.add(t, "route", name, address) }

// instance adds a process that reads the keyed topic and detects. It starts it.
func (f *fleet) instance(t *testing.T, name, address string) {
	f.instances = append(f.instances, name)
	f.add(t, "run", name, address)
}

func (f *fleet) add(t *testing.T, command, name, address string) {
	t.Helper()
	c := realtest.NewConfig(t, address, f.name)
	c.Expire(session)
	c.AddClickHouse(clickHouse, f.name)
	c["state"] = realtest.Section{"location": "kafka://" + f.name + "-state", "interval": "500ms"}
	c["route"] = realtest.Section{"topic": f.name + "-keyed", "partitions": partitions, "group": f.name + "-route"}
	c["engine"] = realtest.Section{"disorder": "10s"} // handing partitions over may take longer than the telemetry that comes meanwhile
	s := realtest.NewService(t, binary, command, name, c)
	if f.want == nil {
		f.want = realtest.Replay(t, binary, s.ConfigFile(), f.lines, partitions)
	}
	f.services[name] = s
	s.Start(t)
}

// untilOwned waits until the instances named have all partitions of the keyed topic, each of them some.
func (f *fleet) untilOwned(t *testing.T, names ...string) {
	t.Helper()
	realtest.Until(t, f.ctx, fmt.Sprintf("%v to have all partitions", names), func() bool {
		sum := 0
		for _, name := range names {
			n, _ := f.services[name].Metric(f.ctx, "gatewatch_kafka_partitions")
			if n == 0 {
				return false
			}
			sum += int(n)
		}
		return sum == partitions
	})
}

// told is what the files of all instances have together.
func (f *fleet) told(t testing.TB) *realtest.Alerts {
	var paths []string
	for _, name := range f.instances {
		paths = append(paths, f.services[name].Path("alerts.jsonl"))
	}
	return realtest.ReadFile(t, "the files of all instances", paths...)
}

func (f *fleet) inClickHouse(t testing.TB) *realtest.Alerts {
	return realtest.ReadClickHouse(t, f.ctx, "ClickHouse", clickHouse, f.name)
}

// finish waits until everything is told, ends all processes in order, and compares.
func (f *fleet) finish(t *testing.T) {
	t.Helper()
	for _, read := range []func(testing.TB) *realtest.Alerts{f.told, f.inClickHouse} {
		realtest.UntilHas(t, f.ctx, f.want, func() *realtest.Alerts { return read(t) })
	}
	for _, name := range slices.Sorted(maps.Keys(f.services)) {
		if s := f.services[name]; s.Running() {
			s.Stop(t)
		}
	}
	told := f.told(t)
	told.Check(t, f.want)
	if most := len(f.want.Versions) / 4; told.Repeats > most {
		t.Errorf("%d versions were told again, more than %d", told.Repeats, most)
	}
	f.inClickHouse(t).Check(t, f.want)
}

// pause stops a process until its group has given its partitions to others, who are named if they are instances, and a little
// longer. When it goes on it is a zombie: it must notice before it writes anything.
func (f *fleet) pause(t *testing.T, name string, others ...string) {
	t.Helper()
	f.services[name].Pause(t)
	realtest.Pass(f.ctx, session+session/2)
	if len(others) > 0 {
		f.untilOwned(t, others...)
	}
	f.services[name].Resume(t)
	if len(others) > 0 {
		f.untilOwned(t, append(others, name)...)
	}
}
