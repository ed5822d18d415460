package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Bounds on tests.
const (
	MaxTestEvents = 1_000_000            // of one test
	MaxTestSpan   = 400 * 24 * time.Hour // from the start of a test to its last event

	maxTestName = 200
)

// testStart is when tests begin unless they say otherwise: a Monday, ten in the morning.
var testStart = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// Test is what a rule file says of its rules under "tests": traffic, and the alerts that must come of it. It is immutable.
//
// The keys of a test:
//
//	name     names the test in reports; no other test of the file has it
//	rules    a rule's id or a list of them: the rules that run; default: the rules of the file, and in a file without rules all
//	start    RFC 3339, default 2026-11-23T10:00:00Z, a Monday; all offsets count from it
//	traffic  requests: one entry or a list, see [Traffic]
//	expect   alerts that must come: one entry or a list, see [Expectation]; [] is silence
//	forbid   alerts that must not come: one entry or a list, see [Pattern]. Without it, none may come but the expected ones;
//	         with it, those that are neither expected nor forbidden may. Then expect may be left out
type Test struct {
	Name    string
	File    string
	Line    int
	Column  int
	Rules   []*Rule // that run
	Start   event.Time
	Traffic []Traffic
	Expect  []Expectation
	Forbid  []Pattern // of a test that is not strict
	Strict  bool      // every alert that is not expected is forbidden
}

// Set returns the rules that run. Those in shadow mode are enforced: a test sees what they find.
func (t *Test) Set() *Set {
	list := make([]*Rule, len(t.Rules))
	for i, r := range t.Rules {
		enforced := *r
		enforced.Mode = Enforce
		list[i] = &enforced
	}
	return newSet(list)
}

// Events returns how many requests the test makes.
func (t *Test) Events() int {
	n := 0
	for i := range t.Traffic {
		n += t.Traffic[i].Events()
	}
	return n
}

// Expects reports whether the test wants an alert of the rule.
func (t *Test) Expects(id string) bool {
	return slices.ContainsFunc(t.Expect, func(x Expectation) bool { return x.Rule == id && !x.Count.Contains(0) })
}

// Runs reports whether the rule is among those that the test runs.
func (t *Test) Runs(id string) bool {
	return slices.ContainsFunc(t.Rules, func(r *Rule) bool { return r.ID == id })
}

// Silences reports whether the test lets the rule run and bears no alert of it.
func (t *Test) Silences(id string) bool {
	of := func(p Pattern) bool { return p.Rule == id }
	return t.Runs(id) && !slices.ContainsFunc(t.Expect, func(x Expectation) bool { return of(x.Pattern) }) &&
		(t.Strict || slices.ContainsFunc(t.Forbid, of))
}

var testKeys = []string{"name", "rules", "start", "traffic", "expect", "forbid"}

// testList is the tests of one file before they are read: their rules may stand in files that come later.
type testList struct {
	reader *reader
	node   ast.Node
	own    []*Rule // rules of the same file
}

func (l testList) read(all []*Rule) []*Test {
	tr := testReader{reader: l.reader, all: all, byDefault: l.own}
	if len(l.own) == 0 {
		tr.byDefault = all
	}
	items, ok := l.node.(*ast.SequenceNode)
	if !ok {
		l.reader.errorf(l.node, "tests must be a list of tests, not %s", kindOf(l.node))
		return nil
	}
	var tests []*Test
	lines := map[string]int{}
	for _, item := range l.reader.items(items, "tests") {
		t := tr.test(item)
		if line, twice := lines[t.Name]; twice && t.Name != "" {
			l.reader.errorf(item, "the test %q has the name of the test in line %d", shorten(t.Name), line)
		}
		lines[t.Name] = t.Line
		tests = append(tests, t)
	}
	return tests
}

func length(n ast.Node) int {
	if s, ok := n.(*ast.SequenceNode); ok {
		return len(s.Values)
	}
	return 0
}

// testReader reads tests. What a test may ask of rules depends on which there are.
type testReader struct {
	*reader
	all       []*Rule
	byDefault []*Rule // that a test runs which names none
}

