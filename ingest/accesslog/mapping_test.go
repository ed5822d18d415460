package accesslog

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

func mappingOf(tb testing.TB, text string) Mapping {
	var m Mapping
	if err := yaml.UnmarshalWithOptions([]byte(text), &m, yaml.Strict()); err != nil {
		tb.Fatal(err)
	}
	return m
}

const ownMapping = `
time: {path: meta.at, unit: us}
request_line: http.line
status: [{path: http.code, values: {ok: "200", "*": "500"}}, {default: "204"}]
client_id:
  - http.headers.x-app
  - {path: tls.subject, part: CN}
  - {path: http.headers.authorization, claim: azp}
  - $header.tenant
subject: {path: auth.claims.sub}
token_id: auth.token
source_ip: hops[-1].ip
session_id: $key
api: {template: "{meta.team}/{meta.service}"}
duration_ms: {path: took, unit: s}
request_bytes: {path: size.in, unit: kib}
scopes: auth.scopes
attributes.tier: labels."plan.tier"
attributes.zone: [labels.zone, {default: unknown}]
`

const ownRecord = `{"meta":{"at":1795341598123456,"team":"shop","service":"or\u0064ers"},"http":{"line":"GET /users/42?q=1 HTTP/1.1","code":"ok",
 "headers":{"X-App":["mobile"]}},"auth":{"claims":{"sub":"user-42"},"token":"t\/1","scopes":"a,b c"},"hops":[{"ip":"198.51.100.1"},{"ip":"192.0.2.10:80"}],
 "took":0.0125,"size":{"in":1.5},"labels":{"plan.tier":"gold"}}`

func TestMapping(t *testing.T) {
	m := mappingOf(t, ownMapping)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Now: testNow, Format: Mapped, Mapping: m, Query: NewQueryNames("q")})
	if !d.Whole() {
		t.Error("the key is not asked for")
	}
	var mem arena.Arena
	record := Record{Value: []byte(ownRecord), Key: []byte("session-1"), Headers: []Header{{[]byte("tenant"), []byte("acme")}}}
	events := d.DecodeRecord(record, &mem, nil)
	if len(events) != 1 {
		t.Fatal(d.Problems())
	}
	want := event.Event{
		Time: 1795341598123, Status: 200, DurationMS: 12.5, RequestSize: 1536, SourceIP: events[0].SourceIP, API: "shop/orders", ClientID: "mobile",
		Subject: "user-42", TokenID: "t/1", SessionID: "session-1", Method: "GET", Path: "/users/42", Scopes: []string{"a", "b", "c"},
		Attributes: []event.Attribute{{Key: "tier", Value: "gold"}, {Key: "zone", Value: "unknown"}, {Key: "query.q", Value: "1"}},
	}
	if events[0].SourceIP.String() != "192.0.2.10" || !reflect.DeepEqual(events[0], want) {
		t.Errorf("got %+v\nwant %+v", events[0], want)
	}
	element := string(d.Elements()[0])
	for _, text := range []string{"orders", "t/1", "session-1", "acme"} {
		if !strings.Contains(element, text) {
			t.Errorf("%q is not in what secrets are looked for in: %s", text, element)
		}
	}
}

func TestMappingFallsBack(t *testing.T) {
	m := mappingOf(t, ownMapping)
	token := jwtOf(`{"azp":"from-token"}`)
	for _, c := range []struct{ from, to, client string }{
		{"", "", "mobile"},
		{`{"X-App":["mobile"]}`, `{}`, "acme"},
		{`{"X-App":["mobile"]}`, `{"x-app":{"a":1}}`, "acme"},
		{`{"X-App":["mobile"]}},`, `{}},"tls":{"subject":"CN=cert,O=x"},`, "cert"},
		{`{"X-App":["mobile"]}`, `{"AUTHORIZATION":"Bearer ` + token + `"}`, "from-token"},
		{`"ok",` + "\n" + ` "headers":{"X-App":["mobile"]}`, `"bad","headers":{"AUTHORIZATION":"Bearer ` + token + `"}`, "acme"},
	} {
		var mem arena.Arena
		d := New(Options{Now: testNow, Format: Mapped, Mapping: m})
		record := Record{Value: []byte(strings.Replace(ownRecord, c.from, c.to, 1)), Headers: []Header{{[]byte("tenant"), []byte("acme")}}}
		events := d.DecodeRecord(record, &mem, nil)
		if len(events) != 1 || events[0].ClientID != c.client {
			t.Errorf("%s: %+v %v, want %s", c.to, events, d.Problems(), c.client)
		}
	}
}

