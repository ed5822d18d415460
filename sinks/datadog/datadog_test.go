package datadog

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const key = "0123456789abcdef0123456789abcdef"

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open: func(t *testing.T, e sinktest.Endpoint) sinks.Sink {
			c := DefaultConfig()
			c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
			c.APIKey, c.Hostname, c.Tags = key, "gatewatch-1", []string{"env:prod", "team:soc"}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		New:     func() sinktest.Handler { return intake },
		Refuse:  []sinktest.Reply{{Status: 400}},
		MaxItem: 1_000_000, BlindSpots: true,
		Secrets: []string{key},
	})
}

// intake is the logs intake as the API reference describes it, which however would cut a log beyond 1 MB.
func intake(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	switch {
	case r.Header.Get("DD-API-KEY") == "":
		return sinktest.Reply{Status: 401}
	case r.Header.Get("DD-API-KEY") != key:
		return sinktest.Reply{Status: 403}
	case r.Method != http.MethodPost || r.URL.Path != "/api/v2/logs":
		return sinktest.Reply{Status: 404}
	case r.Header.Get("Content-Type") != "application/json":
		return sinktest.Reply{Status: 415}
	case len(body) > 5_000_000:
		return sinktest.Reply{Status: 413}
	}
	var logs []json.RawMessage
	if err := json.Unmarshal(body, &logs); err != nil || len(logs) > 1000 || len(logs) == 0 {
		return sinktest.Reply{Status: 400, Body: "bad array"}
	}
	for _, log := range logs {
		if err := take(s, log); err != nil || len(log) > 1_000_000 {
			return sinktest.Reply{Status: 400, Body: "bad log"}
		}
	}
	return sinktest.Reply{Status: 202, Body: "{}"}
}

func take(s *sinktest.Store, text []byte) error {
	var log struct {
		DDSource, DDTags, Hostname, Service, Status, Message string
		Timestamp                                            int64
		Gatewatch                                            struct {
			Alert     *alert.Alert
			BlindSpot *alert.BlindSpot `json:"blind_spot"`
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&log); err != nil {
		return err
	}
	if log.DDSource != "gatewatch" || log.DDTags != "env:prod,team:soc" || log.Service != "gatewatch" || log.Hostname != "gatewatch-1" {
		return errors.New("reserved attributes are missing")
	}
	if a := log.Gatewatch.Alert; a != nil {
		s.Alerts = append(s.Alerts, a)
	}
	if b := log.Gatewatch.BlindSpot; b != nil {
		s.BlindSpots = append(s.BlindSpots, b)
	}
	return nil
}

func TestOldAlertsHaveTheTimeOfDelivery(t *testing.T) {
	const hour = alert.Time(3_600_000)
	at := alert.Time(1_795_342_800_123)
	soon, late := at+hour, at+19*hour
	for _, c := range []struct {
		emitted *alert.Time
		want    alert.Time
	}{{nil, at}, {&soon, at}, {&late, late}} {
		if got := recent(at, c.emitted); got != int64(c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

func TestStatusFollowsSeverity(t *testing.T) {
	for _, severity := range alert.Severities() {
		if statuses[severity] == "" {
			t.Errorf("%s has no status", severity)
		}
	}
}

// The facets and the pipeline that are shipped name attributes that logs have.
func TestShippedPipelineNamesAttributesThatExist(t *testing.T) {
	text, err := os.ReadFile("../../deploy/datadog/pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	var pipeline struct {
		Processors []struct {
			Sources []string `json:"sources"`
		} `json:"processors"`
	}
	if err := json.Unmarshal(text, &pipeline); err != nil {
		t.Fatal(err)
	}
	log, err := json.Marshal(map[string]any{"gatewatch": map[string]any{"alert": sinktest.Alert(1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	sources := 0
	for _, p := range pipeline.Processors {
		for _, source := range p.Sources {
			sources++
			var at any
			if err := json.Unmarshal(log, &at); err != nil {
				t.Fatal(err)
			}
			for _, name := range strings.Split(source, ".") {
				inner, _ := at.(map[string]any)
				at = inner[name]
			}
			if at == nil {
				t.Errorf("logs have no attribute %s", source)
			}
		}
	}
	if sources < 4 {
		t.Errorf("only %d sources were looked at", sources)
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.APIKey = key
	if err := errors.Join(c.Validate(), DefaultQueue().Validate()); err != nil {
		t.Error(err)
	}
	c.APIKey, c.Site, c.Tags = "", "https://datadoghq.eu", []string{"env:prod", "a b"}
	err := c.Validate()
	for _, want := range []string{"api_key is missing", "site", `tag "a b"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if slices.Contains(strings.Split(err.Error(), "\n"), "url is missing") {
		t.Error("the address follows from the site")
	}
}
