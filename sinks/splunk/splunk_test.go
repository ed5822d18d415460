package splunk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const token = "b7d1e6f0-0c4c-4c8f-9b1f-5d6a7e8f9a0b"

func TestConformance(t *testing.T) {
	for _, acknowledge := range []bool{false, true} {
		t.Run(fmt.Sprintf("acknowledge %v", acknowledge), func(t *testing.T) {
			sinktest.RunHTTP(t, sinktest.HTTP{
				Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink { return open(t, e, acknowledge) },
				New:  func() sinktest.Handler { return (&collector{acks: acknowledge, asked: map[int]int{}}).serve },
				Delivers: func(r *http.Request) bool {
					return r.URL.Path == "/services/collector/event"
				},
				Retry:      []sinktest.Reply{said(500, 8), said(503, 9), said(503, 18), said(503, 23), said(429, 26), said(429, 27)},
				Wait:       []sinktest.Reply{said(403, 1), said(401, 2), said(401, 3), said(403, 4), said(400, 7), said(400, 10), said(400, 11), said(400, 21)},
				Refuse:     []sinktest.Reply{said(400, 5), said(400, 6), said(400, 12), said(400, 13), said(400, 15), {Status: 400}},
				MaxItem:    1_000_000,
				BlindSpots: true,
				Secrets:    []string{token},
			})
		})
	}
}

func said(status, code int) sinktest.Reply {
	return sinktest.Reply{Status: status, Body: fmt.Sprintf(`{"text":"said","code":%d}`, code)}
}

func open(t *testing.T, e sinktest.Endpoint, acknowledge bool) *Sink {
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
	c.Token, c.Index, c.Host = token, "security", "gatewatch-1"
	c.Acknowledge, c.AckInterval, c.AckTimeout = acknowledge, time.Millisecond, time.Minute
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collector is Splunk's HTTP Event Collector as its documentation describes it: no partial success, and an acknowledgement is
// told once.
type collector struct {
	acks    bool
	channel string
	asked   map[int]int // how often, by acknowledgement
	next    int
	deaf    int // so many requests are never acknowledged
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (f *collector) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	channel := r.Header.Get("X-Splunk-Request-Channel")
	switch {
	case r.Header.Get("Authorization") == "":
		return said(401, 2)
	case r.Header.Get("Authorization") != "Splunk "+token:
		return said(403, 4)
	case f.acks && channel == "":
		return said(400, 10)
	case f.acks && !uuid.MatchString(channel):
		return said(400, 11)
	case r.URL.Path == "/services/collector/ack":
		return f.acknowledge(r, body)
	case r.URL.Path != "/services/collector/event" || r.Method != http.MethodPost:
		return sinktest.Reply{Status: 404}
	case len(body) > 1_000_000:
		return sinktest.Reply{Status: 413}
	case len(body) == 0:
		return said(400, 5)
	}
	if code := take(s, body); code != 0 {
		return said(400, code)
	}
	if !f.acks {
		return said(200, 0)
	}
	f.next++
	f.channel = channel
	return sinktest.Reply{Status: 200, Body: fmt.Sprintf(`{"text":"Success","code":0,"ackId":%d}`, f.next)}
}

// acknowledge says yes the second time it is asked, and then forgets.
func (f *collector) acknowledge(r *http.Request, body []byte) sinktest.Reply {
	var question struct {
		Acks []int `json:"acks"`
	}
	if !f.acks {
		return said(400, 14)
	}
	if err := strict(body, &question); err != nil || r.URL.Query().Get("channel") == "" {
		return said(400, 6)
	}
	answer := map[int]bool{}
	for _, id := range question.Acks {
		f.asked[id]++
		known := id > f.deaf && id <= f.next && f.channel == r.URL.Query().Get("channel")
		answer[id] = known && f.asked[id] == 2
	}
	text, _ := json.Marshal(map[string]any{"acks": answer})
	return sinktest.Reply{Status: 200, Body: string(text)}
}

// take reads concatenated events; those before a bad one are taken, as Splunk does.
func take(s *sinktest.Store, body []byte) (code int) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	for {
		var e struct {
			Time                            float64
			Host, Source, SourceType, Index string
			Event                           json.RawMessage
		}
		err := d.Decode(&e)
		switch {
		case errors.Is(err, io.EOF):
			return 0
		case err != nil || e.Time < 0:
			return 6
		case len(e.Event) == 0:
			return 12
		case e.Index != "security":
			return 7
		}
		if e.SourceType == "gatewatch:alert" {
			a := &alert.Alert{}
			err = strict(e.Event, a)
			s.Alerts = append(s.Alerts, a)
			if int64(e.Time*1000+0.5) != max(int64(a.DetectedAt), 0) {
				return 6
			}
		} else {
			b := &alert.BlindSpot{}
			err = strict(e.Event, b)
			s.BlindSpots = append(s.BlindSpots, b)
		}
		if err != nil {
			return 6
		}
	}
}

