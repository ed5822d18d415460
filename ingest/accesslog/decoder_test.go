package accesslog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

func testNow() time.Time { return time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC) }

var testQuery = []string{"q", "user id", "tier"}

func newTestDecoder() *Decoder {
	return New(Options{Now: testNow, Query: NewQueryNames(testQuery...)})
}

// full is the object of the documentation.
const full = `{"time":"2026-11-22T10:00:00.123Z","environment":"prod","api":"orders-v1","client_id":"mobile-app","subject":"user-123",` +
	`"token_id":"jti-1","session_id":"s-9","source_ip":"81.2.69.142","method":"get","path":"/users/42/profile?tier=gold&secret=1#top",` +
	`"route":"/users/{id}/profile","status":200,"duration_ms":12.3,"request_bytes":0,"response_bytes":512,` +
	`"user_agent":"okhttp/4","scopes":["profile.read"],"token_issued_at":1795341000,"token_expires_at":"2026-11-22T11:00:00+01:00",` +
	`"request_id":"r-1","attributes":{"tier":"gold","n":1.50,"yes":true,"none":null,"empty":""}}`

func TestCanonicalObject(t *testing.T) {
	var mem arena.Arena
	events := newTestDecoder().Decode([]byte(full), &mem, nil)
	want := event.Event{
		Time: 1795341600123, Status: 200, DurationMS: 12.3, ResponseSize: 512,
		SourceIP: netip.MustParseAddr("81.2.69.142"), TokenIssuedAt: 1795341000000, TokenExpiresAt: 1795341600000,
		Environment: "prod", API: "orders-v1", ClientID: "mobile-app", Subject: "user-123", TokenID: "jti-1",
		SessionID: "s-9", Method: "GET", Path: "/users/42/profile", Route: "/users/{id}/profile", UserAgent: "okhttp/4",
		RequestID: "r-1", IPText: "81.2.69.142", Scopes: []string{"profile.read"},
		Attributes: []event.Attribute{{Key: "tier", Value: "gold"}, {Key: "n", Value: "1.50"}, {Key: "yes", Value: "true"}, {Key: "query.tier", Value: "gold"}},
	}
	if len(events) != 1 || !reflect.DeepEqual(events[0], want) {
		t.Errorf("got %+v\nwant %+v", events, want)
	}
}

// with returns a good object with some members replaced or added; "" removes one.
func with(members ...string) string {
	object := map[string]string{
		"time": `"2026-11-22T10:00:00Z"`, "method": `"GET"`, "path": `"/a"`, "status": `200`, "client_id": `"c"`,
	}
	for i := 0; i < len(members); i += 2 {
		object[members[i]] = members[i+1]
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if object[name] != "" {
			fmt.Fprintf(&b, `%s%q:%s`, map[bool]string{true: ",", false: "{"}[b.Len() > 0], name, object[name])
		}
	}
	return b.String() + "}"
}

