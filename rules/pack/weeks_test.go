package pack_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/fixtures/truth"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// TestWeeks holds what the README promises of the shipped rules, over a week with each of three seeds: every kind of misuse is found
// in its stated time, which is a minute for all but the slow ones, rightful use is left alone, and at most one alert in a
// thousand client-days is about nobody's misuse.
//
// The weeks are thin, so that the test takes seconds; README says how to run thicker and longer ones.
func TestWeeks(t *testing.T) {
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	var reports [3]*truth.Report
	t.Run("seeds", func(t *testing.T) {
		for i := range reports {
			t.Run(strconv.Itoa(i+1), func(t *testing.T) {
				t.Parallel()
				reports[i] = week(t, set, uint64(i)+1)
				timely(t, reports[i])
			})
		}
	})
	var clientDays uint64
	wrong := 0
	for _, r := range reports {
		clientDays += r.ClientDays
		wrong += r.False.Count
	}
	if clientDays < 3000 || float64(wrong) > float64(clientDays)/1000 {
		t.Errorf("%d false alerts in %d client-days", wrong, clientDays)
	}
}

// timely demands that misuse is found in its time and that rightful use is left alone.
func timely(t *testing.T, r *truth.Report) {
	t.Helper()
	for _, e := range r.Episodes {
		switch {
		case unfound[e.Label.Kind] != "":
		case !e.Found:
			t.Errorf("%s by %s %s was not found", e.Label.Kind, e.Label.Entity.Kind, e.Label.Entity.ID)
		case e.Late:
			t.Errorf("%s was found after %v, stated is %v", e.Label.Kind, e.After, e.Label.ExpectedWithin)
		}
	}
	for _, n := range r.Negatives {
		if n.Accused > 0 {
			t.Errorf("%s is accused", n.Kind)
		}
	}
	for _, rule := range r.False.Rules {
		t.Logf("%d false alerts of %s, such as %s", rule.Count, rule.Rule, rule.Examples[0].Summary)
	}
}

func week(t *testing.T, set *rules.Set, seed uint64) *truth.Report {
	t.Helper()
	config := traffic.DefaultConfig()
	config.Seed, config.Duration, config.Rate = seed, 7*24*time.Hour, 0.02
	labels := generate(t, config)
	for range labels.All() {
	}
	judge := truth.NewJudge(labels.Labels(), truth.Options{Shown: shown})
	for _, a := range detect(t, set, generate(t, config), judge.Event) {
		judge.Alert(a)
	}
	return judge.Report()
}

func generate(t *testing.T, config traffic.Config) *traffic.Generator {
	t.Helper()
	g, err := traffic.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestUnfoundKindsExist keeps the list of what is not found yet from outliving what it names.
func TestUnfoundKindsExist(t *testing.T) {
	known := map[string]bool{}
	for _, s := range traffic.Scenarios() {
		known[s.Name] = s.Misuse
	}
	for kind := range unfound {
		if !known[kind] {
			t.Errorf("there is no misuse %q", kind)
		}
	}
}
