package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/ocsf/ocsftest"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const (
	secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	older  = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	token  = "token-8d1f0a"
)

func TestConformance(t *testing.T) {
	conform(t, ocsf.JSON, sinktest.HTTP{New: func() sinktest.Handler { return newReceiver(takeEvent).serve }, BlindSpots: true})
}

func TestConformanceOfFindings(t *testing.T) {
	conform(t, ocsf.OCSF, sinktest.HTTP{New: func() sinktest.Handler { return newReceiver(takeFinding).serve }})
}

func conform(t *testing.T, form ocsf.Format, h sinktest.HTTP) {
	t.Helper()
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink {
			c := DefaultConfig()
			c.URL, c.TLS.CAFile, c.Proxy = e.URL+"/hooks/path-7c6e?key=query-91ab", e.CAFile, e.Proxy
			c.Secret, c.PreviousSecret, c.Token, c.Format = secret, older, token, form
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			if !h.BlindSpots {
				return struct{ sinks.Sink }{s} // the suite would wait for blind spots
			}
			return s
		},
		New:        h.New,
		Refuse:     []sinktest.Reply{{Status: 400}, {Status: 422}},
		Wait:       []sinktest.Reply{{Status: 410}},
		AnySuccess: true,
		MaxItem:    1 << 20,
		BlindSpots: h.BlindSpots, Deduplicates: true,
		Secrets: []string{secret, strings.TrimPrefix(secret, prefix), older, token, "path-7c6e", "query-91ab"},
	})
}

// receiver does what Standard Webhooks asks of one: it verifies, and takes each id once.
type receiver struct {
	seen map[string]bool
	take func(s *sinktest.Store, id string, body []byte) error
}

func newReceiver(take func(*sinktest.Store, string, []byte) error) *receiver {
	return &receiver{map[string]bool{}, take}
}

func (f *receiver) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/hooks/path-7c6e" || r.URL.RawQuery != "key=query-91ab":
		return sinktest.Reply{Status: 404}
	case r.Header.Get("Content-Type") != "application/json":
		return sinktest.Reply{Status: 415}
	case r.Header.Get("Authorization") != "Bearer "+token || !signed(r.Header, body):
		return sinktest.Reply{Status: 401}
	}
	id := r.Header.Get("webhook-id")
	if f.seen[id] {
		return sinktest.Reply{Status: 204}
	}
	if err := f.take(s, id, body); err != nil {
		return sinktest.Reply{Status: 400, Body: err.Error()}
	}
	f.seen[id] = true
	return sinktest.Reply{Status: 204}
}

func takeEvent(s *sinktest.Store, _ string, body []byte) error {
	var e struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := strict(body, &e); err != nil {
		return err
	}
	if e.Timestamp.IsZero() {
		return errors.New("no timestamp")
	}
	return takeData(s, e.Type, e.Data)
}

func takeData(s *sinktest.Store, kind string, data []byte) error {
	if strings.HasPrefix(kind, "alert.") {
		a := &alert.Alert{}
		s.Alerts = append(s.Alerts, a)
		return strict(data, a)
	}
	b := &alert.BlindSpot{}
	s.BlindSpots = append(s.BlindSpots, b)
	return strict(data, b)
}

func TestNoBlindSpotsAmongFindings(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++ }))
	defer server.Close()
	for form, want := range map[ocsf.Format]int{ocsf.JSON: 1, ocsf.OCSF: 0} {
		c := DefaultConfig()
		c.URL, c.Secret, c.Format, calls = server.URL, secret, form, 0
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}); err != nil {
			t.Error(err)
		}
		if calls != want {
			t.Errorf("%s: %d calls, want %d", form, calls, want)
		}
	}
}

func takeFinding(s *sinktest.Store, id string, body []byte) error {
	a, err := ocsftest.Read(body)
	if err != nil {
		return err
	}
	if want := a.ID + "." + strconv.Itoa(a.Version); id != want {
		return fmt.Errorf("webhook-id %s, want %s", id, want)
	}
	s.Alerts = append(s.Alerts, a)
	return nil
}

func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// signed verifies as a receiver that still has the older secret.
func signed(h http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	k, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(older, prefix))
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	return slices.Contains(strings.Fields(h.Get("webhook-signature")), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// The signature was computed with openssl dgst -sha256 -mac HMAC.
func TestSignature(t *testing.T) {
	k, _ := key(secret)
	s := &Sink{keys: [][]byte{k}}
	h := s.sign("a.1", time.Unix(1_795_342_800, 0), []byte(`{"type":"alert.open"}`))
	if want := "v1,i270dPSTjN1ashK2IhaoACazo0WcgH6Qk8GGGJnz3as="; h["webhook-signature"] != want {
		t.Errorf("%v, want %s", h, want)
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.URL, c.Secret = "https://example.com/hook", secret
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.URL, c.Secret, c.PreviousSecret, c.Format = "https://example.com/hook#here", "hunter2hunter2", "whsec_c2hvcnQ=", "cef"
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"fragment", "format is \"cef\"", "\nsecret must be whsec_", "previous_secret must be whsec_"} {
		if !strings.Contains("\n"+err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the secret shows")
	}
	if err := DefaultConfig().Validate(); err == nil || !strings.Contains(err.Error(), "secret is missing") {
		t.Errorf("without a secret: %v", err)
	}
}
