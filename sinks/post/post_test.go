package post

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if want := []int{400, 406, 411, 412, 413, 415, 417, 422, 431, 501}; !slices.Equal(refused, want) {
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

// serve returns a client of a server behind TLS.
func serve(t *testing.T, config *tls.Config, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = config
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
	if answer, err := serve(t, &tls.Config{MaxVersion: tls.VersionTLS12}, ok).Post(t.Context(), Request{}); err != nil || answer.Status != 200 {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := serve(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ok).Post(t.Context(), Request{}); err == nil {
		t.Error("TLS 1.1 is spoken")
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
			fmt.Fprintf(w, `{"access_token":"t%d","expires_in":3600}`, issued)
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
