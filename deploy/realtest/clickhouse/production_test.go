package clickhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	native "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/gatewatch/gatewatch/sinks/clickhouse"
	"github.com/google/go-cmp/cmp"
)

func migrateChdb(t *testing.T, c *chdb) {
	t.Helper()
	all, err := clickhouse.Migrations(clickhouse.Production)
	must(t, err)
	for range 2 { // every statement can be repeated
		for _, m := range all {
			c.exec(t, m.Statement)
		}
	}
}

// row is one version of an alert; the fields that no query looks at are left to their defaults.
type row struct {
	ID         string   `json:"id"`
	Version    int      `json:"version"`
	State      string   `json:"state"`
	Severity   string   `json:"severity"`
	Rule       string   `json:"rule_id"`
	Title      string   `json:"rule_title"`
	Tags       []string `json:"tags"`
	Kind       string   `json:"entity_kind"`
	Entity     string   `json:"entity_id"`
	FirstSeen  string   `json:"first_seen"`
	LastSeen   string   `json:"last_seen"`
	DetectedAt string   `json:"detected_at"`
	EmittedAt  string   `json:"emitted_at"`
	Summary    string   `json:"summary"`
	Exact      bool     `json:"observed_exact"`
	Kinds      []string `json:"related.kind"`
	Values     []string `json:"related.value"`
	Risk       *float64 `json:"risk"`
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) string { return noon.Add(d).Format("2006-01-02 15:04:05.000") }

// version makes a version of an alert that was detected some time after noon and delivered delay later.
func version(id string, v int, state, severity, rule, entity string, detected, delay time.Duration) row {
	return row{
		ID: id, Version: v, State: state, Severity: severity, Rule: rule, Title: "Title of " + rule,
		Tags: []string{"owasp:API1:2023", "rule:" + rule}, Kind: "client_id", Entity: entity,
		FirstSeen: at(detected - time.Second), LastSeen: at(detected), DetectedAt: at(detected), EmittedAt: at(detected + delay),
		Summary: fmt.Sprintf("%s version %d", id, v), Exact: true,
		Kinds: []string{"country", "source_ip"}, Values: []string{"GB", "ip-of-" + entity},
	}
}

// fill inserts two hours: two rules, three entities, one alert closed, two versions delivered twice.
func fill(t *testing.T, c *chdb) {
	t.Helper()
	rows := []row{
		version("a", 1, "open", "high", "enumeration", "app-1", 0, 100*time.Millisecond),
		version("a", 2, "update", "high", "enumeration", "app-1", 10*time.Minute, 300*time.Millisecond),
		version("b", 1, "open", "high", "enumeration", "app-2", 5*time.Minute, 200*time.Millisecond),
		version("b", 2, "closed", "high", "enumeration", "app-2", 20*time.Minute, 200*time.Millisecond),
		version("c", 1, "open", "critical", "travel", "app-1", 70*time.Minute, 900*time.Millisecond),
		version("a", 1, "open", "high", "enumeration", "app-1", 0, time.Hour),
		version("b", 2, "closed", "high", "enumeration", "app-2", 20*time.Minute, time.Hour),
	}
	for _, r := range rows { // one insert each: one part each
		var buf bytes.Buffer
		must(t, json.NewEncoder(&buf).Encode(r))
		c.exec(t, "INSERT INTO alerts FORMAT JSONEachRow "+buf.String())
	}
}

