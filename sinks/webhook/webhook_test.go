package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const (
	secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	older  = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	token  = "token-8d1f0a"
)

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink {
			c := DefaultConfig()
			c.URL, c.TLS.CAFile, c.Proxy = e.URL+"/hooks/path-7c6e?key=query-91ab", e.CAFile, e.Proxy
			c.Secret, c.PreviousSecret, c.Token = secret, older, token
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		New:        func() sinktest.Handler { return (&receiver{seen: map[string]bool{}}).serve },
		Refuse:     []sinktest.Reply{{Status: 400}, {Status: 422}},
		Wait:       []sinktest.Reply{{Status: 410}},
		MaxItem:    format.MaxBytes,
		BlindSpots: true, Deduplicates: true,
		Secrets: []string{secret, strings.TrimPrefix(secret, prefix), older, token, "path-7c6e", "query-91ab"},
	})
}

// receiver does what Standard Webhooks asks of one: it verifies, and takes each id once.
type receiver struct{ seen map[string]bool }

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
	var e struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := strict(body, &e); err != nil || e.Timestamp.IsZero() {
		return sinktest.Reply{Status: 400, Body: "bad event"}
	}
	if err := take(s, id, e.Type, e.Data); err != nil {
		return sinktest.Reply{Status: 400, Body: err.Error()}
	}
	f.seen[id] = true
	return sinktest.Reply{Status: 204}
}

func take(s *sinktest.Store, id, kind string, data []byte) error {
	if strings.HasPrefix(kind, "alert.") {
		a := &alert.Alert{}
		s.Alerts = append(s.Alerts, a)
		return strict(data, a)
	}
	b := &alert.BlindSpot{}
	s.BlindSpots = append(s.BlindSpots, b)
	return strict(data, b)
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
	c.URL, c.Secret, c.PreviousSecret = "https://example.com/hook#here", "hunter2hunter2", "whsec_c2hvcnQ="
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"fragment", "\nsecret must be whsec_", "previous_secret must be whsec_"} {
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
