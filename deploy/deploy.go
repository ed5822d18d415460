// Package deploy holds what gatewatch is run with: the container image, a composition of containers, dashboards, and the
// scripts for real servers in tests. Its Go part keeps these in step with gatewatch.
package deploy

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed grafana/dashboards/*.json prometheus/alerts.yml
var files embed.FS

// dashboard is what is read of a Grafana dashboard.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"` // of a variable that asks Prometheus
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Type    string `json:"type"`
	Targets []struct {
		RefID  string `json:"refId"`
		Expr   string `json:"expr"`   // PromQL
		RawSQL string `json:"rawSql"` // ClickHouse
	} `json:"targets"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
}

func readDashboards() (map[string]dashboard, error) {
	entries, err := files.ReadDir("grafana/dashboards")
	if err != nil {
		return nil, fmt.Errorf("read dashboards: %w", err)
	}
	all := map[string]dashboard{}
	for _, e := range entries {
		text, err := files.ReadFile(path.Join("grafana/dashboards", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read dashboard: %w", err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("read dashboard %s: %w", e.Name(), err)
		}
		all[e.Name()] = d
	}
	return all, nil
}

// Metrics returns the names of gatewatch's metrics that the dashboards and the Prometheus alerts use, sorted, those of
// histograms without _bucket, _sum and _count. A name that gatewatch does not register shows an empty panel, or an alert that
// never fires.
func Metrics() ([]string, error) {
	dashboards, err := readDashboards()
	if err != nil {
		return nil, err
	}
	alerts, err := files.ReadFile("prometheus/alerts.yml")
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	names := metricNames(string(alerts))
	for _, d := range dashboards {
		for _, v := range d.Templating.List {
			names = append(names, metricNames(v.Definition)...)
		}
		for _, p := range d.Panels {
			for _, t := range p.Targets {
				names = append(names, metricNames(t.Expr)...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

var metricName = regexp.MustCompile(`\bgatewatch_[a-z0-9_]+`)

func metricNames(query string) []string {
	names := metricName.FindAllString(query, -1)
	for i := range names {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			names[i] = strings.TrimSuffix(names[i], suffix)
		}
	}
	return names
}
