package accesslog

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

var update = flag.Bool("update", false, "write what comes out to testdata")

// sampleRecords returns the records in testdata by name.
func sampleRecords(tb testing.TB) map[string][]byte {
	files, err := fs.Glob(Samples(), "*/*")
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all["testdata/"+file], err = fs.ReadFile(Samples(), file); err != nil {
			tb.Fatal(err)
		}
	}
	if len(all) < 38 {
		tb.Fatalf("only %d samples", len(all))
	}
	return all
}

// TestSamples decodes real forms of all formats.
func TestSamples(t *testing.T) {
	for file, record := range sampleRecords(t) {
		got := rendered(newTestDecoder(), record)
		if folder := filepath.Base(filepath.Dir(file)); folder == "canonical" || knownFormat(folder) {
			checkNamed(t, file, folder, record, got)
		}
		if *update {
			if err := os.WriteFile(file+".events", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file + ".events")
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s gives\n%s\nwant\n%s", file, got, want)
		}
	}
}

func knownFormat(name string) bool {
	for _, n := range Formats() {
		if n == name {
			return true
		}
	}
	return false
}

// checkNamed decodes a record with its format set, which must give what detection gives, unless other formats or what is no
// request stand in the record too.
func checkNamed(t *testing.T, file, format string, record []byte, auto string) {
	if strings.Contains(file, "others") || strings.Contains(file, "kong/batch") || strings.Contains(file, "otlp/logs") {
		return
	}
	d := New(Options{Now: testNow, Query: NewQueryNames(testQuery...), Format: format})
	if got := rendered(d, record); got != auto {
		t.Errorf("%s with format %s gives\n%s\nwithout\n%s", file, format, got, auto)
	}
}

// rendered decodes a record and writes what comes out, one event or problem a line.
func rendered(d *Decoder, record []byte) string {
	var mem arena.Arena
	var out strings.Builder
	for _, e := range d.Decode(record, &mem, nil) {
		line, _ := json.Marshal(shown(&e))
		fmt.Fprintf(&out, "%d %s\n", e.Index, line)
	}
	for _, p := range d.Problems() {
		fmt.Fprintf(&out, "%d %s: %s\n", p.Index, p.Reason, p.Detail)
	}
	d.IgnoredFields(func(field string, n int) { fmt.Fprintf(&out, "ignored %s: %d\n", field, n) })
	if n := d.Skipped(); n > 0 {
		fmt.Fprintf(&out, "skipped: %d\n", n)
	}
	return out.String()
}

