package elastic

import (
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
	"github.com/google/go-cmp/cmp"
)

func newCluster(t *testing.T) *cluster {
	return &cluster{schema: readSchema(t), versions: map[string]int{}, troubles: map[string][]int{}}
}

func open(t *testing.T, e sinktest.Endpoint, change func(*Config)) *Sink {
	t.Helper()
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
	c.APIKey = strings.TrimPrefix(credentials, "ApiKey ")
	change(&c)
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
		Open:   func(t *testing.T, e sinktest.Endpoint) sinks.Sink { return open(t, e, func(*Config) {}) },
		New:    func() sinktest.Handler { return newCluster(t).serve },
		Refuse: []sinktest.Reply{{Status: 400}, one(400, "document_parsing_exception", "bad"), one(400, "mapper_parsing_exception", "bad"), one(400, "illegal_argument_exception", "immense term")},
		Wait: []sinktest.Reply{one(403, "security_exception", ""), one(404, "index_not_found_exception", ""), one(400, "index_closed_exception", "closed"),
			one(400, "validation_exception", "Validation Failed: 1: this action would add [2] shards"),
			one(400, "illegal_argument_exception", "pipeline with id [gatewatch] does not exist"),
			one(400, "illegal_argument_exception", "no write index is defined for alias [alerts]"), {Status: 200, Body: "<html>"}},
		MaxItem: 8 << 20, BlindSpots: true, Deduplicates: true, OneByOne: true,
		Secrets: []string{strings.TrimPrefix(credentials, "ApiKey ")},
	})
}

// one is the answer to a bulk request in which every document, one or two, had the same fate.
func one(status int, kind, reason string) sinktest.Reply {
	item := map[string]any{"create": problem(status, kind, reason)}
	text, _ := json.Marshal(map[string]any{"errors": true, "items": []any{item}})
	return sinktest.Reply{Status: 200, Body: string(text)}
}

// reach makes a sink for a fake without TLS.
func reach(t *testing.T, f *cluster, change func(*Config)) (*Sink, *sinktest.Store) {
	store := &sinktest.Store{}
	url := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply { return f.serve(store, r, body) })
	return open(t, sinktest.Endpoint{URL: url, Proxy: "-"}, change), store
}

func TestDocumentsSucceedAndFailOneByOne(t *testing.T) {
	f := newCluster(t)
	f.troubles[sinktest.Alert(1, 1).ID] = []int{429, 503}
	f.troubles[sinktest.Alert(3, 1).ID] = []int{400}
	s, store := reach(t, f, func(*Config) {})
	batch := []*alert.Alert{sinktest.Alert(0, 1), sinktest.Alert(1, 1), sinktest.Alert(2, 1), sinktest.Alert(3, 1)}
	partial, ok := errors.AsType[*sinks.PartialError](s.Deliver(t.Context(), batch))
	if !ok || !slices.Equal(partial.Retry, []int{1}) || len(partial.Refused) != 1 || partial.Refused[0].Index != 3 {
		t.Fatalf("%+v", partial)
	}
	if partial, _ := errors.AsType[*sinks.PartialError](s.Deliver(t.Context(), batch[1:2])); partial == nil || len(partial.Refused) > 0 {
		t.Errorf("503: %+v", partial)
	}
	if err := s.Deliver(t.Context(), batch[:3]); err != nil {
		t.Errorf("what is there already: %v", err)
	}
	if len(store.Alerts) != 3 {
		t.Errorf("%d documents, want 3", len(store.Alerts))
	}
}

func TestIndexKeepsTheLatestVersion(t *testing.T) {
	f := newCluster(t)
	s, store := reach(t, f, func(c *Config) { c.Mode, c.Index, c.BlindSpotsIndex = Index, "gatewatch-alerts", "-" })
	for _, version := range []int{1, 3, 2, 3} {
		if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, version)}); err != nil {
			t.Error(err)
		}
	}
	if len(store.Alerts) != 2 || store.Alerts[1].Version != 3 {
		t.Errorf("%d writes", len(store.Alerts))
	}
	if err := s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}); err != nil || len(store.BlindSpots) > 0 {
		t.Errorf("blind spots: %v, %d", err, len(store.BlindSpots))
	}
}

func TestWhatAnOperatorCanRepairIsKept(t *testing.T) {
	for _, status := range []int{401, 403, 404, 408, 429, 500, 503} {
		f := newCluster(t)
		f.troubles["-v1"] = []int{status}
		s, _ := reach(t, f, func(*Config) {})
		partial, ok := errors.AsType[*sinks.PartialError](s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
		if !ok || len(partial.Retry) != 1 || len(partial.Refused) > 0 {
			t.Errorf("%d: %+v", status, partial)
		}
	}
}

// The wrong mode can be repaired, so that nothing is refused.
func TestIndexModeOnADataStream(t *testing.T) {
	s, _ := reach(t, newCluster(t), func(c *Config) { c.Mode = Index })
	partial, ok := errors.AsType[*sinks.PartialError](s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	if !ok || len(partial.Retry) != 1 || !strings.Contains(partial.Error(), "data streams") {
		t.Errorf("%v", partial)
	}
}

func TestBlindSpotsWithoutAPlaceAreRefused(t *testing.T) {
	f := newCluster(t)
	f.missing = true
	s, _ := reach(t, f, func(*Config) {})
	partial, ok := errors.AsType[*sinks.PartialError](s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}))
	if !ok || len(partial.Refused) != 1 {
		t.Errorf("%v", partial)
	}
}

