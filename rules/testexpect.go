package rules

import (
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Pattern is which alerts are meant. Its keys:
//
//	rule    the rule's id; may be left out when the test runs one rule
//	entity  whom it accuses, as the alert names it: values of a combination are joined by |; tokens as the traffic writes
//	        them, not as alerts show them. Default: anybody
//	after   the alert opens at this time or later, and
//	within  at this time or earlier: durations from the start of the test, or RFC 3339
//	at      after and within in one
type Pattern struct {
	Line   int
	Rule   string
	Entity string // "": anybody
	After  time.Duration
	Within time.Duration // [MaxTestSpan]: no bound
}

// Expectation is an alert that must come. Its keys are those of a [Pattern] and:
//
//	count     how many alerts there must be like this, default 1; "0 - 5" or ">= 2" are forms of it
//	value     the highest value that the alert reports: 41, ">= 41", "40 - 60"; 1GB, 80% and 90s are numbers too
//	severity  the alert's severity
//	summary   text that the alert's last summary contains
//
// Alerts are those of the pattern; the others are what they must be like.
type Expectation struct {
	Pattern
	Count    Bounds
	Value    *Bounds // nil: any
	Severity alert.Severity
	Summary  string
}

// Bounds is an interval of numbers, its ends included.
type Bounds struct {
	Low, High float64
	Text      string // as the file says it
}

// Contains reports whether v lies within the bounds. What is computed in another order differs in its last digits.
func (b Bounds) Contains(v float64) bool {
	slack := 1e-9 * max(1, math.Abs(v))
	return b.Low-slack <= v && v <= b.High+slack
}

var (
	patternKeys = []string{"rule", "entity", "at", "after", "within"}
	expectKeys  = []string{"rule", "entity", "at", "after", "within", "count", "value", "severity", "summary"}
)

func (r testReader) expectation(n ast.Node, among []*Rule, start time.Time) Expectation {
	o := r.object(n, "expect", expectKeys...)
	x := Expectation{Pattern: r.pattern(o, "expect", among, start), Count: Bounds{1, 1, "1"}}
	if b := r.bounds(o.get("count"), "count"); b != nil {
		x.Count = *b
	}
	x.Value = r.bounds(o.get("value"), "value")
	if o.get("severity") != nil {
		x.Severity = r.severity(o.get("severity"))
	}
	x.Summary = r.text(o.get("summary"), "summary", "")
	return x
}

func (r testReader) pattern(o object, what string, among []*Rule, start time.Time) (p Pattern) {
	p.Line, _ = position(o.node)
	switch {
	case o.has("rule"):
		if rule := r.ruleNamed(o.get("rule"), "rule", among); rule != nil {
			p.Rule = rule.ID
		}
	case len(among) == 1:
		p.Rule = among[0].ID
	case len(among) > 1 && len(o.keys) > 0:
		r.errorf(o.node, "%s needs the key \"rule\": the test runs %d rules", what, len(among))
	}
	p.Entity = r.text(o.get("entity"), "entity", "")
	p.After = r.offset(o.get("after"), "after", start, 0)
	p.Within = r.offset(o.get("within"), "within", start, MaxTestSpan)
	if o.has("at") {
		if o.has("after") || o.has("within") {
			r.errorf(o.keys["at"], "at is after and within in one: give it alone")
		}
		p.After = r.offset(o.get("at"), "at", start, 0)
		p.Within = p.After
	}
	if o.has("within") && o.has("after") && p.Within < p.After {
		r.errorf(o.keys["within"], "within lies before after")
	}
	return p
}

var boundsForm = regexp.MustCompile(`^(>=|<=|>|<)? *([^<>= -]+)(?: *- *([^<>= -]+))?$`)

// bounds reads a number, a number behind >=, >, <= or <, or two with a dash between.
func (r testReader) bounds(n ast.Node, what string) *Bounds {
	text := strings.TrimSpace(r.text(n, what, ""))
	if text == "" {
		return nil
	}
	m := boundsForm.FindStringSubmatch(text)
	if m == nil || m[1] != "" && m[3] != "" {
		r.errorf(n, "%s must be a number such as 41, \">= 41\" or \"40 - 60\", not %s", what, kindOf(n))
		return nil
	}
	low, err := parseMeasure(m[2])
	high := low
	if m[3] != "" && err == nil {
		high, err = parseMeasure(m[3])
	}
	if err != nil || high < low {
		r.errorf(n, "%s must be a number such as 41, \">= 41\" or \"40 - 60\", not %s", what, kindOf(n))
		return nil
	}
	b := &Bounds{low, high, text}
	switch m[1] {
	case ">=":
		b.High = math.Inf(1)
	case "<=":
		b.Low = math.Inf(-1)
	case ">":
		b.Low, b.High = low+gap(low), math.Inf(1)
	case "<":
		b.Low, b.High = math.Inf(-1), low-gap(low)
	}
	return b
}

// gap is more than what [Bounds.Contains] takes for equal.
func gap(v float64) float64 { return 4e-9 * max(1, math.Abs(v)) }

// parseMeasure reads what alerts measure: numbers, sizes, shares and durations, these in milliseconds.
func parseMeasure(s string) (float64, error) {
	if strings.HasSuffix(s, "%") {
		return parseShare(s)
	}
	if v, err := parseSize(s); err == nil {
		return v, nil
	}
	return parseMilliseconds(s)
}
