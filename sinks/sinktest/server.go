package sinktest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Reply is an answer of an HTTP server.
type Reply struct {
	Status int
	Header map[string]string
	Body   string
}

// Store is what the fake of a destination has taken.
type Store struct {
	Alerts     []*alert.Alert
	BlindSpots []*alert.BlindSpot
}

// Handler answers one request as the vendor documents it and refuses what the vendor would refuse. Calls come one at a time;
// the body is as it was before compression.
type Handler func(s *Store, r *http.Request, body []byte) Reply

// Endpoint is where a sink under test finds its destination.
type Endpoint struct {
	URL    string // https, without a path
	CAFile string
	Proxy  string // "-": none
}

// server is a strict fake behind TLS whose answers a test can replace.
type server struct {
	*httptest.Server
	endpoint Endpoint
	open     atomic.Int32 // connections

	mu       sync.Mutex
	handle   Handler
	counts   func(*http.Request) bool // which requests faults are for
	store    Store
	faults   []fault // for the requests to come, one each; used up from the front
	requests int
	refused  []string // answers of the fake that were no success
	poison   string   // id of an alert whose requests are refused as a whole
	refusal  Reply    // for them
}

// fault is what goes wrong with one request.
type fault struct {
	reply Reply // in place of the fake's; status 0: the fake's
	lose  bool  // the answer is lost after the fake has taken the request
	echo  bool  // the answer repeats the request
}

func newServer(t *testing.T, h HTTP) *server {
	t.Helper()
	s := &server{handle: h.New(), counts: h.Delivers}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed:
			s.open.Add(-1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.endpoint = Endpoint{URL: s.URL, CAFile: ca, Proxy: "-"}
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.next(r)
	reply := f.reply
	if reply.Status == 0 {
		before := len(s.store.Alerts)
		reply = s.handle(&s.store, r, body)
		if poisoned := func(a *alert.Alert) bool { return a.ID == s.poison }; slices.ContainsFunc(s.store.Alerts[before:], poisoned) {
			s.store.Alerts, reply = s.store.Alerts[:before], s.refusal
		}
		if reply.Status/100 != 2 {
			s.refused = append(s.refused, fmt.Sprintf("%s: %d %s", r.URL.Path, reply.Status, reply.Body))
		}
	}
	if f.lose {
		panic(http.ErrAbortHandler)
	}
	if f.echo {
		reply.Body = fmt.Sprint(reply.Body, r.URL, r.Header, string(body))
	}
	for name, value := range reply.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(reply.Status)
	io.WriteString(w, reply.Body)
}

func (s *server) next(r *http.Request) (f fault) {
	if s.counts != nil && !s.counts(r) {
		return fault{}
	}
	s.requests++
	if len(s.faults) > 0 {
		f, s.faults = s.faults[0], s.faults[1:]
	}
	return f
}

// fail makes the next requests go wrong, one each.
func (s *server) fail(faults ...fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

func (s *server) alerts() []*alert.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*alert.Alert(nil), s.store.Alerts...)
}

func (s *server) blindSpots() []*alert.BlindSpot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*alert.BlindSpot(nil), s.store.BlindSpots...)
}

// complaints returns what the fake has refused.
func (s *server) complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.refused...)
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Encoding") == "" {
		return body, err
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "gzip" {
		return nil, fmt.Errorf("content encoding %q", encoding)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// tunnel is an HTTP proxy that wants a password and leads every CONNECT to one place.
type tunnel struct {
	*httptest.Server
	to string

	mu   sync.Mutex
	seen []string // targets that were asked for
}

const tunnelUser, tunnelPassword = "proxy-user", "proxy-pass-4f9c"

func newTunnel(t *testing.T, to string) *tunnel {
	p := &tunnel{to: to}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// address returns the proxy as an option names it.
func (p *tunnel) address() string {
	return strings.Replace(p.URL, "http://", "http://"+tunnelUser+":"+tunnelPassword+"@", 1)
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	credentials := "Basic " + base64.StdEncoding.EncodeToString([]byte(tunnelUser+":"+tunnelPassword))
	if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != credentials {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.seen = append(p.seen, r.Host)
	p.mu.Unlock()
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		there.Close()
		return
	}
	io.WriteString(here, "HTTP/1.1 200 Connected\r\n\r\n")
	go func() {
		defer here.Close()
		io.Copy(here, there)
	}()
	go func() {
		defer there.Close()
		io.Copy(there, here)
	}()
}

func (p *tunnel) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...)
}

// Serve answers requests on the loopback address, without TLS, until the test ends. Calls of answer come one at a time.
func Serve(t *testing.T, answer func(r *http.Request, body []byte) Reply) (url string) {
	t.Helper()
	s := &server{handle: func(_ *Store, r *http.Request, body []byte) Reply { return answer(r, body) }}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s.URL
}
