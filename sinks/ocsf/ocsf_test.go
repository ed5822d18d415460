package ocsf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/ocsf/ocsftest"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write returns the finding of an alert, which has been held against both schemas, and has made the alert again.
func write(t *testing.T, a *alert.Alert) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, Write(&buf, a))
	got, err := ocsftest.Read(buf.Bytes())
	must(t, err)
	if diff := cmp.Diff(stored(t, a), got); diff != "" {
		t.Errorf("the finding stands for another alert:\n%s", diff)
	}
	return buf.Bytes()
}

// stored returns the alert as JSON keeps it.
func stored(t *testing.T, a *alert.Alert) *alert.Alert {
	t.Helper()
	text, err := json.Marshal(a)
	must(t, err)
	out := &alert.Alert{}
	must(t, json.Unmarshal(text, out))
	return out
}

// object returns the finding of an alert as a consumer that knows no types sees it.
func object(t *testing.T, a *alert.Alert) map[string]any {
	t.Helper()
	var out map[string]any
	must(t, json.Unmarshal(write(t, a), &out))
	return out
}

// at returns what a path of names and indexes leads to, nil if nothing is there.
func lookup(t *testing.T, v any, path string) any {
	t.Helper()
	for _, part := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// has holds values of a finding against those that are wanted.
func has(t *testing.T, f map[string]any, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if got := lookup(t, f, path); got != value {
			t.Errorf("%s is %v, want %v", path, got, value)
		}
	}
}

func bare() *alert.Alert {
	return &alert.Alert{
		Schema: 1, ID: "bare", Version: 1, State: alert.Closed, Rule: alert.Rule{Tags: []string{}}, Evidence: []alert.Evidence{},
		Related: map[string][]string{},
	}
}

func TestStates(t *testing.T) {
	for state, want := range map[alert.State]map[string]any{
		alert.Open: {
			"activity_id": 1., "type_uid": 200401., "type_name": "Detection Finding: Create", "is_alert": true,
			"finding_info.created_time": 1_795_342_861_124., "finding_info.modified_time": nil,
		},
		alert.Update: {
			"activity_id": 2., "type_uid": 200402., "activity_name": "Update", "is_alert": true,
			"finding_info.created_time": nil, "finding_info.modified_time": 1_795_342_861_124.,
		},
		alert.Closed: {"activity_id": 3., "type_uid": 200403., "activity_name": "Close", "is_alert": false},
	} {
		a := sinktest.Alert(1, 1)
		a.State = state
		has(t, object(t, a), want)
	}
}

func TestSeverities(t *testing.T) {
	for i, severity := range alert.Severities() {
		a := sinktest.Alert(1, 1)
		a.Rule.Severity = severity
		has(t, object(t, a), map[string]any{"severity_id": float64(i + 1)})
	}
	has(t, object(t, bare()), map[string]any{"severity_id": 0., "severity": "Unknown"})
}