func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// serve makes a sink that reaches a fake without a network.
func serve(t *testing.T, f *collector, acknowledge bool) (*Sink, *sinktest.Store) {
	store := &sinktest.Store{}
	e := sinktest.Endpoint{URL: sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply { return f.serve(store, r, body) }), Proxy: "-"}
	return open(t, e, acknowledge), store
}

func TestWhatIsNotAcknowledgedIsSentAgain(t *testing.T) {
	f := &collector{acks: true, asked: map[int]int{}, deaf: 1}
	s, store := serve(t, f, true)
	s.config.AckTimeout = 20 * time.Millisecond
	batch := []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(2, 1)}
	err := s.Deliver(t.Context(), batch)
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Retry) != 2 || !strings.Contains(err.Error(), "no indexer acknowledged") {
		t.Fatalf("the error is %v", err)
	}
	s.config.AckTimeout = time.Minute
	if err := s.Deliver(t.Context(), batch); err != nil {
		t.Error(err)
	}
	if len(store.Alerts) != 4 {
		t.Errorf("%d alerts arrived, want 2 twice", len(store.Alerts))
	}
}

// A token without acknowledgement takes nothing that would never be acknowledged.
func TestTokenWithoutAcknowledgement(t *testing.T) {
	s, store := serve(t, &collector{}, true)
	err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)})
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Retry) != 1 {
		t.Errorf("the error is %v", err)
	}
	if len(store.Alerts) > 0 {
		t.Error("the alert was sent all the same")
	}
}

// What is taken while acknowledgement has just been switched off comes again once; then everything waits.
func TestTokenLosesAcknowledgement(t *testing.T) {
	f := &collector{acks: true, asked: map[int]int{}}
	s, store := serve(t, f, true)
	if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err != nil {
		t.Fatal(err)
	}
	f.acks = false
	for range 3 {
		err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(2, 1)})
		if partial, ok := errors.AsType[*sinks.PartialError](err); !ok || len(partial.Retry) != 1 {
			t.Errorf("the error is %v", err)
		}
	}
	if len(store.Alerts) != 2 {
		t.Errorf("%d alerts arrived, want 2", len(store.Alerts))
	}
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, asked := time.Now(), 0
		err := await(t.Context(), time.Second, time.Minute, func(context.Context) (bool, error) {
			asked++
			return asked == 4, errors.New("busy")
		})
		if err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		err = await(t.Context(), time.Second, time.Minute, func(context.Context) (bool, error) { return false, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 63*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = await(ctx, time.Second, time.Minute, func(context.Context) (bool, error) { return false, errors.New("down") })
		if err == nil || !strings.Contains(err.Error(), "down") || time.Since(begin) != 68*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.URL, c.Token = "https://splunk.example.com:8088", token
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultQueue().Validate(); err != nil {
		t.Error(err)
	}
	c.URL, c.Token, c.SourceType, c.AckTimeout = "http://splunk.example.com:8088", "", "", 0
	err := c.Validate()
	for _, want := range []string{"plaintext", "token is missing", "sourcetype", "ack_timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