func TestRejected(t *testing.T) {
	tests := []struct {
		name, record string
		reason       Reason // "" for none
	}{
		{"good", with(), ""},
		{"empty", "", NotJSON},
		{"blank", " \n\t", NotJSON},
		{"text", "GET /a 200", NotJSON},
		{"truncated", with()[:40], NotJSON},
		{"no time", with("time", ""), MissingField},
		{"null time", with("time", "null"), MissingField},
		{"time of the wrong type", with("time", "[1]"), BadField},
		{"unreadable time", with("time", `"yesterday"`), BadTime},
		{"29 February", with("time", `"2025-02-29T00:00:00Z"`), BadTime},
		{"time without zone", with("time", `"2025-02-28T00:00:00"`), BadTime},
		{"1970", with("time", "5"), BadTime},
		{"1999", with("time", `"1999-12-31T23:59:59.999Z"`), BadTime},
		{"2000", with("time", `"2000-01-01T00:00:00Z"`), ""},
		{"2100", with("time", `"2100-01-01T00:00:00Z"`), Future},
		{"far", with("time", "1e300"), Future},
		{"five minutes ahead", with("time", `"2026-11-22T10:05:05Z"`), ""},
		{"a little more", with("time", `"2026-11-22T10:05:05.001Z"`), Future},
		{"no method", with("method", ""), MissingField},
		{"empty method", with("method", `""`), BadField},
		{"odd method", with("method", `"GET /"`), BadField},
		{"no path", with("path", ""), MissingField},
		{"empty path", with("path", `""`), BadField},
		{"numeric path", with("path", `1`), BadField},
		{"long path", with("path", `"/`+strings.Repeat("a", 100_000)+`"`), TooLarge},
		{"long query", with("path", `"/?`+strings.Repeat("a", 100_000)+`"`), ""},
		{"no status", with("status", ""), MissingField},
		{"status as text", with("status", `"200"`), ""},
		{"status as float", with("status", `2.0e2`), ""},
		{"status 0", with("status", `0`), BadField},
		{"status 600", with("status", `600`), BadField},
		{"status 200.5", with("status", `200.5`), BadField},
		{"status true", with("status", `true`), BadField},
		{"nobody", with("client_id", ""), MissingField},
		{"nobody but an address", with("client_id", "", "source_ip", `"81.2.69.142"`), ""},
		{"nobody and no address", with("client_id", "", "source_ip", `"localhost"`), MissingField},
		{"no address, but a client", with("source_ip", `"localhost"`), ""},
		{"invalid UTF-8", with("user_agent", "\"\xff\""), NotJSON},
		{"a control character", with("user_agent", "\"\x01\""), NotJSON},
		{"a NUL", with("user_agent", "\"\x00\""), NotJSON},
		{"an invalid escape", with("user_agent", `"\x"`), NotJSON},
		{"an invalid number", with("x", "01"), NotJSON},
		{"deep enough", with("x", strings.Repeat("[", 63)+strings.Repeat("]", 63)), ""},
		{"too deep", with("x", strings.Repeat("[", 64)+strings.Repeat("]", 64)), NotJSON},
		{"a bomb", with("x", strings.Repeat(`{"a":[`, 150_000)), NotJSON},
		{"a scalar", `"` + strings.Repeat("a", 20) + `"`, UnknownForm},
		{"too large", with("x", `"`+strings.Repeat("a", DefaultMaxRecordBytes)+`"`), TooLarge},
	}
	for _, tt := range tests {
		var mem arena.Arena
		d := newTestDecoder()
		events := d.Decode([]byte(tt.record), &mem, nil)
		if tt.reason == "" {
			if len(events) != 1 || len(d.Problems()) != 0 {
				t.Errorf("%s: %d events, problems %v, want one event", tt.name, len(events), d.Problems())
			}
			continue
		}
		if len(events) != 0 || len(d.Problems()) != 1 || d.Problems()[0].Reason != tt.reason {
			t.Errorf("%s: %d events, problems %v, want %s", tt.name, len(events), d.Problems(), tt.reason)
		}
	}
}

