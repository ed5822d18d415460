package syslog

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	parser "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/nontransparent"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// receiver takes connections, reads each to its end with somebody else's strict parser, and closes it.
type receiver struct {
	listener net.Listener
	framing  string

	mu       sync.Mutex
	closing  bool          // connections are closed at once
	held     chan struct{} // not nil: connections are left alone until it is closed
	messages []*rfc5424.SyslogMessage
	errs     []error
}

func receive(t *testing.T, l net.Listener, framing string) *receiver {
	t.Helper()
	r := &receiver{listener: l, framing: framing}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { r.read(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		connections.Wait()
	})
	return r
}

// down closes connections before anything is read.
func (r *receiver) down(*testing.T) (up func()) {
	r.set(true, nil)
	return func() { r.set(false, nil) }
}

// hang takes connections and does nothing with them.
func (r *receiver) hang(t *testing.T) (release func()) {
	held := make(chan struct{})
	r.set(false, held)
	release = sync.OnceFunc(func() {
		r.set(false, nil)
		close(held)
	})
	t.Cleanup(release)
	return release
}

func (r *receiver) set(closing bool, held chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing, r.held = closing, held
}

func (r *receiver) mode() (closing bool, held chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing, r.held
}

func (r *receiver) read(conn net.Conn) {
	defer conn.Close()
	switch closing, held := r.mode(); {
	case closing:
		return
	case held != nil:
		<-held
		return
	}
	data, err := io.ReadAll(conn)
	if err != nil {
		return // cut off: nothing of it counts
	}
	take := func(res *parser.Result) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if res.Error != nil {
			r.errs = append(r.errs, res.Error)
			return
		}
		r.messages = append(r.messages, res.Message.(*rfc5424.SyslogMessage))
	}
	if r.framing == Newline {
		nontransparent.NewParser(parser.WithListener(take)).Parse(bytes.NewReader(data))
	} else {
		octetcounting.NewParser(parser.WithListener(take), parser.WithMaxMessageLength(1<<20)).Parse(bytes.NewReader(data))
	}
}

// taken returns the messages with the id.
func (r *receiver) taken(t *testing.T, id string) (messages []*rfc5424.SyslogMessage) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.errs...); err != nil {
		t.Error(err)
	}
	for _, m := range r.messages {
		if *m.MsgID == id {
			messages = append(messages, m)
		}
	}
	return messages
}

func bodies[T any](t *testing.T, messages []*rfc5424.SyslogMessage) (all []*T) {
	t.Helper()
	for _, m := range messages {
		v := new(T)
		if err := json.Unmarshal([]byte(*m.Message), v); err != nil {
			t.Errorf("%q: %v", *m.Message, err)
		}
		all = append(all, v)
	}
	return all
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func configured(address string) Config {
	c := DefaultConfig()
	c.Address, c.Transport, c.MaxMessageBytes = address, TCP, 1<<16
	return c
}

func open(t *testing.T, c Config) *Sink {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	for _, framing := range []string{OctetCounting, Newline} {
		t.Run(framing, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				r := receive(t, listen(t), framing)
				return sinktest.Target{
					Open: func(t *testing.T) sinks.Sink {
						c := configured(r.listener.Addr().String())
						c.Framing = framing
						return open(t, c)
					},
					Received:   func(t *testing.T) []*alert.Alert { return bodies[alert.Alert](t, r.taken(t, "alert")) },
					BlindSpots: func(t *testing.T) []*alert.BlindSpot { return bodies[alert.BlindSpot](t, r.taken(t, "blind_spot")) },
					Down:       r.down,
					Hang:       r.hang,
				}
			})
		})
	}
}

