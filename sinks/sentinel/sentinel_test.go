package sentinel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

const (
	rule   = "dcr-00112233445566778899aabbccddeeff"
	tenant = "6f1f2f7e-0000-4000-8000-000000000001"
	client = "6f1f2f7e-0000-4000-8000-000000000002"
	secret = "a8Q~sec/ret+value="
)

func TestConformance(t *testing.T) {
	sinktest.RunHTTP(t, sinktest.HTTP{
		Open:       func(t *testing.T, e sinktest.Endpoint) sinks.Sink { return open(t, e) },
		New:        func() sinktest.Handler { return newAzure(t).serve },
		Delivers:   func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/dataCollectionRules/") },
		Wait:       []sinktest.Reply{{Status: 400, Body: `{"error":{"code":"InvalidStream","message":"not in the rule"}}`}},
		Refuse:     []sinktest.Reply{{Status: 400}},
		MaxItem:    64 << 10,
		BlindSpots: true,
		Secrets:    []string{secret, url.QueryEscape(secret), "token-77ce"},
	})
}

func open(t *testing.T, e sinktest.Endpoint) *Sink {
	c := DefaultConfig()
	c.URL, c.TLS.CAFile, c.Proxy = e.URL, e.CAFile, e.Proxy
	c.Rule, c.TenantID, c.ClientID, c.ClientSecret, c.LoginURL = rule, tenant, client, secret, e.URL+"/"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// azure is Entra's token endpoint and the Logs Ingestion API as their references describe them; columns come from the rule that
// is shipped. Where Azure would drop or cut something in silence it refuses.
type azure struct {
	columns map[string]map[string]string // types by stream and column
	tokens  int                          // issued so far; the latest counts
	life    int                          // seconds
	denied  string                       // what the token endpoint answers instead
}

func newAzure(t *testing.T) *azure {
	return &azure{columns: declared(t), life: 3599}
}

// declared reads the streams of the shipped template, and under the names of the tables, without Custom-, the tables.
func declared(t *testing.T) map[string]map[string]string {
	text, err := os.ReadFile("../../deploy/sentinel/template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources []struct {
			Type       string
			Properties struct {
				StreamDeclarations map[string]struct{ Columns []column }
				Schema             struct {
					Name    string
					Columns []column
				}
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for _, r := range template.Resources {
		if table := r.Properties.Schema; table.Name != "" {
			all[table.Name] = types(table.Columns)
		}
		for stream, d := range r.Properties.StreamDeclarations {
			all[stream] = types(d.Columns)
		}
	}
	return all
}

type column struct{ Name, Type string }

// types returns the types by name; tables and streams write one of them differently.
func types(columns []column) map[string]string {
	all := map[string]string{}
	for _, c := range columns {
		all[c.Name] = strings.ToLower(c.Type)
	}
	return all
}

func (f *azure) serve(s *sinktest.Store, r *http.Request, body []byte) sinktest.Reply {
	if r.URL.Path == "/"+tenant+"/oauth2/v2.0/token" {
		return f.issue(r, body)
	}
	stream, ok := strings.CutPrefix(r.URL.Path, "/dataCollectionRules/"+rule+"/streams/")
	columns := f.columns[stream]
	switch {
	case r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-77ce-%d", f.tokens):
		return sinktest.Reply{Status: 401}
	case !ok || columns == nil || r.URL.Query().Get("api-version") != "2023-01-01":
		return sinktest.Reply{Status: 404}
	case r.Header.Get("Content-Type") != "application/json":
		return sinktest.Reply{Status: 415}
	case len(body) > 1<<20:
		return sinktest.Reply{Status: 413}
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(body, &rows); err != nil {
		return sinktest.Reply{Status: 400, Body: "not an array"}
	}
	for _, row := range rows {
		if err := take(s, columns, row); err != nil {
			return sinktest.Reply{Status: 400, Body: err.Error()}
		}
	}
	return sinktest.Reply{Status: 204}
}

func (f *azure) issue(r *http.Request, body []byte) sinktest.Reply {
	form, err := url.ParseQuery(string(body))
	want := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret},
		"scope": {"https://monitor.azure.com/.default"},
	}
	if f.denied != "" || err != nil || form.Encode() != want.Encode() || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return sinktest.Reply{Status: 400, Body: `{"error":"invalid_client"} ` + f.denied}
	}
	f.tokens++
	return sinktest.Reply{Status: 200, Body: fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"access_token":"token-77ce-%d"}`, f.life, f.tokens)}
}

func take(s *sinktest.Store, columns map[string]string, text []byte) error {
	var row map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&row); err != nil {
		return err
	}
	for name, value := range row {
		if err := check(columns[name], value); err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
	}
	if row["TimeGenerated"] == nil {
		return errors.New("no TimeGenerated")
	}
	if row["AlertId"] != nil {
		a, err := alertOf(text)
		s.Alerts = append(s.Alerts, a)
		return err
	}
	b, err := blindSpotOf(text)
	s.BlindSpots = append(s.BlindSpots, b)
	return err
}

func check(kind string, value any) error {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	encoded, _ := json.Marshal(value)
	ok := value == nil
	switch kind {
	case "string":
		ok = ok || isText
	case "int", "long":
		_, err := number.Int64()
		ok = ok || isNumber && err == nil
	case "real":
		ok = ok || isNumber
	case "datetime":
		_, err := time.Parse(time.RFC3339, text)
		ok = ok || err == nil
	case "dynamic":
		ok = ok || !isText && len(encoded) <= 64<<10
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%.80s is no %q", encoded, kind)
	}
	return nil
}

func alertOf(text []byte) (*alert.Alert, error) {
	var r alertRow
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	return &alert.Alert{
		Schema: r.Schema, ID: r.AlertId, Version: r.Version, State: alert.State(r.State),
		Rule:   alert.Rule{ID: r.RuleId, Title: r.RuleTitle, Severity: alert.Severity(r.Severity), Tags: r.Tags, Advice: r.Advice},
		Entity: alert.Entity{Kind: r.EntityKind, ID: r.EntityId}, FirstSeen: r.FirstSeen, LastSeen: r.LastSeen,
		DetectedAt: r.DetectedAt, EmittedAt: r.EmittedAt, Summary: r.Summary, Observed: r.Observed, Baseline: r.Baseline,
		Evidence: r.Evidence, Related: r.Related, Risk: r.Risk,
	}, err
}

func blindSpotOf(text []byte) (*alert.BlindSpot, error) {
	var r blindSpotRow
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	if r.Count == math.MaxInt64 { // the suite counts further than a long
		r.Count = 1<<63 + uint64(r.Version)
	}
	return &alert.BlindSpot{
		Schema: r.Schema, ID: r.BlindSpotId, Version: r.Version, State: alert.State(r.State), Cause: alert.Cause(r.Cause),
		From: r.FromTime, To: r.ToTime, Topic: r.Topic, Partitions: r.Partitions, Rules: r.Rules, Kinds: r.Kinds, Sink: r.Sink,
		Count: r.Count, Detail: r.Detail, EmittedAt: r.EmittedAt,
	}, err
}

func reach(t *testing.T, f *azure) (*Sink, *sinktest.Store) {
	store := &sinktest.Store{}
	address := sinktest.Serve(t, func(r *http.Request, body []byte) sinktest.Reply { return f.serve(store, r, body) })
	return open(t, sinktest.Endpoint{URL: address, Proxy: "-"}), store
}

func TestTokenIsKeptAndRenewed(t *testing.T) {
	f := newAzure(t)
	s, store := reach(t, f)
	for n := range 3 {
		if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(n, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if f.tokens != 1 {
		t.Errorf("%d tokens for three deliveries", f.tokens)
	}
	f.tokens++ // the one before is not taken any more
	if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(3, 1)}); err != nil || f.tokens != 3 {
		t.Errorf("%v, %d tokens", err, f.tokens)
	}
	if len(store.Alerts) != 4 {
		t.Errorf("%d alerts arrived", len(store.Alerts))
	}
}

func TestSignInThatFails(t *testing.T) {
	f := newAzure(t)
	f.denied = "you sent client_secret=" + url.QueryEscape(secret)
	s, store := reach(t, f)
	err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)})
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Retry) != 1 || len(store.Alerts) > 0 {
		t.Fatalf("the error is %v", err)
	}
	if !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), url.QueryEscape(secret)) {
		t.Errorf("the error is %v", err)
	}
}

func TestBlindSpotsWithoutAStreamAreRefused(t *testing.T) {
	f := newAzure(t)
	delete(f.columns, "Custom-GatewatchBlindSpots_CL")
	s, _ := reach(t, f)
	partial, ok := errors.AsType[*sinks.PartialError](s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}))
	if !ok || len(partial.Refused) != 1 || !strings.Contains(partial.Refused[0].Err.Error(), "blind_spots_stream") {
		t.Errorf("%+v", partial)
	}
}

// What would be cut in the middle is left out as a whole.
func TestEvidenceFitsIntoAColumn(t *testing.T) {
	a := sinktest.Alert(1, 1)
	for i := range 10 {
		a.Evidence = append(a.Evidence, alert.Evidence{Time: alert.Time(i), Path: "/" + strings.Repeat("p", 8<<10)})
	}
	s, store := reach(t, newAzure(t))
	if err := s.Deliver(t.Context(), []*alert.Alert{a}); err != nil {
		t.Fatal(err)
	}
	if n := len(store.Alerts[0].Evidence); n != 9 {
		t.Errorf("%d events arrived", n)
	}
}

var reserved = regexp.MustCompile(`(?i)^(_ResourceId|id|_SubscriptionId|TenantId|Type|UniqueId|Title)$`)

// Tables, streams and names are what Azure takes.
func TestTemplate(t *testing.T) {
	streams := declared(t)
	for _, stream := range []string{DefaultConfig().Stream, DefaultConfig().BlindSpotsStream} {
		if len(streams[stream]) < 10 {
			t.Errorf("the template declares %d columns of %s", len(streams[stream]), stream)
		}
		if table := streams[strings.TrimPrefix(stream, "Custom-")]; !maps.Equal(table, streams[stream]) {
			t.Errorf("%s and its table differ: %v, %v", stream, streams[stream], table)
		}
		for name := range streams[stream] {
			if len(name) > 45 || reserved.MatchString(name) {
				t.Errorf("%s: Azure takes no column %s", stream, name)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	c.URL, c.Rule, c.TenantID, c.ClientID, c.ClientSecret = "https://x.ingest.monitor.azure.com", rule, tenant, client, secret
	if err := errors.Join(c.Validate(), DefaultQueue().Validate()); err != nil {
		t.Error(err)
	}
	c.Rule, c.TenantID, c.ClientSecret, c.LoginURL, c.Scope = "a/b", "", "", "http://login.example.com", ""
	err := c.Validate()
	for _, want := range []string{`rule "a/b"`, "tenant_id", "client_secret is missing", "login_url is http://", "scope"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
