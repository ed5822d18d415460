package deploy

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the queries of deploy/clickhouse/queries into the dashboards")

// queryPath is the first line of a panel's SQL: the file that the rest was taken from.
var queryPath = regexp.MustCompile(`^-- deploy/clickhouse/queries/([a-z_]+\.sql)\n`)

var grafanaForm = strings.NewReplacer(
	"{from:DateTime64(3)}", "$__fromTime",
	"{to:DateTime64(3)}", "$__toTime",
	"{step:UInt32}", "$__interval_s",
)

var stringParameter = regexp.MustCompile(`\{(\w+):String\}`)

// inGrafana turns ClickHouse's own parameters into the macros and variables of Grafana, as deploy/clickhouse/README.md
// describes.
func inGrafana(query string) string {
	return stringParameter.ReplaceAllString(grafanaForm.Replace(strings.TrimSpace(query)), "$${$1:sqlstring}")
}

// TestDashboardQueriesAreTestedOnes holds the dashboards' SQL against the files that are run on real engines.
func TestDashboardQueriesAreTestedOnes(t *testing.T) {
	unused := queries(t)
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.RawSQL == "" {
					continue
				}
				name, want := wanted(t, target.RawSQL)
				delete(unused, name)
				if target.RawSQL == want {
					continue
				}
				if *update {
					replaceSQL(t, file, target.RawSQL, want)
					continue
				}
				t.Errorf("%s, %s: not the query of %s; go test ./deploy -update takes it over\n%s", file, p.Title, name, target.RawSQL)
			}
		}
	}
	for name := range unused {
		t.Errorf("no panel shows deploy/clickhouse/queries/%s", name)
	}
}

// wanted returns the file that sql names and what the panel should hold.
func wanted(t *testing.T, sql string) (name, want string) {
	t.Helper()
	match := queryPath.FindStringSubmatch(sql)
	if match == nil {
		t.Fatalf("the query does not begin with the path of its file:\n%s", sql)
	}
	text, ok := queries(t)[match[1]]
	if !ok {
		t.Fatalf("deploy/clickhouse/queries/%s does not exist", match[1])
	}
	return match[1], match[0] + inGrafana(text)
}

func queries(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("clickhouse/queries/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no queries: %v", err)
	}
	all := map[string]string{}
	for _, path := range paths {
		all[filepath.Base(path)] = read(t, path)
	}
	return all
}

func replaceSQL(t *testing.T, file, old, new string) {
	t.Helper()
	path := filepath.Join("grafana/dashboards", file)
	text := strings.ReplaceAll(read(t, path), quoted(t, old), quoted(t, new))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// quoted is s as a JSON string, with <, > and & as they are.
func quoted(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// variable finds $name and ${name:format}; Grafana's own begin with two underscores.
var variable = regexp.MustCompile(`\$\{?([a-z]\w*)`)

func TestDashboardsAreWhole(t *testing.T) {
	uids := map[string]string{}
	for file, d := range dashboards(t) {
		if other, taken := uids[d.UID]; taken || d.UID == "" || d.Title == "" {
			t.Errorf("%s: uid %q, title %q; %q has the same uid", file, d.UID, d.Title, other)
		}
		uids[d.UID] = file
		var known []string
		for _, v := range d.Templating.List {
			known = append(known, v.Name)
		}
		for _, match := range variable.FindAllStringSubmatch(read(t, filepath.Join("grafana/dashboards", file)), -1) {
			if !slices.Contains(known, match[1]) {
				t.Errorf("%s: variable %s is not declared", file, match[0])
			}
		}
		checkPanels(t, file, d.Panels)
	}
	if len(uids) < 2 {
		t.Errorf("only %d dashboards", len(uids))
	}
}

func checkPanels(t *testing.T, file string, panels []panel) {
	t.Helper()
	ids := map[int]bool{}
	for i, p := range panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have id %d", file, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: %q asks nothing", file, p.Title)
		}
		for _, target := range p.Targets {
			if (target.Expr == "") == (target.RawSQL == "") {
				t.Errorf("%s: %q needs either PromQL or SQL", file, p.Title)
			}
		}
		for _, q := range panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H || a.X+a.W > 24 {
				t.Errorf("%s: %q and %q overlap, or stand outside", file, p.Title, q.Title)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	names, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gatewatch_engine_events_total", "gatewatch_engine_event_to_alert_seconds", "gatewatch_sink_failing"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
	if got := metricNames(`sum(rate(gatewatch_a_b_bucket{x="y"}[5m])) / gatewatch_c`); !slices.Equal(got, []string{"gatewatch_a_b", "gatewatch_c"}) {
		t.Errorf("metricNames: %v", got)
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	all, err := readDashboards()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
