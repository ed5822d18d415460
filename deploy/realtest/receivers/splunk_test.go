package receivers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"go.opentelemetry.io/collector/component"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/gatewatch/gatewatch/sinks/splunk"
)

const token = "b7d1e6f0-0c4c-4c8f-9b1f-5d6a7e8f9a0b"

// hec is a Splunk HTTP Event Collector.
type hec struct {
	*kept
	address string
	stop    func()
}

// startHEC starts one whose token has indexer acknowledgement or not.
func startHEC(t *testing.T, address string, acknowledges bool) *hec {
	t.Helper()
	c, h := newCollector(), &hec{kept: newKept(), address: address}
	factory := splunkhecreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*splunkhecreceiver.Config)
	config.NetAddr.Endpoint = address
	c.protect(t, &config.ServerConfig, "Authorization", "Splunk", token)
	if acknowledges {
		ack := ackextension.NewFactory()
		id := c.extend(t, ack, ack.CreateDefaultConfig())
		config.Ack.Extension = &id
	}
	h.stop = c.start(t, factory, component.Config(config), h.kept)
	return h
}

func (h *hec) alerts(t *testing.T) (all []*alert.Alert) {
	for _, r := range h.records() {
		if source(r) == "gatewatch:alert" {
			all = append(all, decode[alert.Alert](t, r.Body().AsRaw()))
		}
	}
	return all
}

func source(r record) string {
	value, _ := r.resource.Get("com.splunk.sourcetype")
	return value.AsString()
}

func openSplunk(t *testing.T, address string, change func(*splunk.Config)) *splunk.Sink {
	t.Helper()
	c := splunk.DefaultConfig()
	c.URL, c.Proxy, c.Token, c.Index, c.Host = "http://"+address, "-", token, "security", "gatewatch-1"
	c.AckInterval, c.AckTimeout = time.Millisecond, 10*time.Second
	change(&c)
	must(t, c.Validate())
	s, err := splunk.New(c)
	must(t, err)
	return s
}

func acknowledged(c *splunk.Config) { c.Acknowledge = true }

// The suite of every sink; the receiver knows numbers as floating point only, so that blind spots have a test of their own.
func TestSplunkConformance(t *testing.T) {
	for _, acknowledge := range []bool{false, true} {
		t.Run(fmt.Sprintf("acknowledge %v", acknowledge), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				h := startHEC(t, freeAddress(t), acknowledge)
				proxy := sinktest.NewProxy(t, h.address)
				return sinktest.Target{
					Open: func(t *testing.T) sinks.Sink {
						return unseen{openSplunk(t, proxy.Addr, func(c *splunk.Config) { c.Acknowledge = acknowledge })}
					},
					Received: h.alerts, Down: proxy.Down, Hang: proxy.Hang, Secrets: []string{token},
				}
			})
		})
	}
}

func TestSplunkFields(t *testing.T) {
	h := startHEC(t, freeAddress(t), false)
	s := openSplunk(t, h.address, func(*splunk.Config) {})
	a, b := sinktest.Alert(1, 2), sinktest.BlindSpot(1, 3)
	must(t, errors.Join(s.Deliver(t.Context(), []*alert.Alert{a}), s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{b})))
	records := h.records()
	if len(records) != 2 {
		t.Fatalf("%d events arrived, want 2", len(records))
	}
	for i, want := range []struct {
		sourceType string
		at         alert.Time
	}{{"gatewatch:alert", a.DetectedAt}, {"gatewatch:blind_spot", b.To}} {
		r := records[i]
		if got := r.Timestamp().AsTime().Round(time.Millisecond).UnixMilli(); got != int64(want.at) {
			t.Errorf("%s: the time is %d, want %d", want.sourceType, got, want.at)
		}
		for name, value := range map[string]string{
			"com.splunk.sourcetype": want.sourceType, "com.splunk.source": "gatewatch", "com.splunk.index": "security", "host.name": "gatewatch-1",
		} {
			if got, _ := r.resource.Get(name); got.AsString() != value {
				t.Errorf("%s is %q, want %q", name, got.AsString(), value)
			}
		}
	}
	spot := records[1].Body().Map()
	id, _ := spot.Get("id")
	version, _ := spot.Get("version")
	if id.AsString() != b.ID || version.AsString() != "3" {
		t.Errorf("the blind spot is %s/%s", id.AsString(), version.AsString())
	}
}

// What stands behind the receiver is full for a while: the receiver answers 500, and all arrives in order.
func TestSplunkFails(t *testing.T) {
	for _, acknowledge := range []bool{false, true} {
		h := startHEC(t, freeAddress(t), acknowledge)
		full := errors.New("full")
		h.fail(full, full, nil, full)
		s := openSplunk(t, h.address, func(c *splunk.Config) { c.Acknowledge = acknowledge })
		deliverAll(t, s, versions())
		got := h.alerts(t)
		inOrder(t, got)
		if h.calls <= 4 {
			t.Errorf("%d requests: no failure was met", h.calls)
		}
	}
}

func TestSplunkWrongToken(t *testing.T) {
	for _, acknowledge := range []bool{false, true} {
		h := startHEC(t, freeAddress(t), acknowledge)
		s := openSplunk(t, h.address, func(c *splunk.Config) { c.Token, c.Acknowledge = "0f-wrong", acknowledge })
		err := waits(t, s, sinktest.Alert(1, 1), sinktest.Alert(2, 1))
		if !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "0f-wrong") {
			t.Errorf("the error is %v", err)
		}
		if n := len(h.records()); n > 0 {
			t.Errorf("%d events arrived", n)
		}
	}
}

// A token without acknowledgement takes nothing that would never be acknowledged, and nothing is refused.
func TestSplunkWithoutAcknowledgement(t *testing.T) {
	h := startHEC(t, freeAddress(t), false)
	err := waits(t, openSplunk(t, h.address, acknowledged), sinktest.Alert(1, 1))
	if !strings.Contains(err.Error(), "acknowledgements") {
		t.Errorf("the error is %v", err)
	}
	if n := len(h.records()); n > 0 {
		t.Errorf("%d events arrived", n)
	}
}

// A collector that was started again has forgotten its acknowledgements. What is not acknowledged comes again.
func TestSplunkForgetsAcknowledgements(t *testing.T) {
	h := startHEC(t, freeAddress(t), true)
	s := openSplunk(t, h.address, func(c *splunk.Config) {
		c.Acknowledge, c.AckInterval, c.AckTimeout = true, 300*time.Millisecond, 300*time.Millisecond
	})
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	h.stop()
	again := startHEC(t, h.address, true)
	q, feed := queue(t, s)
	_, err := feed.Enqueue(t.Context(), sinks.Alerts(versions()))
	must(t, err)
	must(t, q.Close(limited(t)))
	inOrder(t, again.alerts(t))
}
