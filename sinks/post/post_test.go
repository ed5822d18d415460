package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
)

func items(n, size int) (all []Item) {
	for i := range n {
		all = append(all, Item{Index: i, Data: []byte(strings.Repeat("x", size))})
	}
	return all
}

func TestRequestsFillTheLimitsExactly(t *testing.T) {
	f := Format{Open: "[", Separator: ",", Close: "]", MaxItems: 4, MaxBytes: 34}
	for _, c := range []struct {
		n, size int
		want    []int
	}{
		{1, 32, []int{1}}, {3, 10, []int{3}}, {3, 11, []int{2, 1}}, {9, 1, []int{4, 4, 1}}, {2, 99, []int{1, 1}},
	} {
		var sent []int
		err := Deliver(t.Context(), items(c.n, c.size), nil, f, func(_ context.Context, items []Item) error {
			sent = append(sent, len(items))
			if n := len(f.Join(items)); n > f.MaxBytes && len(items) > 1 {
				t.Errorf("a request has %d bytes", n)
			}
			return nil
		})
		if err != nil || !slices.Equal(sent, c.want) {
			t.Errorf("%d items of %d bytes: requests of %v, want %v; %v", c.n, c.size, sent, c.want, err)
		}
	}
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	f := Format{Open: "[", Close: "]", MaxBytes: 12}
	got, refused := Encode([]int{1, 10, 11, -1, 0}, f, func(n int) ([]byte, error) {
		switch {
		case n < 0:
			return nil, errors.New("no form")
		case n == 0:
			return nil, nil
		}
		return []byte(strings.Repeat("x", n)), nil
	})
	if len(got) != 2 || got[1].Index != 1 || len(refused) != 2 || refused[0].Index != 2 || refused[1].Index != 3 {
		t.Errorf("%v, %v", got, refused)
	}
}

// A request that is refused as a whole is sent in halves, in order, until only the bad record is left.
func TestRefusedRequestsAreHalved(t *testing.T) {
	var taken []int
	err := Deliver(t.Context(), items(8, 1), nil, Format{MaxBytes: 100}, func(_ context.Context, items []Item) error {
		for _, it := range items {
			if it.Index == 5 {
				return &sinks.RefusedError{Err: errors.New("bad")}
			}
		}
		for _, it := range items {
			taken = append(taken, it.Index)
		}
		return nil
	})
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Refused) != 1 || partial.Refused[0].Index != 5 || len(partial.Retry) > 0 {
		t.Errorf("%+v", partial)
	}
	if !slices.Equal(taken, []int{0, 1, 2, 3, 4, 6, 7}) {
		t.Errorf("taken: %v", taken)
	}
}

// After a failure that may pass nothing more is sent: what is left comes again, what was taken does not.
func TestNothingIsSentAfterAFailure(t *testing.T) {
	failure := &sinks.RetryError{After: time.Minute, Err: errors.New("busy")}
	for name, c := range map[string]struct {
		fail  error
		retry []int
		sent  int
	}{
		"a request":                {failure, []int{2, 3, 4, 5}, 2},
		"one of a request":         {&sinks.PartialError{Retry: []int{1}, After: time.Minute, Err: failure}, []int{3, 4, 5}, 2},
		"the first half of halves": {&sinks.RefusedError{Err: errors.New("bad")}, []int{2, 3, 4, 5}, 3},
	} {
		sent := 0
		err := Deliver(t.Context(), items(6, 1), nil, Format{MaxItems: 2, MaxBytes: 100}, func(_ context.Context, items []Item) error {
			switch sent++; sent {
			case 2:
				return c.fail
			case 3:
				return failure
			}
			return nil
		})
		partial, ok := errors.AsType[*sinks.PartialError](err)
		if !ok || !slices.Equal(partial.Retry, c.retry) || partial.After != time.Minute || sent != c.sent || partial.Err == nil {
			t.Errorf("%s: %+v after %d requests", name, partial, sent)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 10:05:00 GMT": 5 * time.Minute, "Sun, 22 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestStatuses(t *testing.T) {
	var refused []int
	for status := 300; status < 600; status++ {
		err := Answer{Status: status, client: &Client{}}.Err()
		if _, retry := errors.AsType[*sinks.RetryError](err); !retry {
			refused = append(refused, status)
		}
	}
	if want := []int{400, 413, 422}; !slices.Equal(refused, want) {
		t.Errorf("refused: %v, want %v", refused, want)
	}
}

func TestExcerptIsShortAndClean(t *testing.T) {
	c := &Client{secrets: []string{"hunter2"}}
	body := "line\none\x1b[31m \xff hunter2 " + strings.Repeat("☂", 300)
	text := Answer{Status: 500, Body: []byte(body), client: c, host: "h"}.Err().Error()
	if !strings.HasPrefix(text, "h answered 500 Internal Server Error: line one [31m ? *** ☂") || len(text) > 400 || !strings.HasSuffix(text, "☂…") {
		t.Errorf("%q", text)
	}
	cut := strings.Repeat("a", maxExcerpt-3) + "hunter2"
	if text := (Answer{Status: 500, Body: []byte(cut), client: c}).Err().Error(); strings.Contains(text, "hun") {
		t.Errorf("half a secret shows: %q", text)
	}
}

// A proxy, too, can show what it was told.
func TestCredentialsOfTheProxyAreSecret(t *testing.T) {
	config := DefaultConfig()
	config.URL, config.Proxy = "https://h", "http://me:hunter%202@proxy"
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter 2", "me:hunter%202", "bWU6aHVudGVyIDI="} {
		if got := c.Clean("x " + secret + " y"); got != "x *** y" {
			t.Errorf("%s shows: %s", secret, got)
		}
	}
}

// serve returns a client of a server behind TLS.
func serve(t *testing.T, set func(*httptest.Server), h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	set(s)
	s.StartTLS()
	t.Cleanup(s.Close)
	c := DefaultConfig()
	c.URL, c.Proxy, c.TLS.CAFile = s.URL, "-", filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(c.TLS.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	ok := func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }
	for version, spoken := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS12: true, tls.VersionTLS11: false} {
		client := serve(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		}, ok)
		if _, err := client.Post(t.Context(), Request{}); (err == nil) != spoken {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// The server lets only the certificate of its own in, which is enough to see that one is shown.
func TestClientCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: s.Certificate().Raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := DefaultConfig()
	c.URL, c.Proxy, c.TLS.CAFile = s.URL, "-", filepath.Join(dir, "cert.pem")
	for _, certificate := range []string{"", "cert.pem"} {
		if certificate != "" {
			c.TLS.CertFile, c.TLS.KeyFile = filepath.Join(dir, certificate), filepath.Join(dir, "key.pem")
		}
		client, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Post(t.Context(), Request{}); (err == nil) != (certificate != "") {
			t.Errorf("with certificate %q: %v", certificate, err)
		}
	}
	c.TLS.KeyFile = filepath.Join(dir, "none.pem")
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("without a key: %v", err)
	}
}

// A connection over which an answer failed to come is not used again.
func TestSilentConnectionIsLeft(t *testing.T) {
	var opened atomic.Int32
	silent := make(chan struct{})
	var arrived func()
	client := serve(t, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
	}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			arrived()
			<-silent
		}
	})
	for _, path := range []string{"/", "/", "/silent", "/", "/"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		arrived = cancel
		if _, err := client.Post(ctx, Request{Path: path}); (err != nil) != (path == "/silent") {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
	close(silent)
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	t.Setenv("NO_PROXY", "inside.example.com")
	config := DefaultConfig()
	transport, err := config.transport()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"outside.example.com": "http://proxy.example.com:3128", "inside.example.com": ""} {
		u, err := transport.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: host}})
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: proxy %q, want %q; %v", host, got, want, err)
		}
	}
	config.Proxy = "-"
	if transport, err = config.transport(); err != nil || transport.Proxy != nil {
		t.Error("there is a proxy although none is wanted")
	}
}

