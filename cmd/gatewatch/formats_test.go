package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// TestReadmeKnowsFormats holds the README's table and its example of a mapping against the code.
func TestReadmeKnowsFormats(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range accesslog.Formats() {
		if name != accesslog.Auto && !strings.Contains(string(text), "\n| `"+name+"` |") {
			t.Errorf("the README has no row for the format %s", name)
		}
	}
	_, after, _ := strings.Cut(string(text), "#### Any other JSON")
	_, after, _ = strings.Cut(after, "```yaml\n")
	example, _, ok := strings.Cut(after, "```")
	if !ok || !strings.Contains(example, "mapping:") {
		t.Fatal("the README has no example of a mapping")
	}
	c, err := parseConfig([]byte("kafka: {topics: [t]}\nsinks: {stdout: {}}\n" + example))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Ingest.Mapping["client_id"]); n != 4 {
		t.Errorf("client_id of the example has %d sources", n)
	}
}

func TestMistakesInMappingsAreNamed(t *testing.T) {
	const base = "kafka: {topics: [t]}\nsinks: {stdout: {}}\n"
	for text, want := range map[string]string{
		"ingest: {format: kong, mapping: {client_id: {paht: a}}}":           "paht",
		"ingest: {format: kong, mapping: {client_id: [a, {paht: b}]}}":      "paht",
		"ingest: {format: kong, mapping: {clientid: a}}":                    "ingest: mapping.clientid: is no event field; the nearest one is client_id",
		"ingest: {format: kong, mapping: {time: {path: a, unit: h}}}":       `ingest: mapping.time: unit "h"`,
		"ingest: {format: kong, mapping: {client_id: 'a.', subject: 'b['}}": `ingest: mapping.subject: path "b["`,
		"ingest: {format: kongg}":                                           "ingest: format: \"kongg\" is none of auto, canonical,",
		"ingest: {mapping: {client_id: a}}":                                 "ingest: mapping: needs a format",
		"ingest: {trusted_proxies: [proxy]}":                                "ingest: trusted_proxies: \"proxy\" is no network",
	} {
		if _, err := parseConfig([]byte(base + text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestPseudonymsWhateverTheFormat holds that a token of the command line is written as in alerts.
func TestPseudonymsWhateverTheFormat(t *testing.T) {
	for _, format := range accesslog.Formats() {
		c := ingest.DefaultConfig()
		c.Format = format
		if format == accesslog.Mapped {
			c.Mapping = accesslog.Mapping{"time": {{Path: "t"}}}
		}
		if shown := newDecoding(c, nil, nil).shown("token_id", "secret-token"); !strings.HasPrefix(shown, "tok_") {
			t.Errorf("%s: %s", format, shown)
		}
	}
}

// TestReplayOfEachFormat replays the telemetry of every format, found by content and named.
func TestReplayOfEachFormat(t *testing.T) {
	for file, format := range map[string]string{
		"kong/request.json": "kong", "nginx/combined.log": "nginx", "otlp/spans.json": "otlp", "cloudtrail/file.json": "cloudtrail", "haproxy/http.log": "haproxy",
	} {
		path := filepath.Join("../../ingest/accesslog/testdata", file)
		for _, name := range []string{"", format} {
			var stdout, stderr bytes.Buffer
			err := replay(t.Context(), replayFlags{format: name}, []string{path}, nil, &stdout, &stderr)
			if err != nil || strings.Contains(stderr.String(), "rejected") || strings.Contains(stderr.String(), "\n0 events") {
				t.Errorf("%s with format %q: %v\n%s", file, name, err, stderr.String())
			}
		}
	}
}
