package push_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/ingest/push"
)

// topic is a Writer that keeps what it is given, or fails.
type topic struct {
	mu      sync.Mutex
	records [][]byte
	fail    error
	hold    chan struct{} // not nil: writes wait for it
	waiting chan struct{}
}

func (w *topic) WriteMessages(ctx context.Context, messages ...kafka.Message) error {
	if w.hold != nil {
		w.waiting <- struct{}{}
		select {
		case <-w.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	for _, m := range messages {
		w.records = append(w.records, m.Value)
	}
	return nil
}

const (
	token     = "a token of some length"
	maxRecord = 300_000
)

type receiver struct {
	*push.Receiver
	url      string
	topic    *topic
	registry *prometheus.Registry
	log      *bytes.Buffer
}

func listen(t *testing.T, change func(*push.Config)) *receiver {
	t.Helper()
	c := push.DefaultConfig()
	c.Listen, c.Token = "127.0.0.1:0", token
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &receiver{topic: &topic{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	var err error
	if r.Receiver, err = push.Listen(push.Options{Config: c, MaxRecord: maxRecord, Writer: r.topic, Registerer: r.registry, Log: slog.New(slog.NewTextHandler(r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
	})
	r.url = "http://" + r.Address() + push.Path
	return r
}

type request struct {
	method, path, token, encoding string
	body                          io.Reader
}

func (r *receiver) send(t *testing.T, q request) *http.Response {
	t.Helper()
	url := r.url
	if q.path != "" {
		url = strings.TrimSuffix(url, push.Path) + q.path
	}
	req, err := http.NewRequestWithContext(t.Context(), q.method, url, q.body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", q.token)
	if q.encoding != "" {
		req.Header.Set("Content-Encoding", q.encoding)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func post(body string) request {
	return request{method: "POST", token: "Bearer " + token, body: strings.NewReader(body)}
}

func TestAcknowledgesWhatTheTopicHas(t *testing.T) {
	r := listen(t, nil)
	bodies := []string{`{"a":1}`, "[{\"a\":1},\n{\"a\":2}]", "{\"a\":1}\n{\"a\":2}\n", "{\n  \"a\": 1\n}"}
	for _, body := range bodies {
		if resp := r.send(t, post(body)); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%q: %s", body, resp.Status)
		}
	}
	want := []string{bodies[0], bodies[1], "{\"a\":1}\n{\"a\":2}", bodies[3]}
	for i, record := range r.topic.records {
		if i >= len(want) || string(record) != want[i] {
			t.Errorf("record %d: %q", i, record)
		}
	}
	if len(r.topic.records) != len(want) {
		t.Errorf("%d records, not %d", len(r.topic.records), len(want))
	}
}

func TestCompressedBodiesStayAsTheyAre(t *testing.T) {
	r := listen(t, nil)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	fmt.Fprint(w, strings.Repeat("{\"a\":1}\n", 1000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sent := append(b.Bytes(), '\n', '\n') // what looks like an end of lines
	q := post("")
	q.body, q.encoding = bytes.NewReader(sent), "gzip"
	if resp := r.send(t, q); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
	if len(r.topic.records) != 1 || !bytes.Equal(r.topic.records[0], sent) {
		t.Error("the body was changed on its way")
	}
}

func TestLargeBodiesOfLinesAreCut(t *testing.T) {
	r := listen(t, nil)
	line := `{"a":"` + strings.Repeat("x", 1000) + `"}`
	if resp := r.send(t, post(strings.Repeat(line+"\r\n", 2000))); resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
	lines := 0
	for _, record := range r.topic.records {
		if len(record) > 256<<10 {
			t.Errorf("a record of %d bytes", len(record))
		}
		for part := range strings.Lines(string(record)) {
			if lines++; strings.TrimSpace(part) != line {
				t.Fatalf("line %d is %q", lines, part)
			}
		}
	}
	if lines != 2000 || len(r.topic.records) < 8 {
		t.Errorf("%d lines in %d records", lines, len(r.topic.records))
	}
}

// TestRefusesWhatWouldNotBeRead sends a record that decoders reject: it must not be answered as if it were safe.
func TestRefusesWhatWouldNotBeRead(t *testing.T) {
	r := listen(t, nil)
	large := `{"a":"` + strings.Repeat("x", maxRecord) + `"}`
	for body, code := range map[string]int{large: http.StatusRequestEntityTooLarge, "{}\n" + large: http.StatusRequestEntityTooLarge, large[:maxRecord]: http.StatusNoContent} {
		if resp := r.send(t, post(body)); resp.StatusCode != code {
			t.Errorf("%d bytes: %s, not %d", len(body), resp.Status, code)
		}
	}
	if len(r.topic.records) != 1 {
		t.Errorf("%d records came through", len(r.topic.records))
	}
}

func TestRefuses(t *testing.T) {
	r := listen(t, func(c *push.Config) { c.MaxBodyBytes = 2000 })
	big := strings.Repeat("x", 2001)
	for _, c := range []struct {
		name string
		q    request
		code int
	}{
		{"another method", request{method: "GET", token: "Bearer " + token}, http.StatusMethodNotAllowed},
		{"no token", request{method: "POST", body: strings.NewReader("{}")}, http.StatusUnauthorized},
		{"a wrong token", request{method: "POST", token: "Bearer " + token + "x", body: strings.NewReader("{}")}, http.StatusUnauthorized},
		{"another scheme", request{method: "POST", token: "Basic " + token, body: strings.NewReader("{}")}, http.StatusUnauthorized},
		{"a large body", post(big), http.StatusRequestEntityTooLarge},
		{"a large body that does not say so", request{method: "POST", token: "Bearer " + token, body: iotest.OneByteReader(strings.NewReader(big))}, http.StatusRequestEntityTooLarge},
		{"nothing", post(""), http.StatusBadRequest},
		{"nothing but spaces", post(" \r\n\t\n"), http.StatusBadRequest},
		{"another encoding", request{method: "POST", token: "Bearer " + token, encoding: "br", body: strings.NewReader("{}")}, http.StatusUnsupportedMediaType},
		{"another path", request{method: "POST", path: "/", token: "Bearer " + token, body: strings.NewReader("{}")}, http.StatusNotFound},
	} {
		if resp := r.send(t, c.q); resp.StatusCode != c.code {
			t.Errorf("%s: %s, not %d", c.name, resp.Status, c.code)
		}
	}
	if len(r.topic.records) > 0 {
		t.Errorf("%q came through", r.topic.records)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestTopicThatFails(t *testing.T) {
	r := listen(t, nil)
	for _, c := range []struct {
		fail  error
		code  int
		retry bool
	}{
		{errors.New("no leader"), http.StatusServiceUnavailable, true},
		{kafka.WriteErrors{nil, kafka.MessageSizeTooLarge}, http.StatusRequestEntityTooLarge, false},
		{kafka.MessageTooLargeError{}, http.StatusRequestEntityTooLarge, false},
		{errors.New("no leader"), http.StatusServiceUnavailable, true},
		{nil, http.StatusNoContent, false},
	} {
		r.topic.fail = c.fail
		resp := r.send(t, post("{}"))
		if resp.StatusCode != c.code || (resp.Header.Get("Retry-After") != "") != c.retry {
			t.Errorf("%v: %s, Retry-After %q", c.fail, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	if n := strings.Count(r.log.String(), "does not take"); n != 1 {
		t.Errorf("the same trouble is logged %d times", n)
	}
	if got := testutil.ToFloat64(gather(t, r.registry, "gatewatch_push_records_total")); got != 1 {
		t.Errorf("%v records counted", got)
	}
}

func gather(t *testing.T, reg *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "copy"})
			g.Set(f.GetMetric()[0].GetCounter().GetValue())
			return g
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

// TestFull fills the receiver with requests that wait for the topic: the next one is told to come back, and none is lost.
func TestFull(t *testing.T) {
	r := listen(t, func(c *push.Config) { c.MaxBodyBytes, c.MaxInFlightBytes = 4096, 10_000 })
	r.topic.hold, r.topic.waiting = make(chan struct{}), make(chan struct{})
	body := `{"a":"` + strings.Repeat("x", 4000) + `"}`
	codes := make(chan int, 2)
	for range 2 {
		go func() {
			req, _ := http.NewRequest("POST", r.url, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				codes <- 0
				return
			}
			_ = resp.Body.Close()
			codes <- resp.StatusCode
		}()
		<-r.topic.waiting
	}
	resp := r.send(t, post(body))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the limit: %s", resp.Status)
	}
	close(r.topic.hold)
	for range 2 {
		if code := <-codes; code != http.StatusNoContent {
			t.Errorf("a request within the limit: %d", code)
		}
	}
	go func() { <-r.topic.waiting }()
	if resp := r.send(t, post(body)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("once there is room again: %s", resp.Status)
	}
	if len(r.topic.records) != 3 {
		t.Errorf("%d records", len(r.topic.records))
	}
}

func TestConfig(t *testing.T) {
	valid := push.DefaultConfig()
	valid.Listen, valid.Token = ":8088", token
	for name, change := range map[string]func(*push.Config){
		"token or tls.client_ca_file is needed": func(c *push.Config) { c.Token = "" },
		"token has 5 characters":                func(c *push.Config) { c.Token = "short" },
		"is not host:port":                      func(c *push.Config) { c.Listen = "8088" },
		"listen is missing":                     func(c *push.Config) { c.Listen = "" },
		"must be given together":                func(c *push.Config) { c.TLS.CertFile = "cert.pem" },
		"client_ca_file needs":                  func(c *push.Config) { c.TLS.ClientCAFile = "ca.pem" },
		"max_body_bytes is 5":                   func(c *push.Config) { c.MaxBodyBytes = 5 },
		"max_in_flight_bytes is 1024":           func(c *push.Config) { c.MaxInFlightBytes = 1024 },
		"timeout is 1ms":                        func(c *push.Config) { c.Timeout = 1e6 },
	} {
		c := valid
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
	if err := errors.Join(valid.Validate(), push.DefaultConfig().Validate()); err != nil {
		t.Error(err)
	}
}
