package main

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/ingest/push"
)

// TestPushedTelemetry pushes calls over HTTP, half of them compressed; they go through the topic and raise an alert.
func TestPushedTelemetry(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	const token = "a token for gateways"
	c := strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1) +
		"ingest: {http: {listen: \"127.0.0.1:0\", token: " + token + "}}\n"
	s := startService(t, c)
	var lines [][]byte
	for i := range 6 {
		lines = append(lines, call("t", i))
	}
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = packer.Write(append(append([]byte("["), bytes.Join(lines[3:], []byte(","))...), ']'))
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	for encoding, body := range map[string][]byte{"": bytes.Join(lines[:3], []byte("\n")), "gzip": packed.Bytes()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.push.Address()+push.Path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Encoding", encoding)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%s; the log:\n%s", resp.Status, s.log)
		}
	}
	s.await(t, "alerts.jsonl", `"state":"open"`, 1)
	if strings.Contains(s.log.String(), token) {
		t.Error("the token is in the log")
	}
}