func TestFields(t *testing.T) {
	a := sinktest.Alert(1, 3)
	has(t, object(t, a), map[string]any{
		"metadata.uid": a.ID + "/3", "metadata.version": "1.8.0", "metadata.product.name": "gatewatch", "finding_info.uid": a.ID,
		"time": float64(a.DetectedAt), "finding_info.first_seen_time": float64(a.FirstSeen), "start_time": float64(a.FirstSeen),
		"finding_info.types.0": "API1:2023", "finding_info.data_sources.0": "gateway", "finding_info.analytic.type_id": 2.,
		"finding_info.attacks.0.technique.uid":                 "T1087",
		"evidences.0.src_endpoint.ip":                          "2001:db8::1",
		"evidences.0.src_endpoint.location.country":            "GB",
		"evidences.0.actor.app_uid":                            "mobile-app-1",
		"evidences.0.actor.user.uid":                           "user-123",
		"evidences.0.actor.session.credential_uid":             "k1:9f",
		"evidences.0.http_request.http_method":                 "GET",
		"evidences.0.http_request.url.path":                    "/users/42/profile",
		"evidences.0.http_response.code":                       200.,
		"evidences.0.api.operation":                            "GET /users/{id}/profile",
		"anomaly_analyses.0.analysis_targets.0.name":           "mobile-app-1",
		"anomaly_analyses.0.anomalies.0.observation_parameter": "user profiles",
		"anomaly_analyses.0.anomalies.0.observations.0.value":  "190.5",
		"anomaly_analyses.0.baselines.0.observation_parameter": "user profiles",
		"anomaly_analyses.0.baselines.0.observations.0.value":  "3",
		"risk_score":                  1.,
		"remediation.desc":            "Ask who owns the client",
		"unmapped.observed.detail.km": 12.5,
		"unmapped.related.subject.0":  "user-123",
	})
	a.Baseline = map[string]any{"places": []string{"GB"}, "usual": "three"}
	has(t, object(t, a), map[string]any{
		"anomaly_analyses.0.baselines.0.observation_parameter": "places",
		"anomaly_analyses.0.baselines.0.observations.0.value":  `["GB"]`,
		"anomaly_analyses.0.baselines.1.observations.0.value":  "three",
	})
	a.Baseline = nil
	has(t, object(t, a), map[string]any{"finding_info.analytic.type_id": 1., "anomaly_analyses.0.baselines": nil})
}

func TestBare(t *testing.T) {
	f := object(t, bare())
	has(t, f, map[string]any{"evidences": nil, "observables": nil, "resources": nil, "risk_score": nil, "finding_info.analytic": nil})
	empty := bare()
	empty.State, empty.Evidence = "", []alert.Evidence{{}}
	has(t, object(t, empty), map[string]any{"activity_id": 0., "evidences.0.http_response": nil, "evidences.0.actor": nil})
}

// Text that callers choose must not make a finding that the schema forbids.
func TestHostile(t *testing.T) {
	hostile := []string{
		"", "\x00\x1b[31m\u202e", "\"}],\"severity_id\":6", strings.Repeat("é", 5000), "999.1.1.1", "fe80::1%" + strings.Repeat("z", 60),
		"::ffff:81.2.69.142", "81.2.69.142", "T1087.1", "get", "\u2028</script>", "1; DROP TABLE",
	}
	for _, text := range hostile {
		a := sinktest.Alert(1, 1)
		a.ID, a.Summary, a.Entity.ID, a.Entity.Kind, a.Rule.Title = text, text, text, text, text
		a.Rule.Tags = []string{text, "attack:" + text, "owasp:" + text}
		e := alert.Evidence{
			Time: 1, ClientID: text, Subject: text, TokenID: text, SessionID: text, SourceIP: text, Country: text, Method: text,
			Path: text, Route: text, RequestID: text, UserAgent: text, Source: &alert.Source{Topic: text}, Status: -1,
		}
		a.Evidence = []alert.Evidence{e, {SourceIP: text, Method: "PROPFIND", Country: "GB"}, {Country: text, Method: "PATCH"}}
		a.Related = map[string][]string{text: {text}, "source_ip": {text}, "subject": {text}, "route": {text}}
		a.Baseline, a.Observed.Unit = map[string]any{text: text, "usual": []any{text}}, text
		a.Observed.Detail = map[string]any{text: text, "signals": text}
		write(t, a)
	}
	broken := sinktest.Alert(1, 1)
	broken.Summary = "\xff\xfe"
	var buf bytes.Buffer
	must(t, Write(&buf, broken))
	must(t, ocsftest.Validate(buf.Bytes(), ocsftest.Current))
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"81.2.69.142": true, "2001:db8::1": true, "::ffff:81.2.69.142": true, "": false, "ip:5f3c": false, "fe80::1%eth0": false,
		"0000:0000:0000:0000:0000:ffff:192.168.100.228": false,
	} {
		a := sinktest.Alert(1, 1)
		a.Evidence = a.Evidence[:1]
		a.Evidence[0].SourceIP = text
		if got := lookup(t, object(t, a), "evidences.0.src_endpoint.ip") != nil; got != want {
			t.Errorf("%q is an address: %v, want %v", text, got, want)
		}
	}
}

