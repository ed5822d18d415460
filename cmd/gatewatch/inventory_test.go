package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/ingest/inventory"
)

// runInventory runs gatewatch inventory with the arguments and returns what it wrote and the error.
func runInventory(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newInventoryCommand()
	var out, errs bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

const smallSpec = `openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /orders/{id}: {get: {x-owner: team-orders}, delete: {}}
  /export: {get: {x-owner: team-orders, deprecated: true, x-sunset: 2026-06-30}}
`

// calls writes one record for each line "MINUTE CLIENT METHOD PATH STATUS".
func calls(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		w := strings.Fields(line)
		fmt.Fprintf(&b, `{"time":"2026-11-22T10:%s:00Z","client_id":%q,"method":%q,"path":%q,"status":%s}`+"\n", w[0], w[1], w[2], w[3], w[4])
	}
	return b.String()
}

func TestInventoryReport(t *testing.T) {
	spec := writeFile(t, "shop.yaml", smallSpec)
	telemetry := calls("00 app GET /orders/7 200", "01 app GET /orders/8 200", "02 old GET /export 200", "03 old GET /export 410",
		"04 app POST /orders/7/refund 201", "05 job POST /orders/8/refund 201", "06 job GET /wp-admin 404") + "not json\n"
	out, errs, err := runInventory(t, telemetry, "report", "--openapi", spec, "-")
	if err != nil {
		t.Fatal(err)
	}
	want := `7 requests from 2026-11-22T10:00:00.000Z to 2026-11-22T10:06:00.000Z, 3 endpoints in the specifications

Shadow: answered 2xx, and no specification names them (1)
  REQUESTS  CALLERS  FIRST SEEN        LAST SEEN         ENDPOINT                  API  OWNER  RETIRED
  2         2        2026-11-22 10:04  2026-11-22 10:05  POST /orders/{id}/refund  -    -      -

Zombie: called after their date (1)
  REQUESTS  CALLERS  FIRST SEEN        LAST SEEN         ENDPOINT     API   OWNER        RETIRED
  2         1        2026-11-22 10:02  2026-11-22 10:03  GET /export  Shop  team-orders  2026-06-30

Ownerless: nobody owns them (1)
  REQUESTS  CALLERS  FIRST SEEN  LAST SEEN  ENDPOINT             API   OWNER  RETIRED
  0         0        -           -          DELETE /orders/{id}  Shop  -      -

Unused: specified, and nobody calls them (1)
  ENDPOINT             API   OWNER  RETIRED
  DELETE /orders/{id}  Shop  -      -
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(errs, "1 record rejected: not_json") || !strings.Contains(errs, "standard input, line 8") {
		t.Errorf("stderr: %s", errs)
	}
	config := writeFile(t, "gatewatch.yaml", "kafka: {topics: [t]}\nsinks: {stdout: {}}\ninventory: {openapi: ["+spec+"]}\n")
	out, _, err = runInventory(t, telemetry, "report", "--config", config, "--format", "json", "-")
	var r inventory.Report
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || len(r.Shadow) != 1 || r.Shadow[0].Requests != 2 || r.Zombie[0].Successes != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestInventoryLearn(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("00 app GET /categories/kind%c%c/products 200", 'a'+i/26, 'a'+i%26), fmt.Sprintf("00 app GET /guess/kind%c%c 404", 'a'+i/26, 'a'+i%26))
	}
	out, _, err := runInventory(t, calls(lines...), "learn", "-")
	if err != nil || !strings.HasSuffix(out, "\nroutes:\n- /categories/{id}/products\n") {
		t.Errorf("%v: %s", err, out)
	}
	again, _, _ := runInventory(t, calls(append(lines[60:], lines[:60]...)...), "learn", "-")
	if again != out {
		t.Error("another order gives other routes")
	}
	learned := writeFile(t, "learned.yaml", out)
	spec := writeFile(t, "shop.yaml", smallSpec)
	report, _, err := runInventory(t, calls(lines...), "report", "--openapi", spec, "--learned", learned, "-")
	if err != nil || !strings.Contains(report, "GET /categories/{id}/products") {
		t.Errorf("%v: %s", err, report)
	}
	if out, _, _ = runInventory(t, calls(lines...), "learn", "--max-values", "100", "-"); !strings.HasSuffix(out, "\nroutes: []\n") {
		t.Errorf("learned of too few values: %s", out)
	}
}

func TestInventoryMistakes(t *testing.T) {
	spec := writeFile(t, "shop.yaml", smallSpec)
	broken := writeFile(t, "broken.yaml", "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths:\n  /a: {get: {x-sunset: soon, deprecated: maybe}}\n")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":           {[]string{"report", "--openapi", spec}, "name at least one file"},
		"no specification":  {[]string{"report", "-"}, "name the specifications"},
		"missing":           {[]string{"report", "--openapi", "/none.yaml", "-"}, "/none.yaml: no such file"},
		"broken":            {[]string{"report", "--openapi", broken, "-"}, broken + ":4:24: x-sunset must be a date"},
		"broken, all of it": {[]string{"report", "--openapi", broken, "-"}, broken + ":4:42: deprecated must be true or false"},
		"format":            {[]string{"report", "--openapi", spec, "--format", "xml", "-"}, `--format is "xml"`},
		"records":           {[]string{"report", "--openapi", spec, "--records", "csv", "-"}, `format: "csv"`},
		"missing telemetry": {[]string{"report", "--openapi", spec, "/none.jsonl"}, "/none.jsonl"},
		"too few values":    {[]string{"learn", "--max-values", "0", "-"}, "--max-values is 0"},
		"learned":           {[]string{"report", "--openapi", spec, "--learned", spec, "-"}, "is no file of learned routes"},
		"unknown command":   {[]string{"export"}, `unknown command "export"`},
	} {
		if _, _, err := runInventory(t, "", c.args...); !mistaken(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestShippedInventoryRules replays generated traffic with the specifications of fixtures/openapi: what is missing in them, and
// nothing else, is found.
func TestShippedInventoryRules(t *testing.T) {
	cfg := traffic.DefaultConfig()
	cfg.Rate = 20
	cfg.Scenarios, _ = traffic.ParsePicks("shadow-endpoint", "zombie-endpoint")
	generator, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "telemetry.jsonl")
	var text []byte
	for r := range generator.All() {
		text = append(traffic.AppendJSON(text, r), '\n')
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, a := range replayedWith(t, replayFlags{openapi: []string{"../../fixtures/openapi"}}, path) {
		detail, ok := a.Observed.Detail["endpoints"].([]any)
		if !ok {
			t.Errorf("%s: %s", a.Rule.ID, a.Summary)
		}
		for _, endpoint := range detail {
			found[a.Rule.ID+" "+endpoint.(map[string]any)["endpoint"].(string)] = true
		}
	}
	want := map[string]bool{
		"shadow-endpoint GET /internal/accounts/export": true, "zombie-endpoint GET /v0/accounts/{id}": true,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	for _, a := range replayedWith(t, replayFlags{}, path) {
		t.Errorf("without an inventory: %s: %s", a.Rule.ID, a.Summary)
	}
	out, _, err := runInventory(t, "", "report", "--openapi", "../../fixtures/openapi", "--format", "json", path)
	var r inventory.Report
	if err != nil || json.Unmarshal([]byte(out), &r) != nil {
		t.Fatal(err)
	}
	var unused []string
	for _, e := range r.Unused {
		unused = append(unused, e.Route)
	}
	// All but the gift cards are called in scenarios alone.
	if diff := cmp.Diff([]string{
		"/gift-cards/{code}", "/users/{userId}/profile/email", "/oauth/revoke", "/password/reset", "/health", "/management/users", "/settlements",
	}, unused); diff != "" {
		t.Error(diff)
	}
	if len(r.Ownerless) != 1 || r.Ownerless[0].Route != "/health" {
		t.Errorf("%+v", r.Ownerless)
	}
}

func replayedWith(t *testing.T, f replayFlags, path string) (alerts []*alert.Alert) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := replay(t.Context(), f, []string{path}, nil, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		a := &alert.Alert{}
		if err := json.Unmarshal([]byte(line), a); err != nil {
			t.Fatal(err)
		}
		alerts = append(alerts, a)
	}
	return alerts
}

func TestExplainWithInventory(t *testing.T) {
	event := strings.TrimSpace(calls("00 old GET /export 200"))
	out, err := runRules(t, event, "explain", "--event", "-", "--rule", "zombie-endpoint", "--openapi", writeFile(t, "shop.yaml", smallSpec))
	if err != nil || !strings.Contains(out, "counts  zombie-endpoint: route=/export, endpoint=zombie") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runRules(t, event, "explain", "--event", "-", "--rule", "zombie-endpoint")
	if err != nil || !strings.Contains(out, "wants endpoint: zombie; found method=GET route=/export status=200") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRulesWithoutInventoryAreNamed(t *testing.T) {
	rules := writeFile(t, "rules.yaml", "rules:\n  - {id: shadows, detect: inventory, by: client_id}\n  - {id: pii, detect: rate, by: client_id, where: {classification: pii}, window: 1m, limit: 5}\n  - {id: plain, detect: rate, by: client_id, window: 1m, limit: 5}\n")
	path := writeFile(t, "t.jsonl", calls("00 app GET /x 200"))
	for _, c := range []struct {
		f      replayFlags
		warned bool
	}{
		{replayFlags{rules: []string{rules}}, true}, {replayFlags{}, false},
		{replayFlags{rules: []string{rules}, openapi: []string{writeFile(t, "shop.yaml", smallSpec)}}, false},
	} {
		var stdout, stderr bytes.Buffer
		if err := replay(t.Context(), c.f, []string{path}, nil, &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(stderr.String(), `rules="[shadows pii]"`); got != c.warned {
			t.Errorf("%+v: %s", c.f, &stderr)
		}
	}
}
