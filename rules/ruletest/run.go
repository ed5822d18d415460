package ruletest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/rules"
)

// Result is what came of one test.
type Result struct {
	Test     *rules.Test
	Events   int
	Alerts   []Episode
	Failures []Failure     // none: the test passed
	Elapsed  time.Duration // on the clock
}

// Passed reports whether everything came as the test says.
func (r *Result) Passed() bool { return len(r.Failures) == 0 }

// Failure is what was not as the test says.
type Failure struct {
	Line int    // of the file, of what the test says
	Text string // one or more lines
}

// Episode is one alert with all its versions.
type Episode struct {
	Rule     string
	Entity   string // with tokens as the test calls them
	Opened   alert.Time
	Value    float64 // the highest
	Severity alert.Severity
	Summary  string // of the last version before the alert was closed
}

// batchSize is how many requests the engine gets at once.
const batchSize = 1000

// Run runs a test. Its error is that of the context.
func Run(ctx context.Context, t *rules.Test) (Result, error) {
	began := time.Now()
	r := Result{Test: t}
	set := t.Set()
	f := newFeed(t, set)
	r.Events = len(f.requests)
	alerts, err := f.raise(ctx, set)
	switch {
	case ctx.Err() != nil:
		return r, err
	case err != nil:
		r.Failures = []Failure{{t.Line, err.Error()}}
	default:
		r.Alerts = f.episodes(alerts)
		r.Failures = judge(ctx, t, r.Alerts)
	}
	r.Elapsed = time.Since(began)
	return r, ctx.Err()
}

// raise applies all requests and ends all episodes.
func (f *feed) raise(ctx context.Context, set *rules.Set) ([]*alert.Alert, error) {
	e := engine(set, 2*time.Second)
	preparer := e.NewPreparer()
	var alerts []*alert.Alert
	for {
		batch, err := f.batch(ctx, batchSize)
		if err != nil {
			return nil, err
		}
		if batch == nil {
			return append(alerts, e.Flush()...), nil
		}
		e.Push(preparer.Prepare(batch))
		alerts = append(alerts, e.Advance()...)
	}
}

// episodes puts the versions of each alert together, in the order in which the alerts opened.
func (f *feed) episodes(alerts []*alert.Alert) []Episode {
	var list []Episode
	at := map[string]int{}
	for _, a := range alerts {
		i, known := at[a.ID]
		if !known {
			i = len(list)
			at[a.ID] = i
			list = append(list, Episode{Rule: a.Rule.ID, Entity: f.plain(a.Entity.ID), Opened: a.DetectedAt, Severity: a.Rule.Severity})
		}
		x := &list[i]
		x.Value = max(x.Value, a.Observed.Value)
		if a.State != alert.Closed {
			x.Summary = f.plain(a.Summary)
		}
	}
	return list
}

// judge compares alerts with what must come and what must not.
func judge(ctx context.Context, t *rules.Test, alerts []Episode) (failures []Failure) {
	wanted := make([]bool, len(alerts))
	for i := range t.Expect {
		x := &t.Expect[i]
		if failure := meet(ctx, t, x, alerts, wanted); failure != "" {
			failures = append(failures, Failure{x.Line, failure})
		}
	}
	for i, a := range alerts {
		switch {
		case wanted[i]:
		case t.Strict:
			failures = append(failures, Failure{t.Line, "not expected: " + a.describe(t)})
		default:
			if p := slices.IndexFunc(t.Forbid, func(p rules.Pattern) bool { return matches(&p, t, &a) }); p >= 0 {
				failures = append(failures, Failure{t.Forbid[p].Line, "forbidden: " + a.describe(t)})
			}
		}
	}
	return failures
}

// meet holds an expectation against the alerts and marks those that it speaks of.
func meet(ctx context.Context, t *rules.Test, x *rules.Expectation, alerts []Episode, wanted []bool) string {
	var fitting []Episode
	var defects []string
	for i, a := range alerts {
		if !matches(&x.Pattern, t, &a) {
			continue
		}
		wanted[i] = true
		fitting = append(fitting, a)
		defects = append(defects, a.defects(x)...)
	}
	switch {
	case !x.Count.Contains(float64(len(fitting))):
		return miss(ctx, t, x, alerts, wanted, fitting)
	case len(defects) > 0:
		return listed("expected "+expected(t, x)+", and it came otherwise:", defects)
	}
	return ""
}

// matches reports whether an alert is one of those that the pattern means.
func matches(p *rules.Pattern, t *rules.Test, a *Episode) bool {
	at := a.offset(t)
	return a.Rule == p.Rule && (p.Entity == "" || p.Entity == a.Entity) && at >= p.After && at <= p.Within
}

// offset is when the alert opened, from the start of the test.
func (a *Episode) offset(t *rules.Test) time.Duration { return a.Opened.Std().Sub(t.Start.Std()) }

// defects says in what an alert is not as it should be.
func (a *Episode) defects(x *rules.Expectation) (list []string) {
	if x.Value != nil && !x.Value.Contains(a.Value) {
		list = append(list, fmt.Sprintf("%s: value %s, expected %s", a.Entity, number(a.Value), x.Value.Text))
	}
	if x.Severity != "" && x.Severity != a.Severity {
		list = append(list, fmt.Sprintf("%s: severity %s, expected %s", a.Entity, a.Severity, x.Severity))
	}
	if x.Summary != "" && !containsFold(a.Summary, x.Summary) {
		list = append(list, fmt.Sprintf("%s: the summary %q lacks %q", a.Entity, a.Summary, x.Summary))
	}
	return list
}
