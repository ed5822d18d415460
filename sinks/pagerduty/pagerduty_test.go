package pagerduty

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const key = "R0123456789ABCDEFGHIJKLMNOPQRSTU"

func open(t *testing.T, e sinktest.Endpoint, filter sinks.Filter) *Sink {
	t.Helper()
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
	c.RoutingKey, c.Filter = key, filter
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var everything = []alert.State{alert.Open, alert.Update, alert.Closed}

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink {
			return open(t, e, sinks.Filter{MinSeverity: alert.Info, States: everything})
		},
		New:    func() sinktest.Handler { return (&api{}).serve },
		Refuse: []sinktest.Reply{{Status: 400, Body: `{"status":"invalid event","message":"Event object is invalid"}`}},
		Wait: []sinktest.Reply{
			{Status: 400, Body: `{"status":"invalid key","message":"Event object is invalid","errors":["Invalid routing key"]}`},
			{Status: 400, Body: `{"status":"invalid event","errors":["'routing_key' is missing or blank"]}`},
		},
		Excerpt: true,
		Secrets: []string{key},
	})
}

// api is the Events API v2 as its reference describes it.
type api struct{ actions []string }

func (f *api) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" {
		return sinktest.Reply{Status: 404}
	}
	var e struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Client     string
		Payload    struct {
			Summary, Source, Severity, Component, Group, Class string
			Timestamp                                          time.Time
			Details                                            struct{ Version int } `json:"custom_details"`
		}
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return invalid(err.Error())
	}
	p := e.Payload
	switch {
	case e.RoutingKey != key:
		return invalid("routing_key")
	case !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.Action):
		return invalid("event_action")
	case len(e.DedupKey) > 255 || e.DedupKey == "":
		return invalid("dedup_key")
	case p.Summary == "" || utf8.RuneCountInString(p.Summary) > 1024 || p.Source == "":
		return invalid("summary or source")
	case !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity):
		return invalid("severity")
	case len(body) > 512<<10:
		return sinktest.Reply{Status: 413}
	}
	f.actions = append(f.actions, e.Action+" "+p.Severity)
	s.Alerts = append(s.Alerts, &alert.Alert{ID: e.DedupKey, Version: p.Details.Version})
	return sinktest.Reply{Status: 202, Body: `{"status":"success","message":"Event processed","dedup_key":"` + e.DedupKey + `"}`}
}

func invalid(what string) sinktest.Reply {
	return sinktest.Reply{Status: 400, Body: `{"status":"invalid event","errors":["` + what + `"]}`}
}

// reach delivers to a fake and returns what it was told.
func reach(t *testing.T, filter sinks.Filter, alerts ...*alert.Alert) []string {
	t.Helper()
	f, store := &api{}, &sinktest.Store{}
	url := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply { return f.serve(store, r, body) })
	s := open(t, sinktest.Endpoint{URL: url, Proxy: "-"}, filter)
	if err := s.Deliver(t.Context(), alerts); err != nil {
		t.Error(err)
	}
	return f.actions
}

func sample(n int, state alert.State, severity alert.Severity) *alert.Alert {
	a := sinktest.Alert(n, 1)
	a.State, a.Rule.Severity = state, severity
	return a
}

func TestActionsFollowStateAndSeverity(t *testing.T) {
	got := reach(t, DefaultConfig().Filter,
		sample(1, alert.Open, alert.High), sample(2, alert.Update, alert.Critical), sample(3, alert.Closed, alert.High),
		sample(4, alert.Open, alert.Medium), sample(5, alert.Closed, alert.Low))
	if want := []string{"trigger error", "trigger critical", "resolve error"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got = reach(t, sinks.Filter{MinSeverity: alert.Info, States: []alert.State{alert.Open}},
		sample(1, alert.Open, alert.Info), sample(2, alert.Update, alert.High), sample(3, alert.Open, alert.Medium))
	if want := []string{"trigger info", "trigger warning"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Somebody is paged although not everything can be shown.
func TestWhatCannotBeShownIsLeftOut(t *testing.T) {
	long, odd, bare := sample(1, alert.Open, alert.High), sample(2, alert.Open, alert.High), &alert.Alert{ID: "bare", Rule: alert.Rule{Severity: alert.High}, State: alert.Open}
	long.Summary = strings.Repeat("☂", 5000)
	odd.Observed.Detail = map[string]any{"share": math.NaN()}
	if got := reach(t, DefaultConfig().Filter, long, odd, bare); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.RoutingKey = key
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.RoutingKey, c.MinSeverity, c.States = "", "hgih", []alert.State{"opened"}
	err := c.Validate()
	for _, want := range []string{"routing_key is missing", `min_severity is "hgih", must be one of info, low, medium, high, critical`, `states has "opened", must be some of open, update, closed`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