func (r testReader) test(n ast.Node) *Test {
	t := &Test{File: r.file, Strict: true}
	t.Line, t.Column = position(n)
	o := r.object(n, "a test", testKeys...)
	if o.node == nil || len(o.keys) == 0 {
		return t
	}
	t.Name = r.text(r.need(o, "a test", "name"), "name", "")
	if len(t.Name) > maxTestName {
		r.errorf(o.get("name"), "the name has more than %d bytes", maxTestName)
	}
	t.Rules = r.testRules(o.get("rules"))
	start := r.instant(o.get("start"), "start", testStart)
	t.Start = event.TimeOf(start)
	for _, item := range r.items(r.need(o, "a test", "traffic"), "traffic") {
		t.Traffic = append(t.Traffic, r.traffic(item, start))
	}
	if n := t.Events(); n > MaxTestEvents {
		r.errorf(o.get("traffic"), "the test makes %d requests, more than %d", n, MaxTestEvents)
	}
	r.expected(o, t, start)
	return t
}

// expected reads what must come and what must not.
func (r testReader) expected(o object, t *Test, start time.Time) {
	if !o.has("expect") && !o.has("forbid") {
		r.errorf(o.node, "a test needs the key \"expect\": alerts that must come, or [] for silence")
	}
	for _, item := range r.listOrNone(o.get("expect"), "expect") {
		t.Expect = append(t.Expect, r.expectation(item, t.Rules, start))
	}
	if !o.has("forbid") {
		return
	}
	t.Strict = false
	for _, item := range r.listOrNone(o.get("forbid"), "forbid") {
		p := r.object(item, "forbid", patternKeys...)
		t.Forbid = append(t.Forbid, r.pattern(p, "forbid", t.Rules, start))
	}
}

// listOrNone is items of a list that may be empty.
func (r testReader) listOrNone(n ast.Node, what string) []ast.Node {
	if s, ok := n.(*ast.SequenceNode); ok && len(s.Values) == 0 {
		return nil
	}
	return r.items(n, what)
}

func (r testReader) testRules(n ast.Node) []*Rule {
	if n == nil {
		return r.byDefault
	}
	var list []*Rule
	for _, item := range r.items(n, "rules") {
		if rule := r.ruleNamed(item, "rules", r.all); rule != nil && !slices.Contains(list, rule) {
			list = append(list, rule)
		}
	}
	return list
}

// ruleNamed finds a rule by its id among those that there are.
func (r testReader) ruleNamed(n ast.Node, what string, among []*Rule) *Rule {
	id := r.text(n, what, "")
	var ids []string
	for _, rule := range among {
		if rule.ID == id && id != "" {
			return rule
		}
		ids = append(ids, rule.ID)
	}
	if id != "" {
		r.errorf(n, "%s: there is no rule %q%s", what, shorten(id), nearest(id, ids))
	}
	return nil
}

// instant reads an RFC 3339 time.
func (r testReader) instant(n ast.Node, what string, absent time.Time) time.Time {
	s := r.text(n, what, "")
	if s == "" {
		return absent
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	switch {
	case err != nil:
		r.errorf(n, "%s must be a time such as 2026-11-23T10:00:00Z, not %s", what, kindOf(n))
	case t.Year() < 2000 || t.Year() > 2200:
		r.errorf(n, "%s must lie between the years 2000 and 2200", what)
	default:
		return t
	}
	return absent
}

// offset reads how long after the start something is: a duration, or an RFC 3339 time.
func (r testReader) offset(n ast.Node, what string, start time.Time, absent time.Duration) time.Duration {
	d := r.moment(n, what, start, absent)
	if d < 0 {
		r.errorf(n, "%s lies before the start of the test, %s", what, start.Format(time.RFC3339))
		return absent
	}
	return d
}

// moment reads a time that may also be one before the start.
func (r testReader) moment(n ast.Node, what string, start time.Time, absent time.Duration) time.Duration {
	s := r.text(n, what, "")
	if s == "" {
		return absent
	}
	d, err := parseDuration(s)
	if t, wrong := time.Parse(time.RFC3339Nano, s); wrong == nil {
		d, err = t.Sub(start), nil
	}
	switch {
	case err != nil:
		r.errorf(n, "%s must be a duration from the start of the test, such as 30s or 7d, or a time such as %s, not %s", what, start.Format(time.RFC3339), kindOf(n))
	case d.Abs() > MaxTestSpan:
		r.errorf(n, "%s must lie within %s of the start of the test, %s", what, formatDuration(MaxTestSpan), start.Format(time.RFC3339))
	default:
		return d
	}
	return absent
}

// String names the test and where it stands.
func (t *Test) String() string { return fmt.Sprintf("%s:%d: %s", t.File, t.Line, t.Name) }

// FormatDuration writes a duration as rule files do: 90s is 1m30s, 48h is 2d.
func FormatDuration(d time.Duration) string { return formatDuration(d) }
