package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/ingest"
)

// TestReplayWithRevokedTokens names one token raw and one by its pseudonym. Neither list nor log nor alert shows a raw one.
func TestReplayWithRevokedTokens(t *testing.T) {
	decoding := newDecoding(ingest.DefaultConfig(), nil, nil)
	shown := decoding.shown("token_id", "secret-of-b")
	list := writeFile(t, "revoked.csv", "secret-of-a,2026-11-22T09:00:00Z\n"+shown+"\nsecret-of-nobody\nsecret-bad,soon\n")
	var input strings.Builder
	for _, token := range []string{"secret-of-a", "secret-of-b", "secret-of-c", shown} {
		fmt.Fprintf(&input, `{"time":"2026-11-22T10:00:00Z","client_id":"app","token_id":%q,"method":"GET","path":"/x","status":200}`+"\n", token)
	}
	var stdout, stderr bytes.Buffer
	if err := replay(t.Context(), replayFlags{revoked: []string{list}}, []string{"-"}, strings.NewReader(input.String()), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the token " + decoding.shown("token_id", "secret-of-a") + " was used 1 hour after it was revoked",
		"the token " + shown + " was used although it is revoked",
		// Somebody sends the pseudonym as his token: then the list means that one too.
		"the token " + decoding.shown("token_id", shown) + " was used although it is revoked",
	} {
		if n := strings.Count(stdout.String(), `"summary":"`+want); n != 1 {
			t.Errorf("%d alerts say %q:\n%s", n, want, &stdout)
		}
	}
	if n := strings.Count(stdout.String(), `"state":"open"`); n != 3 {
		t.Errorf("%d alerts, want 3", n)
	}
	if out := stdout.String() + stderr.String(); strings.Contains(out, "secret-") || !strings.Contains(out, "line=4") {
		t.Errorf("a raw token is shown, or the bad line is not told:\n%s", out)
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if err := replay(t.Context(), replayFlags{revoked: []string{bad}}, []string{"-"}, strings.NewReader(""), &stdout, &stderr); !mistaken(err) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestServiceLearnsOfRevokedTokens uses a token while the service runs, before and after a list names it.
func TestServiceLearnsOfRevokedTokens(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "revoked.csv")
	if err := os.WriteFile(list, []byte("other-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeRules(t, dir, "rules: [{id: revoked, title: A revoked token, detect: contract, by: token_id, find: revoked_token, leeway: 0s}]")
	s := startService(t, strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1)+"ingest: {revocation: {files: ["+list+"]}}\n")
	s.awaitReady(t)
	s.produce(t, call("token-one", 1))
	s.awaitMetric(t, "gatewatch_decode_events_total 1")
	if err := os.WriteFile(list, []byte("other-token\ntoken-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitMetric(t, "gatewatch_revocation_tokens 2")
	s.produce(t, call("token-one", 2))
	found := s.await(t, "alerts.jsonl", "although it is revoked", 1)
	if !strings.Contains(found[0], `"path":"/users/2"`) || strings.Contains(found[0], `"path":"/users/1"`) {
		t.Errorf("%s", found[0])
	}
}

const someContracts = `
contracts:
  - {id: partners, title: Partners, applies_to: {client_id: "partner-*"}, may: {method: GET}, environments: prod}
`

// TestContractsAlone adds a file of contracts to the shipped rules.
func TestContractsAlone(t *testing.T) {
	path := writeFile(t, "contracts.yaml", someContracts)
	out, err := runRules(t, "", "check", path)
	if err != nil || !strings.HasSuffix(out, path+": ok, 1 contract\n") || !strings.Contains(out, "credentials.yaml: ok") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runRules(t, "", "list", path)
	if words := strings.Join(strings.Fields(out), " "); err != nil || !strings.Contains(words, "CONTRACT APPLIES TO AGREED TITLE partners client_id: partner-* operation, environment Partners") {
		t.Errorf("%v: %s", err, out)
	}
	event := fmt.Sprintf(`{"time":%q,"client_id":"partner-7","method":"DELETE","path":"/x","status":200}`, time.Now().UTC().Format(time.RFC3339))
	out, err = runRules(t, event, "explain", "--event", "-", "--rules", path, "--rule", "contract-deviation")
	if err != nil || !strings.Contains(out, "counts  contract-deviation: client_id=partner-7, deviates in operation of contract partners") {
		t.Errorf("%v: %s", err, out)
	}
	rule := writeFile(t, "rules.yaml", "rules: [{id: r, detect: contract, by: client_id, contracts: partner}]"+someContracts)
	out, err = runRules(t, "", "check", rule)
	if !mistaken(err) || !strings.Contains(out, `:1:61: rule "r": there is no contract "partner" (did you mean "partners"?)`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = runRules(t, "", "check", writeFile(t, "both.yaml", goodRule+someContracts)); err != nil || !strings.HasSuffix(out, ": ok, 1 rule, 1 contract\n") {
		t.Errorf("%v: %s", err, out)
	}
}