// TestBadPartsHarmNoOthers lists what comes out of a record in order: e for an event, else the reason.
func TestBadPartsHarmNoOthers(t *testing.T) {
	good := with()
	tests := []struct{ name, record, want string }{
		{"array", "[" + good + "," + good + "]", "e e"},
		{"empty array", "[]", ""},
		{"lines", good + "\n" + good + "\r\n\n" + good, "e e e"},
		{"one behind the other", good + good, "e e"},
		{"byte order mark", "\ufeff" + good, "e"},
		{"envelope", `{"x":[1],"records":[` + good + "," + good + `],"y":{}}`, "e e"},
		{"escaped envelope", `{"record\u0073":[` + good + `]}`, "e"},
		{"lines of envelopes", `{"records":[` + good + "]}\n" + `{"records":[` + good + "]}", "e e"},
		{"records of an event", with("records", "["+good+"]"), "e"},
		{"records that are no list", `{"records":{}}`, "missing_field"},

		{"bad meaning in an array", "[" + good + `,{"time":1},` + good + "]", "e missing_field e"},
		{"bad JSON in an array", "[" + good + `,{"a":tru},` + good + "]", "e not_json e"},
		{"bad string in an array", "[" + with("user_agent", "\"\x02\"") + "," + good + "]", "not_json e"},
		{"bad UTF-8 in an array", "[" + with("user_agent", "\"\xc0\"") + "," + good + "]", "not_json e"},
		{"brackets in a bad element", `[{"a":"}],{\"",x},` + good + "]", "not_json e"},
		{"a bomb in an array", "[" + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "," + good + "]", "not_json e"},
		{"scalars in an array", "[1,null," + good + `,"x",[` + good + "]]", "unknown_format unknown_format e unknown_format unknown_format"},
		{"bad element in an envelope", `{"records":[{"a":tru},` + good + `],"y":1} ` + good, "not_json e e"},
		{"bad member behind an envelope", `{"records":[` + with("user_agent", `"\"}"`) + `],"y":tru} ` + good, "e e"},
		{"missing element", "[" + good + ",," + good + "]", "e not_json e"},

		{"truncated array", "[" + good + "," + good + `,{"time":"20`, "e e not_json"},
		{"array without end", "[" + good + "," + good, "e e not_json"},
		{"array without commas", "[" + good + " " + good + "]", "e not_json"},
		{"bad element at the end", `[{"a":tru}`, "not_json not_json"},
		{"truncated envelope", `{"records":[` + good + "," + good + `,{"ti`, "e e not_json"},
		{"envelope without end", `{"records":[` + good + "]", "e not_json"},

		{"bad line", good + "\n" + `{"a":tru}` + "\n" + good, "e not_json e"},
		{"truncated line", good + "\n" + good[:30] + "\n" + good, "e not_json e"},
		{"line cut in a string", good[:20] + "\n" + good, "not_json e"},
		{"line cut before a value", `{"a":` + "\n" + good + "\n" + good, "not_json e e"},
		{"text between", good + "\n# comment\n" + good, "e not_json e"},
	}
	for _, tt := range tests {
		var mem arena.Arena
		d := newTestDecoder()
		events := d.Decode([]byte(tt.record), &mem, nil)
		if got := strings.Join(outcome(events, d.Problems()), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func outcome(events []event.Event, problems []Problem) []string {
	type part struct {
		index int32
		what  string
	}
	var parts []part
	for _, e := range events {
		parts = append(parts, part{e.Index, "e"})
	}
	for _, p := range problems {
		parts = append(parts, part{p.Index, string(p.Reason)})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.index, b.index) })
	var out []string
	for _, p := range parts {
		out = append(out, p.what)
	}
	return out
}

func TestProblemsOfOneRecordAreBounded(t *testing.T) {
	var mem arena.Arena
	d := newTestDecoder()
	d.Decode([]byte("["+strings.Repeat("{},", 100_000)+with()+"]"), &mem, nil)
	if len(d.Problems()) != maxProblems {
		t.Errorf("%d problems listed, want %d", len(d.Problems()), maxProblems)
	}
	counted := map[Reason]int{}
	d.Rejected(func(r Reason, n int) { counted[r] += n })
	if counted[MissingField] != 100_000 {
		t.Errorf("counted %v, want 100000 %s", counted, MissingField)
	}
}

func TestHugeRecordsDoNotStall(t *testing.T) {
	for name, record := range map[string]string{
		"open brackets":         strings.Repeat("[", 1<<20),
		"open objects":          strings.Repeat(`{"a":`, 1<<17),
		"lines of them":         strings.Repeat("{\"a\":[\n", 1<<17),
		"quotes":                strings.Repeat(`"`, 1<<20),
		"backslashes":           `{"a":"` + strings.Repeat(`\`, 1<<19),
		"rubbish":               strings.Repeat("\xff\x00{", 1<<18),
		"lines":                 strings.Repeat("x\n", 1<<19),
		"10 MB":                 strings.Repeat("a", 10<<20),
		"scalars":               strings.Repeat("1 ", 1<<19),
		"quoted lines":          strings.Repeat(`1.2.3.4 - - [`+"\n", 1<<16),
		"backslashes of a line": `1.2.3.4 - - [22/Nov/2026:09:59:58 +0000] "GET /` + strings.Repeat(`\"`, 1<<18) + `" 200 1`,
		"pairs":                 `{"resourceSpans":[{"resource":{"attributes":` + strings.Repeat(`[{"key":"service.name","value":{"arrayValue":{"values":`, 9) + `[]` + strings.Repeat(`}}}]`, 9) + `},"scopeSpans":[` + strings.Repeat(`{"spans":[{},1]},`, 1<<14) + `1]}]}`,
		"nested":                `{"message":"` + strings.Repeat(`{\"message\":`, 1<<15) + `"}`,
		"headers":               `{"start_time":1,"client_ip":"1.2.3.4","request":{"method":1,"headers":{` + strings.Repeat(`"a":1,`, 1<<17) + `"b":1}}}`,
	} {
		var mem arena.Arena
		d := newTestDecoder()
		d.Decode([]byte(record), &mem, nil) // quadratic time would be minutes
		if len(d.Problems()) == 0 {
			t.Errorf("%s: no problem", name)
		}
	}
}

func TestTargets(t *testing.T) {
	for target, want := range map[string]string{
		"/a/b?x=1":             "/a/b",
		"/a#f?x":               "/a",
		"https://h.example/a":  "/a",
		"https://h.example":    "/",
		"https://h.example?x":  "/",
		"HTTP://h:80/a/b#c":    "/a/b",
		"a/b":                  "/a/b",
		"?x":                   "/",
		"#":                    "/",
		"*":                    "/*",
		"/x?u=http://evil/adm": "/x",
		"x y://h/a":            "/x y://h/a",
		"://h/a":               "/://h/a",
	} {
		quoted, _ := json.Marshal(target)
		var mem arena.Arena
		events := newTestDecoder().Decode([]byte(with("path", string(quoted))), &mem, nil)
		if len(events) != 1 || events[0].Path != want {
			t.Errorf("%s: %+v, want path %s", target, events, want)
		}
	}
}

func TestQueryParameters(t *testing.T) {
	names := NewQueryNames("id")
	d := New(Options{Now: testNow, Query: names})
	decode := func() []event.Attribute {
		var mem arena.Arena
		return d.Decode([]byte(with("path", `"/a?id=1%202&x=3&id=b+c&i%64=%ff&id="`)), &mem, nil)[0].Attributes
	}
	if got, want := decode(), []event.Attribute{{Key: "query.id", Value: "1 2,b c,%ff"}}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	names.Set("x")
	if got, want := decode(), []event.Attribute{{Key: "query.x", Value: "3"}}; !slices.Equal(got, want) {
		t.Errorf("after Set: got %q, want %q", got, want)
	}
	names.Set()
	if got := decode(); len(got) != 0 {
		t.Errorf("with no names: got %q", got)
	}
}

func TestManyAttributesAndScopesAreBounded(t *testing.T) {
	var attributes, scopes []string
	for i := range 1000 {
		attributes = append(attributes, fmt.Sprintf(`"k%d":1`, i))
		scopes = append(scopes, fmt.Sprintf(`"s%d"`, i))
	}
	record := with("attributes", "{"+strings.Join(attributes, ",")+"}", "scopes", "["+strings.Join(scopes, ",")+"]", "path", `"/?q=1"`)
	var mem arena.Arena
	d := newTestDecoder()
	e := d.Decode([]byte(record), &mem, nil)[0]
	if len(e.Attributes) != maxAttributes || len(e.Scopes) != maxScopes {
		t.Errorf("%d attributes and %d scopes", len(e.Attributes), len(e.Scopes))
	}
	ignored := map[string]int{}
	d.IgnoredFields(func(field string, n int) { ignored[field] += n })
	if ignored["attributes"] != 2 || ignored["scopes"] != 1 {
		t.Errorf("ignored %v", ignored)
	}
}

// compare decodes a record with both decoders, and reports whether it was for the twin.
func compare(t *testing.T, record []byte) bool {
	w := &twin{now: event.TimeOf(testNow()), query: testQuery}
	if len(record) > DefaultMaxRecordBytes || !w.decode(record) {
		return false
	}
	var mem arena.Arena
	d := newTestDecoder()
	before := string(record)
	events := d.Decode(record, &mem, nil)
	if string(record) != before {
		t.Fatal("the record was changed")
	}
	reasons := map[int32]Reason{}
	for _, p := range d.Problems() {
		reasons[p.Index] = p.Reason
	}
	if len(w.reasons) < maxProblems && !maps.Equal(reasons, w.reasons) {
		t.Fatalf("%q: problems %v, the twin has %v", record, reasons, w.reasons)
	}
	ignored := map[string]int{}
	d.IgnoredFields(func(field string, n int) { ignored[field] += n })
	if len(events) != len(w.events) {
		t.Fatalf("%q: %d events, the twin has %d", record, len(events), len(w.events))
	}
	for i := range events {
		if len(w.events[i].Attributes) > maxAttributes/2 || len(w.events[i].Scopes) > maxScopes {
			return false // the twin knows no limits
		}
		sortAttributes(events[i].Attributes)
		sortAttributes(w.events[i].Attributes)
		if !reflect.DeepEqual(events[i], w.events[i]) {
			t.Fatalf("%q: event %d\n%+v, the twin has\n%+v", record, i, events[i], w.events[i])
		}
	}
	if skipped := d.Skipped(); skipped != w.skipped {
		t.Fatalf("%q: skipped %d, the twin %d", record, skipped, w.skipped)
	}
	if !maps.Equal(ignored, w.ignored) {
		t.Fatalf("%q: ignored %v, the twin %v", record, ignored, w.ignored)
	}
	return true
}

func sortAttributes(list []event.Attribute) {
	slices.SortFunc(list, func(a, b event.Attribute) int { return strings.Compare(a.Key, b.Key) })
}

var nasty = []string{
	full, "[" + full + "," + full + "]", `{"records":[` + full + "]}", full + "\n" + full,
	with("time", "1795341600"), with("time", "1795341600.1239"), with("time", "1795341600123"), with("time", `"1795341600123"`),
	with("time", "1.7953416e9"), with("time", `"2026-11-22t10:00:00.1239+05:30"`), with("time", `"2026-11-21 23:59:60Z"`), with("time", "-0"),
	with("time", "1795341600000.9"), with("time", `"2024-02-29T00:00:00Z"`), with("time", `"1900-02-29T00:00:00Z"`), with("time", "946684799.9999"),
	with("time", "00"), with("time", `"1795341600."`), with("time", `" 1795341600"`), with("token_expires_at", "99999999999999999999"),
	with("token_issued_at", "-5.5"), with("token_issued_at", "1e400"),
	with("status", `"2e2"`), with("status", `"0200"`), with("status", `"+200"`), with("status", "1e999"),
	with("path", `"\u002fa\/b\u00e9\ud83d\ude00\ud800\udc"`), with("path", `"/\ud83d\ude00\ud800\ud800\udc00\udc00"`),
	with("path", `"/a?q=%41+b&user+id=1&q=%zz&tier=%c3%a9&tier=%ff"`), with("path", `"http://x/a?q=1#?q=2"`),
	with("user_agent", `"\"\\\/\b\f\n\r\t\u0000"`), with("user_agent", `12`), with("user_agent", `true`), with("user_agent", `{}`),
	with("subject", "1.0e5"), with("client_id", "", "subject", `""`), with("client_id", "", "token_id", `"t"`),
	with("source_ip", `"::ffff:1.2.3.4"`), with("source_ip", `"1.2.3.4:80"`), with("source_ip", `"[2001:db8::1]:443"`), with("source_ip", `"fe80::1%eth0"`),
	with("source_ip", `7`), with("source_ip", `"1.2.3.4, 5.6.7.8"`), with("source_ip", `[]`),
	with("duration_ms", "-1"), with("duration_ms", "0.1e-2"), with("duration_ms", "123456789012345678"), with("duration_ms", `"12.5"`), with("duration_ms", "-0.0"),
	with("duration_ms", "0.123456789012345"), with("duration_ms", "-2"), with("duration_ms", "1234567890.123456789"), with("duration_ms", "0.12345678901234567"), with("duration_ms", "9007199254740993.5"), with("duration_ms", `".5"`), with("duration_ms", `"1."`), with("duration_ms", `""`),
	with("request_bytes", `"434"`), with("request_bytes", "-1"), with("request_bytes", "1.5"), with("request_bytes", "9223372036854775808"), with("request_bytes", "-0"),
	with("scopes", `"a  b\tc"`), with("scopes", `["a",1,"",null,"b"]`), with("scopes", `[]`), with("scopes", `{}`),
	with("attributes", `{"a":{"b":1},"c":[1],"d":"x","d":"y","e":"z","e":null,"\u0061":"last"}`), with("attributes", `[]`), with("attributes", `{"query.q":"1"}`, "path", `"/?q=2"`),
	`{"time":1,"time":"2026-11-22T10:00:00Z","method":"x","method":"GET","path":"/a","status":1,"status":200,"client_id":"a","client_id":null,"subject":"s"}`,
	`{"\u0074ime":"2026-11-22T10:00:00Z","method":"GET","path":"/a","status":200,"client_id":"a"}`,
	`{"Time":"2026-11-22T10:00:00Z","METHOD":"GET","path":"/a","status":200,"client_id":"a"}`,
	`[1,"a",null,true,[],{},{"a":1}]`, `{"records":[],"records":1}`, `{"records":1,"records":[{}]}`, `{"records":[{}],"time":null}`, `{"records":[{}],"time":1}`,
	" \n", "1 2 3", "{}{}", "[][]", "\ufeff{}", `{"":""}`, with("x", strings.Repeat("[", 63)+strings.Repeat("]", 63)), "[" + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "]",
	"[" + with("user_agent", "\"\xff\"") + "]", with("user_agent", "\"é\u2028😀\""), `[` + strings.Repeat(" ", 20) + `]`,
	`{"a":tru}`, `[{"a":tru},` + with() + `]`, `{"records":[{"a":`, "{\n\"a\"", "[,]", "[{},]", "\"\\", "\"\\u12", "-", "1.", "1e", "tru", "[}", "{]",
}

func TestNastyRecordsAgreeWithTwin(t *testing.T) {
	for _, record := range nasty {
		compare(t, []byte(record))
	}
}

func TestSamplesAgreeWithTwin(t *testing.T) {
	for _, record := range sampleRecords(t) {
		compare(t, record)
	}
}

func FuzzDecodeAgainstTwin(f *testing.F) {
	for _, record := range nasty {
		f.Add([]byte(record))
	}
	for _, record := range sampleRecords(f) {
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) { compare(t, record) })
}

// FuzzDecodeAnything holds for every input, however broken.
func FuzzDecodeAnything(f *testing.F) {
	for _, record := range nasty {
		f.Add([]byte(record))
	}
	for file, record := range sampleRecords(f) {
		f.Add(record)
		if strings.Contains(file, "otlp") && strings.HasSuffix(file, ".json") {
			f.Add(protobuf(f, record))
		}
	}
	for _, b := range packed(f, []byte(full)) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		var mem arena.Arena
		d := newTestDecoder()
		events := d.Decode(record, &mem, nil)
		if len(events) != len(d.Elements()) {
			t.Fatalf("%d events of %d elements", len(events), len(d.Elements()))
		}
		for i, e := range events {
			for _, s := range []string{e.Path, e.Method, e.ClientID, e.Subject, e.UserAgent, e.RequestID, e.TokenID} {
				if !utf8.ValidString(s) {
					t.Fatalf("event %d has the invalid text %q", i, s)
				}
			}
		}
		for _, p := range d.Problems() {
			if p.Start < 0 || p.Start > p.End || p.End > len(d.Unpacked()) {
				t.Fatalf("problem %+v lies outside of %d bytes", p, len(d.Unpacked()))
			}
		}
		seen := map[int32]bool{}
		for i := range events {
			if seen[events[i].Index] {
				t.Fatalf("index %d twice", events[i].Index)
			}
			seen[events[i].Index] = true
		}
	})
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var mem arena.Arena
	d := newTestDecoder()
	events := make([]event.Event, 0, 4)
	record := []byte(full)
	decode := func() {
		mem.Reset()
		events = d.Decode(record, &mem, events[:0])
	}
	decode()
	if n := testing.AllocsPerRun(200, decode); n != 0 {
		t.Errorf("%v allocations for one record", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	record := []byte(`{"time":"2026-11-22T10:00:00.123Z","environment":"prod","api":"orders-v1","client_id":"mobile-app","subject":"user-123",` +
		`"token_id":"0b9c6a1e-6f0a-4c55-9d3a-2f6f4b1a7e11","session_id":"s-91827","source_ip":"81.2.69.142","method":"GET","path":"/users/42/profile",` +
		`"status":200,"duration_ms":12.3,"request_bytes":0,"response_bytes":512,"user_agent":"okhttp/4.12.0","scopes":["profile.read"],"request_id":"r-1f2e"}`)
	var mem arena.Arena
	d := newTestDecoder()
	events := make([]event.Event, 0, 1)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%1000 == 0 {
			mem.Reset()
		}
		events = d.Decode(record, &mem, events[:0])
	}
	if len(events) != 1 {
		b.Fatal(d.Problems())
	}
}

// TestRandomRecordsAgreeWithTwin puts names and values together that bytes changed at random seldom become.
func TestRandomRecordsAgreeWithTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := append(Fields(), "x", "records", `\u0074ime`, `attributes`, `scopes`, "")
	values := []string{
		`null`, `true`, `false`, `0`, `200`, `-1`, `1.5`, `2e2`, `"200"`, `"a"`, `"GET"`, `"/a?q=1"`, `"\u00e9\ud83d\ude00"`, `"\ud800"`, `""`, `"é"`,
		`"2026-11-22T10:00:00Z"`, `"2026-11-22T09:00:00.5+01:00"`, `1795341600123`, `1795341600.25`, `"1.2.3.4"`, `"::1"`,
		`[]`, `["a","b"]`, `[1,"c",null]`, `{}`, `{"a":"b"}`, `{"a":1,"a":null,"b":{"c":[]},"d":true}`, `[{"time":1}]`,
	}
	spaces := []string{"", "", "", " ", "\n", "\t\r "}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	object := func() string {
		members := []string{}
		for _, name := range []string{"time", "method", "path", "status", "client_id"} {
			if r.IntN(20) > 0 {
				value := map[string]string{"time": `1795341600123`, "method": `"GET"`, "path": `"/a"`, "status": `200`, "client_id": `"c"`}[name]
				members = append(members, fmt.Sprintf(`"%s"%s:%s%s`, name, pick(spaces), pick(spaces), value))
			}
		}
		for range r.IntN(6) {
			members = append(members, fmt.Sprintf(`%s"%s":%s%s`, pick(spaces), pick(names), pick(values), pick(spaces)))
		}
		r.Shuffle(len(members), func(i, k int) { members[i], members[k] = members[k], members[i] })
		return "{" + pick(spaces) + strings.Join(members, ",") + "}"
	}
	for range 4_000 {
		var record strings.Builder
		for range 1 + r.IntN(3) {
			switch r.IntN(4) {
			case 0:
				record.WriteString("[" + pick(spaces) + object() + "," + object() + pick(spaces) + "," + pick(values) + "]")
			case 1:
				record.WriteString(`{"records":` + pick(spaces) + `[` + object() + pick(spaces) + "]}")
			default:
				record.WriteString(object())
			}
			record.WriteString(pick(spaces))
		}
		compare(t, []byte(record.String()))
	}
}

// TestChangedSamplesAgreeWithTwin puts other values in place of those that gateways write, and leaves members out.
func TestChangedSamplesAgreeWithTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var objects []any
	for _, record := range sampleRecords(t) {
		dec := json.NewDecoder(strings.NewReader(string(record)))
		dec.UseNumber()
		for {
			var v any
			if dec.Decode(&v) != nil {
				break
			}
			objects = append(objects, v)
		}
	}
	compared, shared := 0, newTestDecoder()
	for range 3_000 {
		changed := change(r, objects[r.IntN(len(objects))], 0)
		record, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		if compare(t, record) {
			compared++
		}
		if got, want := rendered(shared, record), rendered(newTestDecoder(), record); got != want {
			t.Fatalf("%s\ngives after other records\n%s\nby itself\n%s", record, got, want)
		}
	}
	if compared < 2_500 {
		t.Errorf("only %d records were for the twin", compared)
	}
}

// change returns v with some of it changed.
func change(r *rand.Rand, v any, depth int) any {
	if depth > 0 && r.IntN(60) == 0 {
		others := []any{
			nil, true, "", "-", "a", "/b/c?q=1", json.Number("0"), json.Number("-1"), json.Number("1795341598.25"), json.Number("1795341598123"),
			json.Number("1e3"), json.Number("200"), "200", "GET /a HTTP/1.1", "22/Nov/2026:09:59:58 +0100", "2026-11-22T09:59:58.123456+0100", []any{}, []any{"x", nil},
			[]any{nil}, map[string]any{}, map[string]any{"key": "a", "value": "b"}, []any{[]any{"x"}}, "192.0.2.1:80", "Bearer abcdefghijkl", "é\"\\\n", "a,b c",
		}
		return others[r.IntN(len(others))]
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if r.IntN(50) > 0 {
				out[k] = change(r, v[k], depth+1)
			}
		}
		return out
	case []any:
		var out []any
		for _, item := range v {
			out = append(out, change(r, item, depth+1))
		}
		return out
	}
	return v
}

// TestBrokenArrayAmongLines holds that an array that is broken harms no other line, and that many of them cost little.
func TestBrokenArrayAmongLines(t *testing.T) {
	good := `{"time":1795341600123,"method":"GET","path":"/a","status":200,"client_id":"c"}`
	for record, want := range map[string]int{
		"[" + good + `,{"time":12` + "\n" + good + "\n[" + good + "]":                   3,
		"[" + good + `,{"path":"/x` + "\n" + good + "\n" + good:                         3,
		"[" + good + " " + good + "\n" + good:                                           2,
		"[\n" + good + "\n" + good:                                                      2,
		good + "\n" + `{"records":[` + good + `,{"ti` + "\n" + good + "\n" + good + "]": 4,
		strings.Repeat("[\n", 400_000) + good:                                           0,
	} {
		d := newTestDecoder()
		var mem arena.Arena
		if got := len(d.Decode([]byte(record), &mem, nil)); got != want || len(d.Problems()) == 0 {
			t.Errorf("%.200q: %d events, want %d; problems %.200q", record, got, want, fmt.Sprint(d.Problems()))
		}
	}
}
