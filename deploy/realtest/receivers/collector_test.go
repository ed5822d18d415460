// Package receivers tests sinks against receivers of the OpenTelemetry Collector, in one process: what they speak is somebody
// else's reading of the Splunk HTTP Event Collector, of Datadog's logs intake and of syslog.
//
// It is a module of its own: the collector's many dependencies are none of gatewatch's.
package receivers

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// kept is what stands behind a receiver: it keeps all logs, in order.
type kept struct {
	mu       sync.Mutex
	failures []error // of the next calls; nil: none
	calls    int
	logs     plog.Logs
}

func newKept() *kept { return &kept{logs: plog.NewLogs()} }

// fail makes the next calls fail.
func (k *kept) fail(failures ...error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = failures
}

func (k *kept) take(_ context.Context, logs plog.Logs) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if len(k.failures) > 0 {
		failure := k.failures[0]
		k.failures = k.failures[1:]
		if failure != nil {
			return failure
		}
	}
	for _, one := range logs.ResourceLogs().All() {
		one.CopyTo(k.logs.ResourceLogs().AppendEmpty())
	}
	return nil
}

// record is a log with what it comes from.
type record struct {
	plog.LogRecord
	resource pcommon.Map
}

func (k *kept) records() (all []record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, resource := range k.logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, log := range scope.LogRecords().All() {
				all = append(all, record{log, resource.Resource().Attributes()})
			}
		}
	}
	return all
}

// host gives extensions to receivers.
type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

// GetExtensions implements [component.Host].
func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// collector is one receiver with its extensions.
type collector struct {
	host     host
	receiver component.Component
}

func newCollector() *collector {
	return &collector{host: host{componenttest.NewNopHost(), map[component.ID]component.Component{}}}
}

// extend adds an extension and returns its name.
func (c *collector) extend(t *testing.T, factory extension.Factory, config component.Config) component.ID {
	t.Helper()
	e, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	must(t, err)
	must(t, e.Start(t.Context(), c.host))
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	id := component.NewID(factory.Type())
	c.host.extensions[id] = e
	return id
}

// protect lets only requests in whose header has the token after the scheme.
func (c *collector) protect(t *testing.T, server *confighttp.ServerConfig, header, scheme, token string) {
	t.Helper()
	factory := bearertokenauthextension.NewFactory()
	config := factory.CreateDefaultConfig().(*bearertokenauthextension.Config)
	config.Header, config.Scheme, config.BearerToken = http.CanonicalHeaderKey(header), scheme, configopaque.String(token)
	id := c.extend(t, factory, config)
	server.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: id}})
}

// start starts the receiver; stop may be called before the test ends.
func (c *collector) start(t *testing.T, factory receiver.Factory, config component.Config, k *kept) (stop func()) {
	t.Helper()
	next, err := consumer.NewLogs(k.take)
	must(t, err)
	c.receiver, err = factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), config, next)
	must(t, err)
	must(t, c.receiver.Start(t.Context(), c.host))
	stop = sync.OnceFunc(func() { _ = c.receiver.Shutdown(context.Background()) })
	t.Cleanup(stop)
	return stop
}

// freeAddress is one of 127.0.0.1 on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// unseen hides that a sink takes blind spots.
type unseen struct{ sinks.Sink }

// decode reads JSON, or what a receiver made of it.
func decode[T any](t *testing.T, from any) *T {
	t.Helper()
	text, ok := from.(string)
	if !ok {
		b, err := json.Marshal(from)
		must(t, err)
		text = string(b)
	}
	v := new(T)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	return v
}

// waits checks that all alerts of a batch would be delivered again and returns why.
func waits(t *testing.T, s sinks.Sink, batch ...*alert.Alert) error {
	t.Helper()
	err := s.Deliver(t.Context(), batch)
	p, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(p.Refused) > 0 || len(p.Retry) != len(batch) {
		t.Fatalf("%d alerts do not wait: %v", len(batch), err)
	}
	return err
}

// letters fails the test when anything is refused.
type letters struct{ t *testing.T }

// Bury implements [sinks.DeadLetters].
func (l letters) Bury(all []sinks.Letter) error {
	l.t.Errorf("dead letters: %s", all[0].Reason)
	return nil
}

// deliverAll delivers through a queue that tries again soon, and returns when all has been taken.
func deliverAll(t *testing.T, s sinks.Sink, batch []*alert.Alert) {
	t.Helper()
	q, feed := queue(t, s)
	_, err := feed.Enqueue(t.Context(), sinks.Alerts(batch))
	must(t, err)
	must(t, q.Close(limited(t)))
}

func queue(t *testing.T, s sinks.Sink) (*sinks.Queue, *sinks.Feed) {
	t.Helper()
	config := sinks.DefaultConfig()
	config.BatchAlerts, config.BatchDelay, config.RetryMin, config.RetryMax = 5, 0, time.Millisecond, 20*time.Millisecond
	q, err := sinks.NewQueue(sinks.Options{
		Destinations: []sinks.Destination{{Sink: s, Config: config}}, DeadLetters: letters{t}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return q, q.Attach(nil)
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// versions are four of each of five alerts, in order.
func versions() (all []*alert.Alert) {
	for version := 1; version <= 4; version++ {
		for n := range 5 {
			all = append(all, sinktest.Alert(n, version))
		}
	}
	return all
}

// inOrder checks that the first arrival of each version comes after that of the version before, and that none is missing.
func inOrder(t *testing.T, got []*alert.Alert) {
	t.Helper()
	latest := map[string]int{}
	for _, a := range got {
		if a.Version > latest[a.ID]+1 {
			t.Errorf("%s: version %d came after %d", a.ID, a.Version, latest[a.ID])
		}
		latest[a.ID] = max(latest[a.ID], a.Version)
	}
	for _, a := range versions() {
		if latest[a.ID] != 4 {
			t.Errorf("%s: the latest version is %d, want 4", a.ID, latest[a.ID])
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
