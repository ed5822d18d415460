package detector

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

func riskOf(t testing.TB) *riskState {
	t.Helper()
	set := parseRules(t, []byte("rules: [{id: incident, detect: risk, by: subject, half_life: 1h}]"))
	spec := set.Rules[0].Detection.(*rules.Risk)
	return newRisk(set.Rules[0], spec).newState().(*riskState)
}

// seen makes a signal of a rule: an alert of the given version, or suspicion when that is 0.
func seen(rule string, severity alert.Severity, version int, at event.Time) *signal {
	w := &watch{
		rule: &rules.Rule{ID: rule, Title: rule}, detection: newRisk(nil, nil), described: alert.Rule{Severity: severity}, evidence: "kind of " + rule,
	}
	return &signal{by: w, at: at, finding: finding{growing: true}, alert: &alert.Alert{ID: fmt.Sprint("alert of ", rule), Version: version, Summary: "what happened"}}
}

const hour = event.Time(3600_000)

func TestRiskHalves(t *testing.T) {
	s := riskOf(t)
	s.add(seen("a", alert.High, 1, 0), "subject", "x", 0)
	for hours, want := range []float64{40, 20, 10, 5, 2.5} {
		if got := s.finding(event.Time(hours) * hour).value; got != want {
			t.Errorf("after %d hours the risk is %v, not %v", hours, got, want)
		}
	}
	if s.idle(6 * hour) {
		t.Error("0.6 points are nothing")
	}
	if !s.idle(7 * hour) {
		t.Error("0.3 points are remembered for ever")
	}
}

func TestRiskIsRenewedNotAddedUp(t *testing.T) {
	s := riskOf(t)
	s.add(seen("a", alert.Medium, 1, 0), "subject", "x", 0)
	if renewed, joined := s.add(seen("a", alert.Medium, 1, hour/60), "subject", "x", hour/60); renewed || joined {
		t.Error("the same alert again counts")
	}
	s.add(seen("a", alert.Medium, 1, hour), "subject", "x", hour)
	if got := s.finding(hour).value; got != 25 {
		t.Errorf("renewed after an hour the risk is %v, not 25", got)
	}
	for version, want := range map[int]float64{3: 37.5, 5: 50, 90: 50} {
		s := riskOf(t)
		s.add(seen("a", alert.Medium, version, 0), "subject", "x", 0)
		if got := s.finding(0).value; got != want {
			t.Errorf("version %d gives %v points, not %v", version, got, want)
		}
	}
}

// TestRiskOfWhatHappensAgain gives nothing for a finding that comes again and is no worse.
func TestRiskOfWhatHappensAgain(t *testing.T) {
	s, sig := riskOf(t), seen("a", alert.High, 5, 0)
	sig.finding.growing = false
	s.add(sig, "subject", "x", 0)
	if got := s.finding(0).value; got != 40 {
		t.Errorf("a fifth version gives %v points, not 40", got)
	}
}

func TestRiskRemembersTheLargestShares(t *testing.T) {
	s := riskOf(t)
	s.add(seen("small", alert.Low, 1, 0), "subject", "x", 0)
	for i := range maxShares {
		s.add(seen(fmt.Sprint("rule ", i), alert.High, 1, event.Time(i)), "subject", "x", event.Time(i))
	}
	if len(s.shares) != maxShares {
		t.Fatalf("%d shares", len(s.shares))
	}
	for i, h := range s.shares {
		if h.Rule == "small" {
			t.Error("the smallest share is still there")
		}
		if i > 0 && h.Time < s.shares[i-1].Time {
			t.Error("the signals are not in the order of their times")
		}
	}
}

func TestRiskThroughItsEncoding(t *testing.T) {
	s := riskOf(t)
	for i := range 9 {
		sig := seen(fmt.Sprint("rule ", i%5), alert.Severities()[i%5], i, event.Time(i)*hour/10)
		sig.by.shadow = i%2 == 0
		s.add(sig, "subject", "x", event.Time(i)*hour/10)
	}
	decoded, rest, err := s.d.decode(encodeState(t, s), &interner{})
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	if a, b := fmt.Sprintf("%+v", s.shares), fmt.Sprintf("%+v", decoded.(*riskState).shares); a != b {
		t.Errorf("encoded %s\ndecoded %s", a, b)
	}
}

// TestRiskThatHasFaded tells an incident over whose signals have all halved to nothing.
func TestRiskThatHasFaded(t *testing.T) {
	s := riskOf(t)
	s.add(seen("a", alert.High, 1, 0), "subject", "x", 0)
	f := s.finding(0)
	s.forget(100 * hour)
	a := &alert.Alert{Entity: alert.Entity{Kind: "subject", ID: "x"}}
	s.d.describe(a, s, f)
	if a.Summary != "x had a risk of 40 (limit 45), which has faded" {
		t.Errorf("%q", a.Summary)
	}
}

// TestRiskOnAlerts checks that alerts say how high the risk of their entity is, and that incidents list what they are of.
func TestRiskOnAlerts(t *testing.T) {
	s := loadScenario(t, "testdata/risk.txtar")
	alerts := s.run(t, plainRun)
	var incident *alert.Alert
	for _, a := range alerts {
		switch {
		case a.Rule.ID == "incident" && a.State == alert.Open && incident == nil:
			incident = a
		case a.Rule.ID == "profiles" && a.State == alert.Open && (a.Risk == nil || *a.Risk != 40):
			t.Errorf("%s: risk %v", a.Summary, a.Risk)
		case a.Rule.ID == "tokens" && a.Risk != nil:
			t.Error("an alert has a risk although no rule adds it up")
		}
	}
	if incident == nil || incident.Risk == nil || math.Abs(*incident.Risk-incident.Observed.Value) > 0 {
		t.Fatalf("no incident with its risk: %+v", incident)
	}
	signals := incident.Observed.Detail["signals"].([]combined)
	if len(signals) != 2 || signals[0].Rule != "profiles" || signals[1].Rule != "volume" || signals[0].AlertID != alertOf(alerts, "profiles", "two").ID {
		t.Errorf("signals %+v", signals)
	}
	if got := incident.Related["token_id"]; len(got) != 1 || got[0] != "t-two" {
		t.Errorf("related tokens %v", got)
	}
	if got := incident.Related["route"]; len(got) < 3 {
		t.Errorf("related routes %v: those of the alerts are missing", got)
	}
	if span := incident.LastSeen.Std().Sub(incident.FirstSeen.Std()); span < 10*time.Minute || len(incident.Evidence) < 2 {
		t.Errorf("the incident spans %v with %d pieces of evidence", span, len(incident.Evidence))
	}
}

func alertOf(alerts []*alert.Alert, rule, entity string) *alert.Alert {
	for _, a := range alerts {
		if a.Rule.ID == rule && a.Entity.ID == entity {
			return a
		}
	}
	return nil
}
