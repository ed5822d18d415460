package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const path = "/services/T00000000/B00000000/XXXXsecretXXXX"

func open(t *testing.T, e sinktest.Endpoint, filter sinks.Filter) *Sink {
	t.Helper()
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy, c.Filter = e.URL+path, e.CAFile, e.Proxy, filter
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink {
			return open(t, e, sinks.Filter{MinSeverity: alert.Info, States: []alert.State{alert.Open, alert.Update, alert.Closed}})
		},
		New:     func() sinktest.Handler { return (&channel{}).serve },
		Retry:   []sinktest.Reply{{Status: 500, Body: "rollup_error"}},
		Wait:    []sinktest.Reply{{Status: 403, Body: "action_prohibited"}, {Status: 404, Body: "channel_not_found"}, {Status: 410, Body: "channel_is_archived"}},
		Refuse:  []sinktest.Reply{{Status: 400, Body: "invalid_payload"}},
		Excerpt: true,
		Secrets: []string{"XXXXsecretXXXX"},
	})
}

// channel is an incoming webhook as Slack's documentation describes it.
type channel struct{ messages []string }

// key is where a message says which alert it is about.
var key = regexp.MustCompile("alert `([^`]*)` version ([0-9]+)$")

// entity is what may follow an ampersand.
var entity = regexp.MustCompile(`&(amp|lt|gt);`)

func (f *channel) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	switch {
	case r.URL.Path != path:
		return sinktest.Reply{Status: 404, Body: "no_service"}
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		return sinktest.Reply{Status: 400, Body: "invalid_payload"}
	}
	var m message
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var blocks []block
	if err := d.Decode(&m); err != nil || json.Unmarshal(m.Blocks, &blocks) != nil {
		return sinktest.Reply{Status: 400, Body: "invalid_payload"}
	}
	if err := check(m.Text, blocks); err != nil {
		return sinktest.Reply{Status: 400, Body: "invalid_blocks: " + err.Error()}
	}
	f.messages = append(f.messages, string(body))
	for _, b := range blocks {
		if b.Type != "context" {
			continue
		}
		found := key.FindStringSubmatch(b.Elements[0].Text)
		version := 0
		fmt.Sscan(found[2], &version)
		s.Alerts = append(s.Alerts, &alert.Alert{ID: found[1], Version: version})
	}
	return sinktest.Reply{Status: 200, Body: "ok"}
}

func check(notification string, blocks []block) error {
	texts := []text{{"mrkdwn", notification, true}}
	for _, b := range blocks {
		switch {
		case b.Type == "section" && b.Text != nil && b.Elements == nil:
			texts = append(texts, *b.Text)
		case b.Type == "context" && b.Text == nil && len(b.Elements) > 0 && len(b.Elements) <= 10:
			texts = append(texts, b.Elements...)
		default:
			return errors.New("block " + b.Type)
		}
	}
	for _, t := range texts {
		rest := entity.ReplaceAllString(t.Text, "")
		if t.Type != "mrkdwn" || t.Text == "" || utf8.RuneCountInString(t.Text) > 3000 || strings.ContainsAny(rest, "&<>") {
			return errors.New("text " + t.Text)
		}
	}
	if len(blocks) == 0 || len(blocks) > 50 {
		return errors.New("number of blocks")
	}
	return nil
}

// reach delivers to a fake and returns its messages.
func reach(t *testing.T, filter sinks.Filter, alerts ...*alert.Alert) []string {
	t.Helper()
	f, store := &channel{}, &sinktest.Store{}
	url := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply { return f.serve(store, r, body) })
	s := open(t, sinktest.Endpoint{URL: url, Proxy: "-"}, filter)
	if err := s.Deliver(t.Context(), alerts); err != nil {
		t.Error(err)
	}
	return f.messages
}

func sample(n int, state alert.State, severity alert.Severity) *alert.Alert {
	a := sinktest.Alert(n, 1)
	a.State, a.Rule.Severity = state, severity
	return a
}

func TestOnlyWhatPeopleWant(t *testing.T) {
	got := reach(t, DefaultConfig().Filter, sample(1, alert.Open, alert.High), sample(2, alert.Update, alert.High),
		sample(3, alert.Closed, alert.Medium), sample(4, alert.Open, alert.Low))
	if len(got) != 1 || strings.Count(got[0], "version 1") != 2 || !strings.Contains(got[0], "and 1 more") {
		t.Errorf("%v", got)
	}
	if got := reach(t, DefaultConfig().Filter, sample(1, alert.Update, alert.High)); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestManyAlertsAreFewMessages(t *testing.T) {
	var alerts []*alert.Alert
	for i := range 25 {
		alerts = append(alerts, sample(i, alert.Open, alert.High))
	}
	if got := reach(t, DefaultConfig().Filter, alerts...); len(got) != 3 {
		t.Errorf("%d messages, want 3", len(got))
	}
}

// Nothing that a caller of the API has chosen becomes a mention, a link or an error.
func TestHostileTexts(t *testing.T) {
	a := sample(1, alert.Open, alert.Critical)
	a.Summary = "<!channel> <https://evil.example|click> `rm` &amp; \x00\x1b" + strings.Repeat("<&>", 5000)
	a.Entity.ID = "`<@U1>`" + strings.Repeat("☂", 5000)
	a.Rule.Advice = strings.Repeat("&", 5000)
	got := reach(t, DefaultConfig().Filter, a)
	if len(got) != 1 || strings.Contains(got[0], "<!channel") || !strings.Contains(got[0], "&lt;!channel&gt;") {
		t.Errorf("%.300v", got)
	}
}

// An incident says what it combines, as much as a message takes, whatever the texts.
func TestIncidents(t *testing.T) {
	a := sample(1, alert.Open, alert.Critical)
	a.Risk = new(63.7)
	var signals []any
	for i := range 7 {
		signals = append(signals, map[string]any{
			"time": "2026-03-02T10:00:10.000Z", "title": fmt.Sprint("Title ", i), "signal": "near limit", "summary": strings.Repeat("<", 5000),
		})
	}
	a.Observed.Detail = map[string]any{"signals": signals}
	got := reach(t, DefaultConfig().Filter, a)
	if len(got) != 1 || !strings.Contains(got[0], "risk 64 · ") || !strings.Contains(got[0], "10:00:10 *Title 0* (near limit): &lt;") || strings.Contains(got[0], "Title 5") || !strings.Contains(got[0], "and 2 more") {
		t.Errorf("%v", got)
	}
	a.State = alert.Closed
	if got := reach(t, DefaultConfig().Filter, a); len(got) != 1 || strings.Contains(got[0], "Title 0") {
		t.Errorf("closed: %v", got)
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.URL = "https://hooks.slack.com" + path
	if err := errors.Join(c.Validate(), DefaultQueue().Validate()); err != nil {
		t.Error(err)
	}
	c.URL, c.States = "https://hooks.slack.com:port"+path, nil
	err := c.Validate()
	for _, want := range []string{"url must be https://", "states is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error("the address shows")
	}
}
