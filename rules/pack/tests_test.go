package pack_test

import (
	"slices"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
	"github.com/gatewatch/gatewatch/rules/ruletest"
)

func loadTests(t *testing.T) (*rules.Set, []*rules.Test) {
	t.Helper()
	files, err := rules.ReadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	set, tests, err := rules.ParseTests(files...)
	if err != nil {
		t.Fatal(err)
	}
	return set, tests
}

// TestRules runs the tests that are shipped with the rules, as gatewatch rules test does.
func TestRules(t *testing.T) {
	_, tests := loadTests(t)
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			for _, failure := range run(t, test).Failures {
				t.Errorf("%s:%d: %s", test.File, failure.Line, failure.Text)
			}
		})
	}
}

func run(t *testing.T, test *rules.Test) *ruletest.Result {
	t.Helper()
	result, err := ruletest.Run(t.Context(), test)
	if err != nil {
		t.Fatal(err)
	}
	return &result
}

// withoutContracts finds nothing: contracts are for the users to write. TestContractsAlone in cmd/gatewatch and the scenarios of
// contracts in detector test it.
const withoutContracts = "contract-deviation"

// TestEveryRuleIsTested demands for each rule a test with an alert and one with silence.
func TestEveryRuleIsTested(t *testing.T) {
	set, tests := loadTests(t)
	for _, id := range ruletest.Untested(set, tests) {
		if id == withoutContracts {
			continue
		}
		t.Errorf("no test expects an alert of %s", id)
	}
	for _, r := range set.Rules {
		if r.ID == withoutContracts {
			continue
		}
		if !slices.ContainsFunc(tests, func(test *rules.Test) bool { return test.Silences(r.ID) && test.Events() > 0 }) {
			t.Errorf("no test runs %s and expects silence", r.ID)
		}
	}
}

// TestNoRuleTestIsVacuous changes each rule: with a limit ten times as high, the tests that expect its alerts must fail, and with
// half the limit one of those that expect silence must. A kind of detection that has no limit is switched off for the former.
func TestNoRuleTestIsVacuous(t *testing.T) {
	set, tests := loadTests(t)
	for _, r := range set.Rules {
		higher, lower := mutants(r)
		noticed := lower == nil
		for _, test := range tests {
			switch {
			case test.Expects(r.ID):
				if run(t, with(test, r, higher)).Passed() {
					t.Errorf("%s passes although %s can find nothing", test, r.ID)
				}
			case test.Silences(r.ID) && !noticed:
				noticed = !run(t, with(test, r, lower)).Passed()
			}
		}
		if !noticed {
			t.Errorf("no test with silence notices that %s finds half of what it should", r.ID)
		}
	}
}

// with returns the test with another rule in the place of r, or with none.
func with(test *rules.Test, r, instead *rules.Rule) *rules.Test {
	changed := *test
	changed.Rules = nil
	for _, other := range test.Rules {
		switch {
		case other != r:
			changed.Rules = append(changed.Rules, other)
		case instead != nil:
			changed.Rules = append(changed.Rules, instead)
		}
	}
	return &changed
}

// mutants returns the rule with limits so high that nothing reaches them, and so low that ordinary traffic does; nil where the
// kind has no such thing.
func mutants(r *rules.Rule) (higher, lower *rules.Rule) {
	h, l := *r, *r
	switch d := r.Detection.(type) {
	case *rules.Distinct:
		more, less := *d, *d
		more.Limit, less.Limit = 10*d.Limit, d.Limit/2
		h.Detection, l.Detection = &more, &less
	case *rules.Rate:
		more, less := *d, *d
		more.Limit, less.Limit = 10*d.Limit, d.Limit/2
		h.Detection, l.Detection = &more, &less
	case *rules.Travel:
		more, less := *d, *d
		more.SpeedKMH, less.SpeedKMH, less.MinDistance = 100*d.SpeedKMH, d.SpeedKMH/2, d.MinDistance/2
		h.Detection, l.Detection = &more, &less
	case *rules.Simultaneous:
		more, less := *d, *d
		more.Alternations, less.Alternations = 10*d.Alternations, d.Alternations/2
		h.Detection, l.Detection = &more, &less
	case *rules.NewValue:
		more, less := *d, *d
		more.Learn.MinDays, less.Learn.MinDays = 10*d.Learn.MinDays, d.Learn.MinDays/2
		h.Detection, l.Detection = &more, &less
	case *rules.OffHours:
		more, less := offHoursMutants(d)
		h.Detection, l.Detection = more, less
	default:
		return nil, nil
	}
	return &h, &l
}

// offHoursMutants are always open or need more history; and never open, or ask for the hour alone.
func offHoursMutants(d *rules.OffHours) (more, less *rules.OffHours) {
	m, l := *d, *d
	m.Learn.MinDays, l.Learn.MinDays = 10*d.Learn.MinDays, d.Learn.MinDays/2
	l.NewPlace = event.NoField
	if d.Declared != nil {
		m.Declared, l.Declared = &rules.Schedule{Spans: []rules.Span{{Days: 0x7f, From: 0, To: 1440}}}, &rules.Schedule{}
	}
	return &m, &l
}
