package pack_test

import (
	"os"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// withContracts is the shipped rules with the contracts of the generated world.
func withContracts(t *testing.T) *rules.Set {
	t.Helper()
	files, err := rules.ReadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../fixtures/contracts/shop.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse(append(files, rules.File{Name: path, Data: text})...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestContractsOfTheShop runs the example: it accuses nobody ordinary, and a machine that tries every route goes beyond its contract.
func TestContractsOfTheShop(t *testing.T) {
	config := traffic.DefaultConfig()
	config.Seed, config.Rate = 5, 30
	g, err := traffic.New(config)
	if err != nil {
		t.Fatal(err)
	}
	set := withContracts(t)
	alerts := detect(t, set, g)
	judge(t, set, alerts, g.Labels())
	found := map[string]bool{}
	for _, a := range alerts {
		if a.Rule.ID != "contract-deviation" || a.State != alert.Open {
			continue
		}
		for _, l := range g.Labels() {
			found[l.Kind] = found[l.Kind] || l.Matches(a, shown)
		}
	}
	if !found["route-scanning"] {
		t.Errorf("contract-deviation finds only %v", found)
	}
}

// TestTokenRulesFindSharedTokens holds the rules about tokens in several hands against a token that 30 people share.
func TestTokenRulesFindSharedTokens(t *testing.T) {
	config := traffic.DefaultConfig()
	config.Seed, config.Rate = 6, 10
	g, err := traffic.New(config)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	set.ByID("token-several-programs").Mode = rules.Enforce
	for _, a := range detect(t, set, g) {
		for _, l := range g.Labels() {
			if l.Kind == "shared-token" && a.Rule.ID == "token-several-programs" && l.Matches(a, shown) {
				return
			}
		}
	}
	t.Error("token-several-programs does not find shared-token")
}