func TestProductionSchema(t *testing.T) {
	c := openChdb(t)
	migrateChdb(t, c)
	c.exec(t, "SYSTEM STOP MERGES alerts")
	fill(t, c)
	for query, want := range map[string]string{
		"SELECT count() FROM alerts":                                 "7",
		"SELECT count() FROM alerts FINAL":                           "5",
		"SELECT count() FROM alerts_latest":                          "3",
		"SELECT id, version FROM alerts_latest":                      "a\t2\nb\t2\nc\t1",
		"SELECT state FROM alerts_latest WHERE id = 'b'":             "closed",
		"SELECT count() FROM alerts FINAL WHERE entity_id = 'app-1'": "3",
	} {
		if got := c.text(t, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	c.exec(t, "SYSTEM START MERGES alerts")
	c.exec(t, "OPTIMIZE TABLE alerts FINAL")
	if got := c.text(t, "SELECT count() FROM alerts"); got != "5" {
		t.Errorf("after merging: %s rows, want 5", got)
	}
	if got := c.text(t, "SELECT emitted_at FROM alerts WHERE id = 'a' AND version = 1"); got != at(100*time.Millisecond) {
		t.Errorf("after merging: delivered at %s, which is not the first delivery", got)
	}
}

// Old events delivered today are kept: their age is not that of the alert. What was delivered long ago goes.
func TestRetentionCountsFromDelivery(t *testing.T) {
	c := openChdb(t)
	migrateChdb(t, c)
	now := time.Since(noon)
	history := version("history", 1, "open", "low", "r", "e", -5*365*24*time.Hour, 0)
	history.EmittedAt = at(now)
	expired := version("expired", 1, "open", "low", "r", "e", now-401*24*time.Hour, 0)
	for _, r := range []row{history, expired} {
		var buf bytes.Buffer
		must(t, json.NewEncoder(&buf).Encode(r))
		c.exec(t, "INSERT INTO alerts FORMAT JSONEachRow "+buf.String())
	}
	c.exec(t, "OPTIMIZE TABLE alerts FINAL")
	if got := c.text(t, "SELECT id FROM alerts"); got != "history" {
		t.Errorf("kept %q, want history only", got)
	}
}

// Both schemas have the columns of an insert, in the same order.
func TestSchemasAgree(t *testing.T) {
	c := openChdb(t)
	migrateChdb(t, c)
	database := newDatabase(t)
	s := open(t, config(serverAddr, database))
	must(t, s.Check(t.Context()))
	must(t, s.Close(t.Context()))
	for _, table := range []string{"alerts", "blind_spots"} {
		production := strings.Fields(c.text(t, "SELECT name FROM system.columns WHERE database = 'gatewatch' AND table = '"+table+"' ORDER BY position"))
		if diff := cmp.Diff(production, columnsOf(t, database, table)); diff != "" || len(production) == 0 {
			t.Errorf("columns of %s differ (- production, + reduced):\n%s", table, diff)
		}
	}
}

func columnsOf(t *testing.T, database, table string) []string {
	t.Helper()
	query := "SELECT name FROM system.columns WHERE database = '" + database + "' AND table = '" + table + "'"
	return readBack(t, database, query, func(rows native.Rows) (name string, err error) {
		err = rows.Scan(&name)
		return name, err
	})
}

// blindSpot is one version of a blind spot; the fields that no query looks at are left to their defaults.
type blindSpot struct {
	ID         string   `json:"id"`
	Version    int      `json:"version"`
	State      string   `json:"state"`
	Cause      string   `json:"cause"`
	From       string   `json:"from_time"`
	To         string   `json:"to_time"`
	EmittedAt  string   `json:"emitted_at"`
	Topic      string   `json:"topic"`
	Partitions []int32  `json:"partitions"`
	Rules      []string `json:"rules"`
	Kinds      []string `json:"kinds"`
	Count      uint64   `json:"count"`
	Detail     string   `json:"detail"`
}

// fillBlindSpots inserts a lag in two versions, the first twice, a later eviction, and one of the day before.
func fillBlindSpots(t *testing.T, c *chdb) {
	t.Helper()
	lag := blindSpot{
		ID: "lag", Version: 1, State: "open", Cause: "lag", From: at(0), To: at(time.Minute), EmittedAt: at(time.Minute),
		Topic: "gateway", Partitions: []int32{0, 3}, Rules: []string{}, Kinds: []string{}, Count: 100, Detail: "behind",
	}
	again, closed := lag, lag
	again.EmittedAt = at(time.Hour)
	closed.Version, closed.State, closed.To, closed.Count, closed.EmittedAt = 2, "closed", at(5*time.Minute), 500, at(5*time.Minute)
	eviction := blindSpot{
		ID: "eviction", Version: 1, State: "closed", Cause: "eviction", From: at(90 * time.Minute), To: at(150 * time.Minute),
		EmittedAt: at(91 * time.Minute), Partitions: []int32{}, Rules: []string{"r"}, Kinds: []string{"client_id"}, Count: 7,
	}
	old := closed
	old.ID, old.From, old.To = "old", at(-24*time.Hour), at(-23*time.Hour)
	for _, b := range []blindSpot{lag, closed, again, eviction, old} {
		var buf bytes.Buffer
		must(t, json.NewEncoder(&buf).Encode(b))
		c.exec(t, "INSERT INTO blind_spots FORMAT JSONEachRow "+buf.String())
	}
}

func TestBlindSpotsCollapse(t *testing.T) {
	c := openChdb(t)
	migrateChdb(t, c)
	c.exec(t, "SYSTEM STOP MERGES blind_spots")
	fillBlindSpots(t, c)
	for query, want := range map[string]string{
		"SELECT count() FROM blind_spots":                                           "5",
		"SELECT count() FROM blind_spots FINAL":                                     "4",
		"SELECT id, version, count FROM blind_spots_latest":                         "eviction\t1\t7\nlag\t2\t500\nold\t2\t500",
		"SELECT emitted_at FROM blind_spots FINAL WHERE id = 'lag' AND version = 1": at(time.Minute),
	} {
		if got := c.text(t, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	c.exec(t, "SYSTEM START MERGES blind_spots")
}

func TestDashboardQueries(t *testing.T) {
	c := openChdb(t)
	migrateChdb(t, c)
	fill(t, c)
	fillBlindSpots(t, c)
	for name, value := range map[string]string{
		"from": at(-time.Hour), "to": at(2 * time.Hour), "step": "3600", "entity_kind": "client_id", "entity_id": "app-1",
		"related_kind": "source_ip", "related_value": "ip-of-app-1",
	} {
		c.exec(t, fmt.Sprintf("SET param_%s = '%s'", name, value))
	}
	want := map[string]string{
		"top_rules.sql": `[
			{"rule_id":"enumeration","title":"Title of enumeration","severity":"high","alerts":2,"entities":2,"most_versions":2,"latest":"2026-11-22 12:20:00.000"},
			{"rule_id":"travel","title":"Title of travel","severity":"critical","alerts":1,"entities":1,"most_versions":1,"latest":"2026-11-22 13:10:00.000"}]`,
		"alerts_over_time.sql": `[
			{"time":"2026-11-22 11:00:00","critical":0,"high":0,"medium":0,"low":0,"info":0},
			{"time":"2026-11-22 12:00:00","critical":0,"high":2,"medium":0,"low":0,"info":0},
			{"time":"2026-11-22 13:00:00","critical":1,"high":0,"medium":0,"low":0,"info":0}]`,
		"open_alerts.sql": `[
			{"id":"c","severity":"critical","rule_id":"travel","entity_kind":"client_id","entity_id":"app-1","summary":"c version 1","first_seen":"2026-11-22 13:09:59.000","last_seen":"2026-11-22 13:10:00.000","version":1},
			{"id":"a","severity":"high","rule_id":"enumeration","entity_kind":"client_id","entity_id":"app-1","summary":"a version 2","first_seen":"2026-11-22 12:09:59.000","last_seen":"2026-11-22 12:10:00.000","version":2}]`,
		"entity.sql": `[
			{"id":"c","version":1,"state":"open","severity":"critical","rule_id":"travel","summary":"c version 1","first_seen":"2026-11-22 13:09:59.000","last_seen":"2026-11-22 13:10:00.000","observed_value":0,"observed_limit":0,"tags":["owasp:API1:2023","rule:travel"],"related.kind":["country","source_ip"],"related.value":["GB","ip-of-app-1"],"evidence":""},
			{"id":"a","version":2,"state":"update","severity":"high","rule_id":"enumeration","summary":"a version 2","first_seen":"2026-11-22 12:09:59.000","last_seen":"2026-11-22 12:10:00.000","observed_value":0,"observed_limit":0,"tags":["owasp:API1:2023","rule:enumeration"],"related.kind":["country","source_ip"],"related.value":["GB","ip-of-app-1"],"evidence":""}]`,
		"related.sql": `[
			{"id":"c","severity":"critical","rule_id":"travel","entity_kind":"client_id","entity_id":"app-1","summary":"c version 1","last_seen":"2026-11-22 13:10:00.000"},
			{"id":"a","severity":"high","rule_id":"enumeration","entity_kind":"client_id","entity_id":"app-1","summary":"a version 2","last_seen":"2026-11-22 12:10:00.000"}]`,
		"top_entities.sql": `[
			{"entity_kind":"client_id","entity_id":"app-1","alerts":2,"rules":["enumeration","travel"],"latest":"2026-11-22 13:10:00.000"},
			{"entity_kind":"client_id","entity_id":"app-2","alerts":1,"rules":["enumeration"],"latest":"2026-11-22 12:20:00.000"}]`,
		"tags.sql": `[
			{"tag":"owasp:API1:2023","alerts":3,"rules":["enumeration","travel"]},
			{"tag":"rule:enumeration","alerts":2,"rules":["enumeration"]},
			{"tag":"rule:travel","alerts":1,"rules":["travel"]}]`,
		"blind_spots.sql": `[
			{"from_time":"2026-11-22 13:30:00.000","to_time":"2026-11-22 14:30:00.000","cause":"eviction","state":"closed","count":7,"detail":"","topic":"","partitions":[],"rules":["r"],"kinds":["client_id"],"sink":"","id":"eviction"},
			{"from_time":"2026-11-22 12:00:00.000","to_time":"2026-11-22 12:05:00.000","cause":"lag","state":"closed","count":500,"detail":"behind","topic":"gateway","partitions":[0,3],"rules":[],"kinds":[],"sink":"","id":"lag"}]`,
		"blind_time.sql": `[
			{"cause":"eviction","intervals":1,"seconds":1800,"concerned":7,"latest":"2026-11-22 14:30:00.000"},
			{"cause":"lag","intervals":1,"seconds":300,"concerned":500,"latest":"2026-11-22 12:05:00.000"}]`,
		"delivery_delay.sql": `[
			{"time":"2026-11-22 12:00:00","versions":4,"p50":200,"p99":300,"longest":300},
			{"time":"2026-11-22 13:00:00","versions":1,"p50":900,"p99":900,"longest":900}]`,
	}
	files, err := filepath.Glob("../../clickhouse/queries/*.sql")
	must(t, err)
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	if expected := slices.Sorted(maps.Keys(want)); !slices.Equal(names, expected) {
		t.Fatalf("queries are %v, expectations are for %v", names, expected)
	}
	c.exec(t, "SET output_format_json_quote_64bit_integers = 0")
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			query, err := os.ReadFile(f)
			must(t, err)
			var expected []map[string]any
			must(t, json.Unmarshal([]byte(want[filepath.Base(f)]), &expected))
			if diff := cmp.Diff(expected, c.rows(t, string(query))); diff != "" {
				t.Errorf("result differs (- want, + got):\n%s", diff)
			}
		})
	}
}