func TestAlertDocument(t *testing.T) {
	a := sinktest.Alert(1, 2)
	a.Rule.Tags = []string{"owasp:API2:2023", "attack:T1550.001", "attack:T1550", "attack:T1078"}
	a.Evidence[1].SourceIP, a.Related["source_ip"] = "ip_5f31", []string{"81.2.69.142", "ip_5f31"}
	text, err := json.Marshal(alertDocument(a))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"framework": "MITRE ATT&CK",
		"technique": map[string]any{"id": []any{"T1550", "T1078"}, "subtechnique": map[string]any{"id": []any{"T1550.001"}}},
	}
	if diff := cmp.Diff(want, got["threat"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"address": "ip_5f31"}, got["source"]); diff != "" {
		t.Errorf("a pseudonym is no address:\n%s", diff)
	}
	a.Evidence[1].SourceIP, a.Evidence[1].Country = "81.2.69.142", "GB"
	if d := alertDocument(a); d["source"].(document)["ip"] != "81.2.69.142" || d["source"].(document)["geo"].(document)["country_iso_code"] != "GB" {
		t.Errorf("source: %v", d["source"])
	}
	if diff := cmp.Diff([]any{"81.2.69.142"}, got["related"].(map[string]any)["ip"]); diff != "" {
		t.Error(diff)
	}
	if got["event"].(map[string]any)["severity"] != 73.0 {
		t.Errorf("event: %v", got["event"])
	}
}

// The index template that is shipped gives every field the type that the schema says.
func TestTemplateHasEveryField(t *testing.T) {
	for _, path := range []string{"elasticsearch/component-template.json", "opensearch/index-template.json"} {
		text, err := os.ReadFile("../../deploy/elastic/" + path)
		if err != nil {
			t.Fatal(err)
		}
		var template struct {
			Template struct {
				Mappings struct {
					Properties map[string]any
				}
			}
		}
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		types := map[string]string{}
		flatten("", template.Template.Mappings.Properties, types)
		for field, want := range readSchema(t).Fields {
			if strings.HasPrefix(path, "opensearch") && want == "match_only_text" {
				want = "text"
			}
			if types[field] != want {
				t.Errorf("%s: %s has type %q, want %q", path, field, types[field], want)
			}
		}
		for _, whole := range []string{"gatewatch.alert", "gatewatch.blind_spot"} {
			if types[whole] != "flattened" && types[whole] != "flat_object" {
				t.Errorf("%s: %s has type %q", path, whole, types[whole])
			}
		}
	}
}

func flatten(at string, properties map[string]any, types map[string]string) {
	for name, v := range properties {
		path := strings.TrimPrefix(at+"."+name, ".")
		field := v.(map[string]any)
		if inner, ok := field["properties"].(map[string]any); ok {
			flatten(path, inner, types)
			continue
		}
		types[path], _ = field["type"].(string)
	}
}

func TestClipsTerms(t *testing.T) {
	long, fits := strings.Repeat("☂", maxTerm/2), strings.Repeat("x", maxTerm/2)
	text, err := json.Marshal(map[string]any{"n": 1 << 62, "fits": fits, "list": []any{long, map[string]any{"deep": long}}})
	if err != nil {
		t.Fatal(err)
	}
	clipped, err := clipTerms(text)
	if err != nil {
		t.Fatal(err)
	}
	short := strings.Repeat("☂", keptTerm/3) + "…"
	want, err := json.Marshal(map[string]any{"n": 1 << 62, "fits": fits, "list": []any{short, map[string]any{"deep": short}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(clipped)); diff != "" {
		t.Errorf("clipped (- want, + got):\n%s", diff)
	}
}

// A reason quotes values, and so what a caller has chosen: only the server's own words speak of index and pipeline.
func TestQuotedValueIsNoFaultOfTheIndex(t *testing.T) {
	for _, words := range []string{"allowed in data streams", "pipeline with id [x] does not exist", "no write index is defined"} {
		for _, kind := range []string{"mapper_parsing_exception", "document_parsing_exception"} {
			quoted := result{Status: 400}
			quoted.Error.Type, quoted.Error.Reason = kind, "Preview of field's value: '"+words+"'"
			if !ofDocument(quoted) {
				t.Errorf("a document that quotes %q makes its batch wait for ever", words)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.URL = "https://elastic.example.com:9200"
	if err := errors.Join(c.Validate(), DefaultQueue().Validate()); err != nil {
		t.Error(err)
	}
	c.URL, c.APIKey, c.Username, c.Mode, c.Index, c.BlindSpotsIndex = "https://me:hunter2@host", "k", "u", "stream", "Alerts", "Alerts"
	err := c.Validate()
	for _, want := range []string{"must not hold a user", "exclude each other", "need each other", `mode is "stream"`, `index "Alerts"`, "must not be the index"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the password shows")
	}
}
