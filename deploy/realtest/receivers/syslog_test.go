package receivers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/helper"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/input/tcp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/input/udp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/syslogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/gatewatch/gatewatch/sinks/syslog"
)

// The receiver then hands each message on before it reads the next, and closes a connection when all of it is handed on.
func init() {
	if err := featuregate.GlobalRegistry().Set("stanza.synchronousLogEmitter", true); err != nil {
		panic(err)
	}
}

// syslogd is a syslog receiver and how a sink reaches it.
type syslogd struct {
	*kept
	config syslog.Config
	stop   func()
}

// startSyslog starts one for the transport and framing of a sink.
func startSyslog(t *testing.T, change func(*syslog.Config)) *syslogd {
	t.Helper()
	d := &syslogd{kept: newKept(), config: syslog.DefaultConfig()}
	d.config.Address, d.config.Hostname, d.config.MaxMessageBytes = freeAddress(t), "gatewatch-1", 1<<20
	change(&d.config)
	factory := syslogreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*syslogreceiver.SysLogConfig)
	config.InputConfig.Protocol = "rfc5424"
	if d.config.Transport == syslog.UDP {
		config.InputConfig.UDP = &udp.NewConfig().BaseConfig
		config.InputConfig.UDP.ListenAddress = d.config.Address
	} else {
		listen := &tcp.NewConfig().BaseConfig
		listen.ListenAddress, listen.MaxLogSize = d.config.Address, helper.ByteSize(max(d.config.MaxMessageBytes+16, 64<<10))
		config.InputConfig.TCP = listen
		config.InputConfig.EnableOctetCounting = d.config.Framing == syslog.OctetCounting
		if d.config.MaxMessageBytes != syslog.DefaultConfig().MaxMessageBytes {
			config.InputConfig.MaxOctets = d.config.MaxMessageBytes
		}
	}
	if d.config.Transport == syslog.TLS {
		config.InputConfig.TCP.TLS, d.config.TLS.CAFile = certificate(t)
	}
	d.stop = newCollector().start(t, factory, component.Config(config), d.kept)
	return d
}

// certificate makes one for 127.0.0.1 and the file of an authority that trusts it.
func certificate(t *testing.T) (server *configtls.ServerConfig, caFile string) {
	t.Helper()
	source := httptest.NewTLSServer(nil)
	defer source.Close()
	pair := source.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	server = &configtls.ServerConfig{}
	server.CertFile = write(t, "cert.pem", "CERTIFICATE", pair.Certificate[0])
	server.KeyFile = write(t, "key.pem", "PRIVATE KEY", key)
	_, err = tls.LoadX509KeyPair(server.CertFile, server.KeyFile)
	must(t, err)
	return server, server.CertFile
}

func write(t *testing.T, name, kind string, der []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func openSyslog(t *testing.T, c syslog.Config) *syslog.Sink {
	t.Helper()
	must(t, c.Validate())
	s, err := syslog.New(c)
	must(t, err)
	return s
}

// structured are the parameters of our element.
func structured(r record) map[string]any {
	all, _ := r.Attributes().AsRaw()["structured_data"].(map[string]any)
	own, _ := all["gatewatch@32473"].(map[string]any)
	return own
}

func (d *syslogd) messages(id string) (all []record) {
	for _, r := range d.records() {
		if r.Attributes().AsRaw()["msg_id"] == id {
			all = append(all, r)
		}
	}
	return all
}

func (d *syslogd) alerts(t *testing.T) (all []*alert.Alert) {
	for _, r := range d.messages("alert") {
		all = append(all, decode[alert.Alert](t, r.Attributes().AsRaw()["message"]))
	}
	return all
}

func (d *syslogd) blindSpots(t *testing.T) (all []*alert.BlindSpot) {
	for _, r := range d.messages("blind_spot") {
		all = append(all, decode[alert.BlindSpot](t, r.Attributes().AsRaw()["message"]))
	}
	return all
}

func shortMessages(c *syslog.Config) { c.MaxMessageBytes = syslog.DefaultConfig().MaxMessageBytes }
func overTLS(c *syslog.Config)       { c.Transport = syslog.TLS }
func overTCP(c *syslog.Config)       { c.Transport = syslog.TCP }
func newlineTLS(c *syslog.Config)    { c.Framing = syslog.Newline }
func datagrams(c *syslog.Config)     { c.Transport, c.MaxMessageBytes = syslog.UDP, 8192 }
func asCEF(c *syslog.Config)         { c.Format = syslog.CEF }

// The suite of every sink, blind spots and every field included.
func TestSyslogConformance(t *testing.T) {
	for name, change := range map[string]func(*syslog.Config){"TLS": overTLS, "TCP": overTCP, "newlines over TLS": newlineTLS} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				d := startSyslog(t, change)
				target := sinktest.Target{
					Open:     func(t *testing.T) sinks.Sink { return openSyslog(t, d.config) },
					Received: d.alerts, BlindSpots: d.blindSpots,
				}
				if d.config.Transport == syslog.TLS { // without, the end of a batch is the end of what the proxy reads, and it closes
					proxy := sinktest.NewProxy(t, d.config.Address)
					d.config.Address, target.Down, target.Hang = proxy.Addr, proxy.Down, proxy.Hang
				}
				return target
			})
		})
	}
}