func TestHead(t *testing.T) {
	r := receive(t, listen(t), OctetCounting)
	c := configured(r.listener.Addr().String())
	c.Facility, c.Hostname, c.AppName = "local3", "detector.example", "watch"
	a := sinktest.Alert(1, 2)
	a.Entity.ID, a.Rule.Severity = "a\"b\\c]d\ne", alert.Critical
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{a}); err != nil {
		t.Fatal(err)
	}
	m := r.taken(t, "alert")[0]
	if *m.Facility != 19 || *m.Severity != 2 || *m.Hostname != "detector.example" || *m.Appname != "watch" || m.ProcID != nil {
		t.Errorf("head %+v", m)
	}
	if !m.Timestamp.Equal(a.EmittedAt.Std()) {
		t.Errorf("time %v", m.Timestamp)
	}
	params := (*m.StructuredData)[structured]
	for name, want := range map[string]string{"id": a.ID, "version": "2", "state": string(a.State), "rule": a.Rule.ID, "entity_id": `a"b\c]d e`} {
		if got := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\]`, `]`).Replace(params[name]); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
}

func TestLongAlertsLoseEvidence(t *testing.T) {
	r := receive(t, listen(t), OctetCounting)
	c := configured(r.listener.Addr().String())
	c.MaxMessageBytes = 8192
	a := sinktest.Alert(1, 1)
	one := a.Evidence[0]
	a.Evidence = nil
	for i := range 10 {
		e := one
		e.Path, e.RequestID = "/"+strings.Repeat("x", 1500), string(rune('a'+i))
		a.Evidence = append(a.Evidence, e)
	}
	huge := sinktest.Alert(2, 1)
	huge.Summary = strings.Repeat("y", 9000)
	err := open(t, c).Deliver(t.Context(), []*alert.Alert{a, huge, sinktest.Alert(3, 1)})
	var partial *sinks.PartialError
	if !errors.As(err, &partial) || len(partial.Refused) != 1 || partial.Refused[0].Index != 1 || len(partial.Retry) != 0 {
		t.Fatalf("the alert that cannot be cut: %v", err)
	}
	got := bodies[alert.Alert](t, r.taken(t, "alert"))
	if len(got) != 2 || len(got[0].Evidence) == 0 || len(got[0].Evidence) >= 10 || got[0].Evidence[0].RequestID != "a" {
		t.Fatalf("%d alerts came: %+v", len(got), got)
	}
	if last := got[0].Evidence[len(got[0].Evidence)-1]; len(got[0].Evidence) > 1 && last.RequestID != "j" {
		t.Errorf("the end of the evidence is %q", last.RequestID)
	}
	if len(a.Evidence) != 10 {
		t.Error("the alert itself was cut")
	}
}

// TestHostileAlertsAreShortened fills everything that a caller of the API controls: the alert comes all the same.
func TestHostileAlertsAreShortened(t *testing.T) {
	for _, format := range []string{JSON, CEF} {
		r := receive(t, listen(t), OctetCounting)
		c := configured(r.listener.Addr().String())
		c.Format, c.MaxMessageBytes = format, 2048
		a := sinktest.Alert(1, 1)
		long := strings.Repeat("=\\", 80)
		for kind := range a.Related {
			for range 10 {
				a.Related[kind] = append(a.Related[kind], long)
			}
		}
		a.Observed.Detail = map[string]any{"usual_values": strings.Repeat(long, 10)}
		for i := range a.Evidence {
			e := &a.Evidence[i]
			e.Path, e.Route, e.UserAgent, e.RequestID = long, long, long, long
		}
		if err := open(t, c).Deliver(t.Context(), []*alert.Alert{a}); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		m := r.taken(t, "alert")
		if len(m) != 1 || !strings.Contains(*m[0].Message, a.ID) || !strings.Contains(*m[0].Message, "mobile-app-1 read") {
			t.Errorf("%s: %d messages, %s", format, len(m), *m[0].Message)
		}
	}
}

// TestClosedEarly holds what a receiver has closed before reading it for undelivered, however the ends of the connection meet.
func TestClosedEarly(t *testing.T) {
	r := receive(t, listen(t), OctetCounting)
	s := open(t, configured(r.listener.Addr().String()))
	r.down(t)
	for range 100 {
		if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err == nil {
			t.Fatal("delivered to a receiver that has read nothing")
		}
	}
}

// TestUnconfirmed holds a batch for undelivered when the receiver does not read to the end, or dies.
func TestUnconfirmed(t *testing.T) {
	l := listen(t)
	release := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				<-release
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(release)
		done.Wait()
	})
	c := configured(l.Addr().String())
	c.Timeout = 100 * time.Millisecond
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); !errors.Is(err, errUnconfirmed) {
		t.Errorf("a receiver that never closes: %v", err)
	}
	c.Confirm = false
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err != nil {
		t.Errorf("without confirmation: %v", err)
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	r := receive(t, tls.NewListener(listen(t), &tls.Config{Certificates: web.TLS.Certificates}), OctetCounting)
	c := configured(r.listener.Addr().String())
	c.Transport = TLS
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	c.TLS.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(c.TLS.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(2, 1)}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.taken(t, "alert")); n != 2 {
		t.Errorf("%d messages", n)
	}
	c.TLS.ServerName = "other.example"
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err == nil {
		t.Error("a certificate for another name is taken")
	}
}

func TestUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := configured(conn.LocalAddr().String())
	c.Transport, c.MaxMessageBytes = UDP, 8192
	if err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, _, err := conn.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rfc5424.NewMachine().Parse(b[:n]); err != nil {
		t.Errorf("%q: %v", b[:n], err)
	}
}

func TestConfig(t *testing.T) {
	valid := DefaultConfig()
	valid.Address = "siem.example:6514"
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"is not host:port":         func(c *Config) { c.Address = "siem" },
		`transport is "http"`:      func(c *Config) { c.Transport = "http" },
		`format is "xml"`:          func(c *Config) { c.Format = "xml" },
		`framing is ""`:            func(c *Config) { c.Framing = "" },
		`facility is "local8"`:     func(c *Config) { c.Facility = "local8" },
		"transport is not tls":     func(c *Config) { c.Transport, c.TLS.CAFile = TCP, "ca.pem" },
		"cert_file and key_file":   func(c *Config) { c.TLS.CertFile = "cert.pem" },
		"hostname must be":         func(c *Config) { c.Hostname = "a b" },
		"app_name must be":         func(c *Config) { c.AppName = strings.Repeat("x", 49) },
		"max_message_bytes is 100": func(c *Config) { c.MaxMessageBytes = 100 },
		"a datagram takes":         func(c *Config) { c.Transport, c.MaxMessageBytes = UDP, 1<<16 },
		"timeout is 0s":            func(c *Config) { c.Timeout = 0 },
	} {
		c := valid
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