func TestJoin(t *testing.T) {
	for _, c := range [][3]string{
		{"https://h", "", "https://h"},
		{"https://h/", "/_bulk", "https://h/_bulk"},
		{"https://h/base/", "/a:b?x=1", "https://h/base/a:b?x=1"},
		{"https://h/a%2Fb?k=v", "/c?x=1", "https://h/a%2Fb/c?k=v&x=1"},
	} {
		base, err := url.Parse(c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := join(base, c[1]); err != nil || got.String() != c[2] {
			t.Errorf("%s and %s are %v, want %s; %v", c[0], c[1], got, c[2], err)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.URL = "" }, "url is missing"},
		{func(c *Config) { c.URL = "splunk:8088" }, "url must be https://"},
		{func(c *Config) { c.URL = "https://u:hunter2@h" }, "user or password"},
		{func(c *Config) { c.URL = "https://h\x7f/hunter2" }, "url must be https://"},
		{func(c *Config) { c.URL = "http://10.0.0.1/hunter2" }, "plaintext: true"},
		{func(c *Config) { c.Proxy = "socks5://hunter2:1" }, "proxy must be"},
		{func(c *Config) { c.Proxy = "hunter2" }, "proxy must be"},
		{func(c *Config) { c.DialTimeout = 0 }, "dial_timeout"},
		{func(c *Config) { c.TLS.KeyFile = "k" }, "need each other"},
	} {
		config := DefaultConfig()
		config.URL = "https://h"
		if err := config.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(&config)
		err := config.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error is %v, want one with %q and no secret", err, c.want)
		}
	}
	config := DefaultConfig()
	for _, address := range []string{"http://localhost:1", "http://127.0.0.1:1/x", "http://[::1]:1", "https://h:1/x?y=z"} {
		if config.URL = address; config.Validate() != nil {
			t.Errorf("%s: %v", address, config.Validate())
		}
	}
	config.URL, config.Plaintext = "http://10.0.0.1", true
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
}

// pipes listens on connections in memory, so that timers can be tested.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		issued := 0
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			issued++
			fmt.Fprintf(w, `{"access_token":"t%d","expires_in":%s}`, issued, [...]string{"3600", `"3600"`}[issued%2])
		})}
		go server.Serve(p)
		defer server.Close()
		base, _ := url.Parse("http://issuer")
		transport := &http.Transport{DialContext: p.dial}
		client := &Client{base: base, http: &http.Client{Transport: transport}}
		defer client.Close()
		tokens := NewTokens(client, "http://issuer/token", func() (url.Values, error) { return url.Values{}, nil })
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "t1"}, {57 * time.Minute, "t1"}, {2 * time.Minute, "t2"}, {57 * time.Minute, "t2"}, {2 * time.Minute, "t3"}} {
			time.Sleep(step.after)
			if got, err := tokens.Get(t.Context()); err != nil || got != step.want {
				t.Errorf("after %v: %q, %v; want %s", step.after, got, err, step.want)
			}
		}
		if got := client.Clean("t3"); got != "***" {
			t.Errorf("the token shows: %s", got)
		}
		tokens.Drop()
		if got, err := tokens.Get(t.Context()); err != nil || got != "t4" {
			t.Errorf("after it was dropped: %q, %v", got, err)
		}
	})
}