// TestMappingAddsToFormat holds that a mapping comes before the format it adds to, and the format fills in the rest.
func TestMappingAddsToFormat(t *testing.T) {
	m := mappingOf(t, "client_id: request.headers.x-app\nsubject: $key\n")
	const record = `{"started_at":1795341598123,"request":{"method":"GET","uri":"/a","headers":{"X-App":"%s"}},"response":{"status":200},"client_ip":"192.0.2.1","consumer":{"username":"kong"}}`
	for app, want := range map[string]string{"mine": "mine", "": "kong"} {
		e := decodeOne(t, Options{Format: "kong", Mapping: m}, fmt.Sprintf(record, app))
		if e.ClientID != want || e.Subject != "" || e.Status != 200 {
			t.Errorf("%q: %+v", app, e)
		}
	}
}

func TestBadMappings(t *testing.T) {
	for text, want := range map[string]string{
		"client_di: a":                                "client_di: is no event field; the nearest one is client_id",
		"attributes.: a":                              "attributes.: an attribute needs a name behind the dot",
		"time: {path: a, unit: hours}":                `time: unit "hours": known here are auto, s, ms, us, ns, clf, gin`,
		"duration_ms: {path: a, unit: clf}":           `duration_ms: unit "clf": known here are s, ms, us, ns, text`,
		"request_bytes: {path: a, unit: mb}":          `request_bytes: unit "mb": known here are bytes, kb, kib`,
		"method: {path: a, unit: s}":                  `method: unit "s": known here are none`,
		"method: {}":                                  "method: needs a path, a template or a default",
		"method: {path: a, template: b}":              "method: has both path and template; write two sources",
		"method: {default: GET, part: CN}":            "method: claim, part and since need a path",
		"method: {path: a, since: b}":                 "method: since is for duration_ms only",
		"path: a..b":                                  `path: path "a..b": a name is missing at a dot`,
		"path: a[b]":                                  `path: path "a[b]": an element is written [0] to [63], or [-1] for the last`,
		"path: a[1]b":                                 `path: path "a[1]b": a dot is missing before "b"`,
		"path: 'a.\"b'":                               `path: path "a.\"b": a quoted name is empty or has no end`,
		"path: $value":                                `path: path "$value": of a Kafka record there are $key and $header.<name>`,
		"path: {template: \"/{a\"}":                   `path: template "/{a": write paths in braces, as in /{service}/{operation}`,
		"path: {template: \"/{a[x]}\"}":               `path: template "/{a[x]}": path "a[x]": an element is written [0] to [63], or [-1] for the last`,
		"path: " + strings.Repeat("a.", 16) + "a":     "has more than 16 steps",
		"status: [a, {path: b, unit: x}, {path: ..}]": `status: unit "x": known here are none` + "\n" + `status: path ".."`,
	} {
		err := mappingOf(t, text).Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	var m Mapping
	if err := yaml.UnmarshalWithOptions([]byte("path: {paht: a}"), &m, yaml.Strict()); err == nil || !strings.Contains(err.Error(), "paht") {
		t.Errorf("an unknown key gives %v", err)
	}
}

// TestFormatsAreValid holds the shipped tables against the checks that mappings of users must pass.
func TestFormatsAreValid(t *testing.T) {
	for _, d := range definitions {
		if err := d.mapping.Validate(); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		for _, parts := range d.signatures {
			for _, part := range parts {
				p, _, _ := strings.Cut(part, "=")
				if _, err := parsePath(p); err != nil {
					t.Errorf("%s: %v", d.name, err)
				}
			}
		}
	}
}

func TestNoFormatAllocates(t *testing.T) {
	for file, record := range sampleRecords(t) {
		var mem arena.Arena
		d := newTestDecoder()
		events := make([]event.Event, 0, 16)
		decode := func() {
			mem.Reset()
			events = d.Decode(record, &mem, events[:0])
		}
		decode()
		if len(d.Problems()) > 0 {
			continue // details of problems are texts
		}
		if n := testing.AllocsPerRun(50, decode); n > 0 {
			t.Errorf("%s: %v allocations", file, n)
		}
	}
}

// TestBytesBesideARecord reads a header that is no text: it is no value, and harms nothing else.
func TestBytesBesideARecord(t *testing.T) {
	m := Mapping{
		"time": path("t"), "method": path("m"), "path": path("p"), "status": path("s"), "source_ip": path("i"),
		"client_id": path("$header.tenant"), "attributes": path("$key"), "attributes.key": path("$key"), "scopes": path("$key"),
	}
	var mem arena.Arena
	d := New(Options{Format: Mapped, Mapping: m, Now: testNow})
	events := d.DecodeRecord(Record{
		Value:   []byte(`{"t":1795341598123,"m":"GET","p":"/a","s":200,"i":"192.0.2.10"}`),
		Key:     []byte("{\xff\x00"),
		Headers: []Header{{[]byte("tenant"), []byte("a\xff")}},
	}, &mem, nil)
	if len(events) != 1 || events[0].ClientID != "" || len(events[0].Attributes)+len(events[0].Scopes) > 0 {
		t.Errorf("%+v, problems %v", events, d.Problems())
	}
}