func TestAttacks(t *testing.T) {
	got := attacks([]string{"attack:T1595.003", "owasp:API1:2023", "attack:TA0043", "attack:", "attack:T15", "attack:T1087"})
	want := []attack{
		{
			Technique:    &mitre{"T1595", "https://attack.mitre.org/techniques/T1595/"},
			SubTechnique: &mitre{"T1595.003", "https://attack.mitre.org/techniques/T1595/003/"},
		},
		{Tactic: &mitre{"TA0043", "https://attack.mitre.org/tactics/TA0043/"}},
		{Technique: &mitre{"T1087", "https://attack.mitre.org/techniques/T1087/"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(attack{}, mitre{})); diff != "" {
		t.Error(diff)
	}
}

// Each value that somebody may search for is named once, with the place where it stands.
func TestObservables(t *testing.T) {
	a := sinktest.Alert(1, 1)
	a.Related["source_ip"] = []string{"2001:db8::1", "81.2.69.142", "ip:5f3c"}
	a.Related["route"], a.Related["session_id"] = []string{"/users/{id}/profile"}, []string{"mobile-app-1"}
	f := object(t, a)
	var got []string
	for _, o := range f["observables"].([]any) {
		got = append(got, fmt.Sprintf("%s %v %s", lookup(t, o, "name"), lookup(t, o, "type_id"), lookup(t, o, "value")))
	}
	want := []string{
		"evidences[].src_endpoint.ip 2 2001:db8::1",
		"evidences[].src_endpoint.location.country 14 GB",
		"evidences[].http_request.user_agent 16 okhttp/4",
		"evidences[].actor.app_uid 99 mobile-app-1",
		"evidences[].actor.user.uid 31 user-123",
		"evidences[].actor.session.uid 99 s-9",
		"evidences[].actor.session.credential_uid 19 k1:9f",
		"unmapped.related.country 14 FR",
		"resources[].name 38 /users/{id}/profile",
		"unmapped.related.session_id 99 mobile-app-1",
		"unmapped.related.source_ip 2 81.2.69.142",
		"unmapped.related.source_ip 48 ip:5f3c",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIncident(t *testing.T) {
	type combined struct { // a Go type, as the engine puts it there
		Time     alert.Time     `json:"time"`
		Latest   alert.Time     `json:"latest"`
		Rule     string         `json:"rule"`
		Title    string         `json:"title"`
		Severity alert.Severity `json:"severity"`
		Signal   string         `json:"signal"`
		Evidence string         `json:"evidence"`
		Points   float64        `json:"points"`
		AlertID  string         `json:"alert_id,omitempty"`
		Summary  string         `json:"summary"`
	}
	a := sinktest.Alert(1, 1)
	a.Observed.Detail = map[string]any{"signals": []combined{
		{1000, 2000, "profiles", "Many profiles", alert.Medium, "alert", "distinct", 25, "a1", "read 9 profiles"},
		{1500, 1500, "flood", "Many requests", alert.Low, "shadow alert", "rate", 7.5, "a2", "made 20 requests"},
		{3000, 3000, "travel", "Far apart", alert.High, "near limit", "travel", 8, "", "was in two places"},
	}}
	want := map[string]any{
		"finding_info.related_events_count":             3.,
		"finding_info.related_events.0.uid":             "a1/1",
		"finding_info.related_events.0.type_uid":        200401.,
		"finding_info.related_events.0.desc":            "read 9 profiles",
		"finding_info.related_events.0.severity_id":     3.,
		"finding_info.related_events.0.first_seen_time": 1000.,
		"finding_info.related_events.0.last_seen_time":  2000.,
		"finding_info.related_events.0.tags.2.value":    "25",
		"finding_info.related_events.1.uid":             "a2",
		"finding_info.related_events.1.type":            "shadow alert",
		"finding_info.related_events.1.type_uid":        nil,
		"finding_info.related_events.2.uid":             alert.NewID("travel", a.Entity, 3000),
		"finding_info.related_events.2.type":            "near limit",
		"unmapped.observed.detail.signals.0.evidence":   "distinct",
	}
	has(t, object(t, a), want)
	has(t, object(t, stored(t, a)), want)
	has(t, object(t, sinktest.Alert(1, 1)), map[string]any{"finding_info.related_events": nil})
}

func TestRiskScore(t *testing.T) {
	for risk, want := range map[float64]float64{0: 0, 74.5: 75, -1: 0, 1e300: math.MaxInt32} {
		a := sinktest.Alert(1, 1)
		a.Risk = &risk
		has(t, object(t, a), map[string]any{"risk_score": want, "unmapped.risk": risk})
	}
}

func TestRefusesWhatIsNotFinite(t *testing.T) {
	nan := math.NaN()
	for name, spoil := range map[string]func(*alert.Alert){
		"value":    func(a *alert.Alert) { a.Observed.Value = math.Inf(1) },
		"detail":   func(a *alert.Alert) { a.Observed.Detail = map[string]any{"share": nan} },
		"signals":  func(a *alert.Alert) { a.Observed.Detail = map[string]any{"signals": []any{nan}} },
		"baseline": func(a *alert.Alert) { a.Baseline = map[string]any{"usual": nan} },
		"risk":     func(a *alert.Alert) { a.Risk = &nan },
	} {
		a := sinktest.Alert(1, 1)
		spoil(a)
		buf := *bytes.NewBufferString("before")
		if err := Write(&buf, a); err == nil || !strings.Contains(err.Error(), a.ID) {
			t.Errorf("%s: %v", name, err)
		}
		if buf.String() != "before" {
			t.Errorf("%s: %q is left", name, buf.String())
		}
	}
}

// All but the method PATCH is in the oldest version that knows anomalies too, so that consumers of that version may read on.
func TestOlderVersion(t *testing.T) {
	a := sinktest.Alert(1, 1)
	must(t, ocsftest.Validate(write(t, a), ocsftest.Oldest))
	must(t, ocsftest.Validate(write(t, bare()), ocsftest.Oldest))
	a.Evidence[0].Method = "PATCH"
	if err := ocsftest.Validate(write(t, a), ocsftest.Oldest); err == nil {
		t.Error("1.5.0 knows PATCH")
	}
}

func TestSameBytes(t *testing.T) {
	a := sinktest.Alert(1, 1)
	a.Related = map[string][]string{"a": {"1"}, "b": {"2"}, "c": {"3"}, "d": {"4"}}
	a.Baseline = map[string]any{"a": 1, "b": 2, "c": 3, "d": 4}
	first := write(t, a)
	for range 20 {
		if again := write(t, a); !bytes.Equal(first, again) {
			t.Fatalf("%s\n%s", first, again)
		}
	}
}

func TestFormat(t *testing.T) {
	a := sinktest.Alert(1, 1)
	for format, schema := range map[Format]string{JSON: "gatewatch.alert/1", OCSF: "ocsf.detection_finding/1.8.0"} {
		must(t, format.Validate())
		if got := format.Schema(a); got != schema {
			t.Errorf("%s has schema %s", format, got)
		}
		var buf bytes.Buffer
		must(t, format.Write(&buf, a))
		if finding := strings.Contains(buf.String(), `"class_uid":2004`); finding != (format == OCSF) {
			t.Errorf("%s: %s", format, buf.String())
		}
	}
	if err := Format("cef").Validate(); err == nil || !strings.Contains(err.Error(), `"json" or "ocsf"`) {
		t.Error(err)
	}
}