// A receiver's own parser finds each part of the header and of the structured data, JSON or CEF behind.
func TestSyslogFields(t *testing.T) {
	for name, change := range map[string]func(*syslog.Config){"JSON": func(*syslog.Config) {}, "CEF": asCEF} {
		t.Run(name, func(t *testing.T) {
			d, a := startSyslog(t, change), sinktest.Alert(1, 2)
			a.Entity.ID = `me"]\ [x@1 y="z"]`
			must(t, openSyslog(t, d.config).Deliver(t.Context(), []*alert.Alert{a}))
			messages := d.messages("alert")
			if len(messages) != 1 {
				t.Fatalf("%d messages arrived, want 1", len(messages))
			}
			r := messages[0]
			if r.SeverityNumber() != plog.SeverityNumberError || r.Timestamp().AsTime().UnixMilli() != int64(*a.EmittedAt) {
				t.Errorf("severity %v at %v", r.SeverityNumber(), r.Timestamp().AsTime())
			}
			got := r.Attributes().AsRaw()
			if got["appname"] != "gatewatch" || got["hostname"] != "gatewatch-1" || got["facility"] != int64(16) || got["version"] != int64(1) {
				t.Errorf("the header is %v", got)
			}
			for parameter, want := range map[string]string{
				"id": a.ID, "version": "2", "state": "update", "rule": a.Rule.ID, "entity_kind": a.Entity.Kind, "entity_id": a.Entity.ID,
			} {
				if value := structured(r)[parameter]; value != want {
					t.Errorf("%s is %q, want %q", parameter, value, want)
				}
			}
			if text, _ := got["message"].(string); name == "CEF" && !strings.HasPrefix(text, "CEF:0|") {
				t.Errorf("the message is %q", text)
			}
		})
	}
}

// Both have their defaults: an alert with more evidence than fits loses some of it and arrives.
func TestSyslogLongAlert(t *testing.T) {
	d, a := startSyslog(t, shortMessages), sinktest.Alert(1, 1)
	for range 100 {
		a.Evidence = append(a.Evidence, a.Evidence[0])
	}
	must(t, openSyslog(t, d.config).Deliver(t.Context(), []*alert.Alert{a, sinktest.Alert(2, 1)}))
	got := d.alerts(t)
	if len(got) != 2 || got[0].ID != a.ID || len(got[0].Evidence) < 5 || len(got[0].Evidence) >= len(a.Evidence) {
		t.Fatalf("arrived: %d alerts", len(got))
	}
}

// A receiver that is started again in the middle gets what it had not taken before.
func TestSyslogStartedAgain(t *testing.T) {
	d := startSyslog(t, overTCP)
	s := openSyslog(t, d.config)
	q, feed := queue(t, s)
	_, err := feed.Enqueue(t.Context(), sinks.Alerts(versions()[:10]))
	must(t, err)
	must(t, q.Drain(limited(t)))
	d.stop()
	_, err = feed.Enqueue(t.Context(), sinks.Alerts(versions()[10:]))
	must(t, err)
	again := startSyslog(t, func(c *syslog.Config) { c.Transport, c.Address = syslog.TCP, d.config.Address })
	must(t, q.Close(limited(t)))
	inOrder(t, append(d.alerts(t), again.alerts(t)...))
}

// Datagrams have no answer: they arrive, or they do not.
func TestSyslogDatagrams(t *testing.T) {
	d := startSyslog(t, datagrams)
	must(t, openSyslog(t, d.config).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(2, 1)}))
	ctx := limited(t)
	for len(d.alerts(t)) < 2 {
		if ctx.Err() != nil {
			t.Fatalf("%d of 2 alerts arrived", len(d.alerts(t)))
		}
	}
}
