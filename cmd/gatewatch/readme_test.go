package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/deploy"
)

// TestDashboardsUseMetricsThatExist holds the dashboards and the Prometheus alerts against the README's table, which the test
// below holds against what is registered.
func TestDashboardsUseMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	used, err := deploy.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 10 {
		t.Errorf("only %d metrics are used", len(used))
	}
	for _, name := range used {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+base+"`") {
			t.Errorf("deploy uses the metric %s, which does not exist", name)
		}
	}
}

func TestComposeConfigurationIsValid(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/gatewatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CLICKHOUSE_PASSWORD", "x")
	if _, err := parseConfig(text); err != nil {
		t.Error(err)
	}
}

// TestReadmeKnowsRulesAndMetrics holds the README's tables against what is shipped and registered.
func TestReadmeKnowsRulesAndMetrics(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z0-9_-]+)`").FindAllStringSubmatch(string(text), -1) {
		rows[match[1]] = true
	}
	set, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		if !rows[r.ID] {
			t.Errorf("the README has no row for the rule %s", r.ID)
		}
	}
	for _, r := range set.Rules {
		for _, tag := range r.Tags {
			if risk, ok := strings.CutPrefix(tag, "owasp:"); ok && !coverage(string(text), strings.TrimSuffix(risk, ":2023"))[r.ID] {
				t.Errorf("the README's row of %s lacks the rule %s", risk, r.ID)
			}
		}
	}
	dir := t.TempDir()
	writeRules(t, dir, ruleText(5))
	s := startService(t, strings.Replace(serviceConfig, "DIR/rules.yaml", filepath.Join(dir, "rules.yaml"), 1)+
		"ingest: {http: {listen: \"127.0.0.1:0\", token: a token for gateways}}\n")
	s.produce(t, call("some-token-of-a-client", 1), []byte("bad"))
	s.await(t, "rejected.jsonl", "not_json", 1)
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	registered := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gatewatch_") {
			continue
		}
		registered++
		if !rows[f.GetName()] {
			t.Errorf("the README has no row for the metric %s", f.GetName())
		}
	}
	if registered < 20 {
		t.Errorf("only %d metrics are registered", registered)
	}
}

// coverage reads which rules the README names for a risk of the OWASP API Security Top 10.
func coverage(readme, risk string) map[string]bool {
	row := regexp.MustCompile("(?m)^\\| " + risk + " .*\\| (.*) \\|$").FindStringSubmatch(readme)
	named := map[string]bool{}
	for _, match := range regexp.MustCompile("`([a-z0-9-]+)`").FindAllStringSubmatch(strings.Join(row, " "), -1) {
		named[match[1]] = true
	}
	return named
}

// TestReadmeLinksLead holds links inside the README and from the deployment guides against its headings.
func TestReadmeLinksLead(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	readme := read("../../README.md")
	anchors := map[string]bool{}
	sign := regexp.MustCompile(`[^\w\- ]`)
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(readme, -1) {
		anchors[strings.ReplaceAll(sign.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(readme, -1)
	guides, err := filepath.Glob("../../deploy/*/README.md")
	if err != nil || len(guides) == 0 || len(links) < 40 {
		t.Fatalf("%d links, %d guides, %v", len(links), len(guides), err)
	}
	for _, guide := range append(guides, "../../deploy/README.md") {
		links = append(links, regexp.MustCompile(`\]\((?:\.\./)+README\.md#([^)]+)\)`).FindAllStringSubmatch(read(guide), -1)...)
	}
	for _, l := range links {
		if !anchors[l[1]] {
			t.Errorf("%s leads nowhere", l[0])
		}
	}
}
