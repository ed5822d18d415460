package pack_test

import (
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// TestEnumeration asks for rules by name: what other rules find too, these must find as well.
func TestEnumeration(t *testing.T) {
	config := traffic.DefaultConfig()
	config.Seed, config.Duration, config.Rate, config.Clients = 5, 2*time.Hour, 5, 1000
	config.Scenarios = []traffic.Pick{{Name: "profile-enumeration", Count: 6}, {Name: "slow-enumeration", Count: 3}, {Name: "denied-probing", Count: 3}}
	g, set := enumerationTraffic(t, config)
	alerts, found := detect(t, set, g), map[string]int{}
	for _, l := range g.Labels() {
		for _, a := range alerts {
			if a.Version == 1 && l.Matches(a, shown) {
				found[l.Kind+" "+a.Rule.ID]++
			}
		}
	}
	for what, want := range map[string]int{
		"profile-enumeration sequential-ids-client": 1, // of six, one goes in order with this seed
		"slow-enumeration unknown-objects-user":     3,
		"denied-probing sequential-ids-user":        3,
	} {
		if found[what] != want {
			t.Errorf("%s: %d alerts, want %d", what, found[what], want)
		}
	}
}

// TestNobodyEnumeratesForDays runs ordinary traffic of some days, after which nearly everybody has a history.
func TestNobodyEnumeratesForDays(t *testing.T) {
	config := traffic.DefaultConfig()
	config.Seed, config.Duration, config.Rate, config.Clients = 7, 10*24*time.Hour, 0.1, 20
	config.Scenarios = []traffic.Pick{{Name: "benign:sync-client", Count: 2}, {Name: "benign:heavy-hitter", Count: 2}}
	g, set := enumerationTraffic(t, config)
	for _, a := range detect(t, set, g) {
		if set.ByID(a.Rule.ID).Detection.Kind() == "enumeration" {
			t.Errorf("%s: %s", a.Rule.ID, a.Summary)
		}
	}
}

func enumerationTraffic(t *testing.T, config traffic.Config) (*traffic.Generator, *rules.Set) {
	t.Helper()
	g, err := traffic.New(config)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	return g, set
}
