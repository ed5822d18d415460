package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/rules"
)

// runRules runs gatewatch rules with the arguments and returns the standard output and the error.
func runRules(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := newRulesCommand()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// mistaken reports whether the error makes gatewatch exit with status 2.
func mistaken(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	goodRule = "rules: [{id: good, title: Finds much, detect: distinct, by: client_id, where: {route: \"/users/{id}\", status: 2xx}, count: path.id, window: 1m, limit: 5}]\n"
	badRules = "rules:\n  - {id: bad, detect: rate, by: client, window: 1m, limit: 5}\n  - {id: worse, detect: travel, by: subject, speed: 5}\n"
)

func TestRulesCheck(t *testing.T) {
	out, err := runRules(t, "", "check")
	if err != nil || !strings.Contains(out, "objects.yaml: ok, ") {
		t.Errorf("the shipped rules: %v\n%s", err, out)
	}
	good, bad := writeFile(t, "good.yaml", goodRule), writeFile(t, "bad.yaml", badRules)
	out, err = runRules(t, "", "check", good)
	if err != nil || out != good+": ok, 1 rule\n" {
		t.Errorf("%v: %q", err, out)
	}
	out, err = runRules(t, "", "check", bad, good)
	want := bad + `:2:33: rule "bad": by: unknown field "client" (did you mean "client_id"?)` + "\n" +
		bad + `:3:46: rule "worse": unknown key "speed" in a rule (did you mean "speed_kmh"?)` + "\n" + good + ": ok, 1 rule\n"
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if !mistaken(err) || err.Error() != "2 errors in 1 file" {
		t.Errorf("%v", err)
	}
	if _, err := runRules(t, "", "check", filepath.Join(t.TempDir(), "none")); !mistaken(err) {
		t.Errorf("a missing path: %v", err)
	}
	// The same id in two files is an error of the pair.
	if out, err := runRules(t, "", "check", good, writeFile(t, "again.yaml", goodRule)); !mistaken(err) || !strings.Contains(out, "is taken by the rule at "+good) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRulesList(t *testing.T) {
	good := writeFile(t, "good.yaml", goodRule)
	out, err := runRules(t, "", "list", good)
	if err != nil || strings.Join(strings.Fields(out), " ") != "ID SEVERITY MODE DETECT BY WINDOW LIMIT TITLE good medium enforce distinct client_id 1m 5 path.id Finds much" {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runRules(t, "", "list", "--json", good)
	var list []rules.Summary
	if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 1 || list[0].ID != "good" || list[0].Window != "1m" {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := runRules(t, "", "list", writeFile(t, "bad.yaml", badRules)); !mistaken(err) || !strings.Contains(err.Error(), `unknown field "client"`) {
		t.Errorf("%v", err)
	}
}

func TestRulesSchema(t *testing.T) {
	out, err := runRules(t, "", "schema")
	if err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, "2020-12") {
		t.Errorf("%v: %.200s", err, out)
	}
	if _, err := runRules(t, "", "schema", "x"); !mistaken(err) {
		t.Errorf("%v", err)
	}
}

func TestRulesExplain(t *testing.T) {
	const event = `{"time":"2026-11-22T10:00:00.123Z","client_id":"mobile-app","source_ip":"81.2.69.142","method":"get","path":"/users/42","status":200}`
	good := writeFile(t, "good.yaml", goodRule)
	out, err := runRules(t, event, "explain", "--event", "-", "--rules", good)
	if err != nil || out != "2026-11-22T10:00:00.123Z GET /users/42 200, route /users/{id}\n  counts  good: client_id=mobile-app, path.id=42\n" {
		t.Errorf("%v: %s", err, out)
	}
	refused := writeFile(t, "event.json", strings.Replace(event, "200}", "404}", 1))
	out, err = runRules(t, "", "explain", "--event", refused, "--rules", good)
	if err != nil || !strings.Contains(out, "  no      good\n            wants status: 2xx; found 404\n") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runRules(t, "["+event+","+event+"]", "explain", "--event", "-", "--rules", good, "--json")
	var all []struct{ Rules []rules.Explanation }
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all) != 2 || !all[1].Rules[0].Matched {
		t.Errorf("%v: %s", err, out)
	}
	out, err = runRules(t, event, "explain", "--event", "-", "--rule", "request-flood")
	if err != nil || strings.Count(out, "\n") < 2 || strings.Contains(out, "exfiltration") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRulesExplainMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		stdin string
		args  []string
		usage bool
		want  string
	}{
		"no event":       {"", []string{"explain"}, true, "--event"},
		"missing file":   {"", []string{"explain", "--event", "/none/x.json"}, true, "/none/x.json"},
		"argument":       {"", []string{"explain", "x.json"}, true, "--event"},
		"unknown rule":   {"{}", []string{"explain", "--event", "-", "--rule", "nope"}, true, `no rule "nope"`},
		"no JSON":        {"hello", []string{"explain", "--event", "-"}, false, "rejected"},
		"empty":          {"", []string{"explain", "--event", "-"}, false, ""},
		"missing fields": {`{"method":"GET"}`, []string{"explain", "--event", "-"}, false, "rejected"},
		"too long":       {strings.Repeat(" ", maxExplained+1), []string{"explain", "--event", "-"}, true, "single record"},
		"no database":    {"{}", []string{"explain", "--event", "-", "--geo", "/none/x.mmdb"}, true, "/none/x.mmdb"},
	} {
		_, err := runRules(t, c.stdin, c.args...)
		if err == nil || mistaken(err) != c.usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
