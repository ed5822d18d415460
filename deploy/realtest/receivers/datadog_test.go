package receivers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/datadogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/datadog"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const key = "0123456789abcdef0123456789abcdef"

// startDatadog starts an intake for logs; it keeps the reserved attributes only.
func startDatadog(t *testing.T) (k *kept, address string) {
	t.Helper()
	c, k := newCollector(), newKept()
	factory := datadogreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*datadogreceiver.Config)
	config.NetAddr.Endpoint = freeAddress(t)
	c.protect(t, &config.ServerConfig, "DD-API-KEY", "", key)
	c.start(t, factory, component.Config(config), k)
	return k, config.NetAddr.Endpoint
}

func openDatadog(t *testing.T, address string, change func(*datadog.Config)) *datadog.Sink {
	t.Helper()
	c := datadog.DefaultConfig()
	c.URL, c.Proxy, c.APIKey, c.Hostname, c.Tags = "http://"+address, "-", key, "gatewatch-1", []string{"env:prod", "team:soc"}
	change(&c)
	must(t, c.Validate())
	s, err := datadog.New(c)
	must(t, err)
	return s
}

// attributes are those that Datadog reserves.
func attributes(r record) map[string]any {
	all := r.Attributes().AsRaw()
	all["message"] = r.Body().AsString()
	return all
}

func TestDatadogFields(t *testing.T) {
	for _, gzip := range []bool{false, true} {
		k, address := startDatadog(t)
		s := openDatadog(t, address, func(c *datadog.Config) { c.Gzip = gzip })
		a, b := sinktest.Alert(1, 1), sinktest.BlindSpot(1, 1)
		must(t, errors.Join(s.Deliver(t.Context(), []*alert.Alert{a}), s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{b})))
		records := k.records()
		if len(records) != 2 {
			t.Fatalf("%d logs arrived, want 2", len(records))
		}
		for i, want := range []map[string]any{
			{"message": a.Summary, "status": "error", "timestamp": int64(a.DetectedAt)},
			{"message": b.Detail, "status": "warning", "timestamp": int64(b.To)},
		} {
			want["ddsource"], want["service"], want["hostname"], want["ddtags"] = "gatewatch", "gatewatch", "gatewatch-1", "env:prod,team:soc"
			if got := attributes(records[i]); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("gzip %v: the log has\n%v, want\n%v", gzip, got, want)
			}
		}
	}
}

// What stands behind the receiver is full for a while: the receiver answers 503, and all arrives in order.
func TestDatadogFails(t *testing.T) {
	k, address := startDatadog(t)
	full := errors.New("full")
	k.fail(full, full, nil, full)
	deliverAll(t, openDatadog(t, address, func(*datadog.Config) {}), versions())
	var got, want []string
	for _, r := range k.records() {
		got = append(got, r.Body().AsString())
	}
	for _, a := range versions() {
		want = append(want, a.Summary)
	}
	if !slices.Equal(got, want) {
		t.Errorf("arrived:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A thousand logs in a request, and more in a batch.
func TestDatadogTakesLargeBatches(t *testing.T) {
	k, address := startDatadog(t)
	batch := make([]*alert.Alert, 2500)
	for i := range batch {
		batch[i] = sinktest.Alert(i, 1)
	}
	must(t, openDatadog(t, address, func(*datadog.Config) {}).Deliver(t.Context(), batch))
	if n := len(k.records()); n != len(batch) || k.calls != 3 {
		t.Errorf("%d logs arrived in %d requests, want %d in 3", n, k.calls, len(batch))
	}
}

// What the receiver will never take, status 400, is for the dead letters, and that alone.
func TestDatadogRefuses(t *testing.T) {
	k, address := startDatadog(t)
	bad := consumererror.NewPermanent(errors.New("bad log"))
	k.fail(bad, nil, bad) // of the request with both, of that with the first, of that with the second
	err := openDatadog(t, address, func(*datadog.Config) {}).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(2, 1)})
	p, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(p.Retry) > 0 || len(p.Refused) != 1 || p.Refused[0].Index != 1 {
		t.Errorf("the error is %v", err)
	}
}

func TestDatadogWrongKey(t *testing.T) {
	k, address := startDatadog(t)
	err := waits(t, openDatadog(t, address, func(c *datadog.Config) { c.APIKey = "0f-wrong" }), sinktest.Alert(1, 1))
	if !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "0f-wrong") {
		t.Errorf("the error is %v", err)
	}
	if n := len(k.records()); n > 0 {
		t.Errorf("%d logs arrived", n)
	}
}