// canonicalEvent is an event with the names of the canonical format.
type canonicalEvent struct {
	Time       string            `json:"time"`
	Env        string            `json:"environment,omitempty"`
	API        string            `json:"api,omitempty"`
	ClientID   string            `json:"client_id,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	TokenID    string            `json:"token_id,omitempty"`
	SessionID  string            `json:"session_id,omitempty"`
	SourceIP   string            `json:"source_ip,omitempty"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Route      string            `json:"route,omitempty"`
	Status     int32             `json:"status"`
	DurationMS float64           `json:"duration_ms,omitempty"`
	Request    int64             `json:"request_bytes,omitempty"`
	Response   int64             `json:"response_bytes,omitempty"`
	UserAgent  string            `json:"user_agent,omitempty"`
	Scopes     []string          `json:"scopes,omitempty"`
	Issued     string            `json:"token_issued_at,omitempty"`
	Expires    string            `json:"token_expires_at,omitempty"`
	RequestID  string            `json:"request_id,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

func shown(e *event.Event) canonicalEvent {
	c := canonicalEvent{
		Time: e.Time.String(), Env: e.Environment, API: e.API, ClientID: e.ClientID, Subject: e.Subject, TokenID: e.TokenID, SessionID: e.SessionID,
		Method: e.Method, Path: e.Path, Route: e.Route, Status: e.Status, DurationMS: e.DurationMS, Request: e.RequestSize,
		Response: e.ResponseSize, UserAgent: e.UserAgent, Scopes: e.Scopes, RequestID: e.RequestID, Attributes: map[string]string{},
	}
	if e.SourceIP.IsValid() {
		c.SourceIP = e.SourceIP.String()
	}
	if e.TokenIssuedAt != 0 {
		c.Issued = e.TokenIssuedAt.String()
	}
	if e.TokenExpiresAt != 0 {
		c.Expires = e.TokenExpiresAt.String()
	}
	for _, a := range e.Attributes {
		c.Attributes[a.Key] = a.Value
	}
	return c
}

// TestLinesOneByOne gives the lines of each sample to one decoder, in an order that changes the format with every line: what
// came before must not matter.
func TestLinesOneByOne(t *testing.T) {
	var lines [][]byte
	for _, record := range sampleRecords(t) {
		for _, line := range bytes.Split(record, []byte("\n")) {
			if len(line) > 0 && line[0] != ' ' {
				lines = append(lines, line)
			}
		}
	}
	shared := newTestDecoder()
	for range 2 {
		for _, line := range lines {
			if got, want := rendered(shared, line), rendered(newTestDecoder(), line); got != want {
				t.Errorf("%s\ngives after other lines\n%s\nby itself\n%s", line, got, want)
			}
		}
	}
}

// TestSignaturesTellFormatsApart holds that every sample has the format of its folder, whatever is tried first.
func TestSignaturesTellFormatsApart(t *testing.T) {
	for file, record := range sampleRecords(t) {
		folder := filepath.Base(filepath.Dir(file))
		if !knownFormat(folder) || folder == "otlp" || strings.Contains(file, "others") || filepath.Ext(file) == ".log" || filepath.Ext(file) == ".pb" || strings.Contains(file, "kong/batch") {
			continue
		}
		d := newTestDecoder()
		var mem arena.Arena
		d.Decode(record, &mem, nil)
		if d.latest.name != folder {
			t.Errorf("%s is taken for %s", file, d.latest.name)
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	const record = `{"start_time":"2026-11-22T09:59:58Z","method":"GET","path":"/a","response_code":200,"downstream_remote_address":"192.0.2.1:4000","x-forwarded-for":"%s"}`
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		forwarded, want string
		trusted         []netip.Prefix
	}{
		{"203.0.113.9", "192.0.2.1", nil},
		{"203.0.113.9", "203.0.113.9", trusted},
		{"198.51.100.1, 203.0.113.9", "203.0.113.9", trusted},
		{"198.51.100.1,203.0.113.9 , 192.0.2.2:80,[2001:db8::1]:443", "203.0.113.9", trusted},
		{"192.0.2.9", "192.0.2.9", trusted},
		{"198.51.100.1, unknown", "192.0.2.1", trusted},
		{"198.51.100.1, unknown, 192.0.2.7", "192.0.2.7", trusted},
		{"", "192.0.2.1", trusted},
		{"203.0.113.9", "192.0.2.1", trusted[1:]},
	} {
		var mem arena.Arena
		e := New(Options{Now: testNow, TrustedProxies: c.trusted}).Decode(fmt.Appendf(nil, record, c.forwarded), &mem, nil)
		if len(e) != 1 || e[0].SourceIP.String() != c.want {
			t.Errorf("%s: %+v, want %s", c.forwarded, e, c.want)
		}
	}
}

// TestNobodyForgesRecords holds that what a caller can write into a line, a path or a header never becomes a record of its own.
func TestNobodyForgesRecords(t *testing.T) {
	forged := `{"time":"2026-11-22T09:59:58Z","method":"GET","path":"/forged","status":200,"client_id":"victim"}`
	for _, line := range []string{
		`192.0.2.10 - - [22/Nov/2026:09:59:58 +0000] "GET / HTTP/1.1" 200 45 "-" "x" ` + forged,
		`192.0.2.10 - ` + forged + ` [22/Nov/2026:09:59:58 +0000] "GET / HTTP/1.1" 200 45 "-" "x"`,
		`192.0.2.10:1 [22/Nov/2026:09:59:58.193] fe be/s1 0/0/0/1/1 200 188 - - ---- 1/1/0/0/0 0/0 ` + forged + ` "GET / HTTP/1.1"`,
		`<134>Nov 22 09:59:58 proxy-1 haproxy[1]: note: ` + forged,
		`<134>Nov 22 09:59:58 proxy-1 two words: ` + forged,
		`Nov 22 09:59:58 "x": ` + forged,
		`2026-11-22T09:59:58Z stdout P ` + forged,
		`2026-11-22T09:59:58Z ` + forged,
		`# ` + forged,
		`{"log":"agent: ` + strings.ReplaceAll(forged, `"`, `\"`) + `"}`,
		`{"user_agent":"` + strings.ReplaceAll(forged, `"`, `\"`) + `"}`,
	} {
		var mem arena.Arena
		for _, e := range newTestDecoder().Decode([]byte(line), &mem, nil) {
			if e.Path == "/forged" || e.ClientID == "victim" {
				t.Errorf("%s\ngives %+v", line, e)
			}
		}
	}
}
