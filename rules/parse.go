package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// File is one rule file.
type File struct {
	Name string // for messages
	Data []byte
}

// Bounds on a rule set and its rules.
const (
	MaxRules  = 1024
	MaxWindow = 31 * 24 * time.Hour // also of close_after; both are at least MinWindow
	MinWindow = time.Second

	maxID     = 64
	maxTags   = 32
	maxTag    = 128
	maxEntity = 4 // fields that a rule groups by
)

const (
	defaultCloseAfter = 15 * time.Minute // of rules without a window
	leastCloseAfter   = 5 * time.Minute  // of rules with one, unless the rule says otherwise
)

// Parse compiles rule files to one set, with the rules in the order given. Its error is an [Errors] with everything that is
// wrong in any of them; the set is nil then. Tests that stand in the files are not looked at.
func Parse(files ...File) (*Set, error) {
	set, _, err := parse(files, false)
	return set, err
}

// ParseTests is [Parse], with the tests that stand in the files. What is wrong with them is an error too.
func ParseTests(files ...File) (*Set, []*Test, error) { return parse(files, true) }

func parse(files []File, withTests bool) (*Set, []*Test, error) {
	var errs Errors
	var list []*Rule
	var lists []testList
	var contracts []*Contract
	for _, f := range files {
		r := &reader{file: f.Name, errs: &errs}
		content := r.ruleFile(r.document(f.Data))
		own := r.rules(content.rules)
		list = append(list, own...)
		contracts = append(contracts, r.contracts(content.contracts)...)
		if content.tests != nil {
			lists = append(lists, testList{r, content.tests, own})
		}
	}
	errs = append(errs, collisions(list)...)
	errs = append(errs, contractCollisions(contracts)...)
	errs = append(errs, settle(list, contracts)...)
	if len(list) == 0 && len(errs) == 0 {
		errs = append(errs, withoutRules(lists, contracts)...)
	}
	var tests []*Test
	for _, l := range lists {
		if withTests && len(list) > 0 {
			tests = append(tests, l.read(list)...)
		}
	}
	if len(errs) == 0 {
		set := newSet(list)
		set.Contracts = contracts
		return set, tests, nil
	}
	return nil, nil, errs.sorted()
}

// collisions reports ids that several rules have, and too many rules.
func collisions(list []*Rule) (errs Errors) {
	first := map[string]*Rule{}
	for _, rule := range list {
		if rule.ID == "" {
			continue
		}
		if other := first[rule.ID]; other != nil {
			errs = append(errs, Error{rule.File, rule.Line, rule.column, rule.ID,
				fmt.Sprintf("the id %q is taken by the rule at %s:%d", rule.ID, other.File, other.Line)})
			continue
		}
		first[rule.ID] = rule
	}
	if len(list) > MaxRules {
		rule := list[MaxRules]
		errs = append(errs, Error{rule.File, rule.Line, rule.column, rule.ID, fmt.Sprintf("there are %d rules, more than %d", len(list), MaxRules)})
	}
	return errs
}

// withoutRules reports what means nothing where no file has rules.
func withoutRules(lists []testList, contracts []*Contract) (errs Errors) {
	if len(lists) > 0 {
		line, column := position(lists[0].node)
		errs = append(errs, Error{lists[0].reader.file, line, column, "", "there are tests and no rules: give the files of the rules too"})
	}
	if len(contracts) > 0 {
		c := contracts[0]
		errs = append(errs, Error{c.File, c.Line, c.column, "", "there are contracts but no rules in any file"})
	}
	return errs
}

// fileContent is what stands under the keys of a rule file, nil where a key is missing.
type fileContent struct{ rules, contracts, tests ast.Node }

// ruleFile reads a document: a mapping with the keys "rules", "contracts" and "tests", at least one of them.
func (r *reader) ruleFile(doc ast.Node) (c fileContent) {
	if doc == nil {
		if !slices.ContainsFunc(*r.errs, func(e Error) bool { return e.File == r.file }) {
			r.at(1, 1, "the file is empty: it needs the key \"rules\"")
		}
		return c
	}
	o := r.object(doc, "a rule file", "rules", "contracts", "tests")
	if _, ok := mapping(doc); !ok {
		return c
	}
	c = fileContent{rules: o.get("rules"), contracts: o.get("contracts"), tests: o.get("tests")}
	if !o.has("contracts") && !o.has("tests") {
		c.rules = r.need(o, "a rule file", "rules")
	}
	return c
}

func (r *reader) rules(n ast.Node) []*Rule {
	items, ok := n.(*ast.SequenceNode)
	if !ok {
		if n != nil {
			r.errorf(n, "rules must be a list of rules, not %s", kindOf(n))
		}
		return nil
	}
	var list []*Rule
	for _, item := range r.items(items, "rules") {
		list = append(list, r.readRule(item))
	}
	return list
}

// commonKeys are the keys that every rule can have.
var commonKeys = []string{
	"id", "title", "description", "false_positives", "advice", "detect", "by", "where", "if", "severity", "tags", "mode", "close_after",
}

// kindKeys are the keys that each kind of detection has besides.
func kindKeys() map[string][]string {
	return map[string][]string{
		"distinct":     distinctKeys,
		"rate":         rateKeys,
		"travel":       travelKeys,
		"simultaneous": simultaneousKeys,
		"off_hours":    offHoursKeys,
		"new_value":    newValueKeys,
		"workflow":     workflowKeys,
		"sequence":     sequenceKeys,
		"enumeration":  enumerationKeys,
		"inventory":    inventoryKeys,
		"contract":     contractedKeys,
		"risk":         riskKeys,
	}
}

// Kinds lists the kinds of detection in the order of the documentation.
func Kinds() []string {
	return []string{"distinct", "rate", "travel", "simultaneous", "off_hours", "new_value", "workflow", "sequence", "enumeration", "inventory", "contract", "risk"}
}

// readRule reads one rule. The rule is of use only when nothing was reported.
func (r *reader) readRule(n ast.Node) *Rule {
	rule := &Rule{File: r.file}
	rule.Line, rule.column = position(n)
	since := len(*r.errs)
	r.rule, r.lacks = peek(n, "id"), false
	defer func() { r.rule = "" }()

	kind := peek(n, "detect")
	o := r.ruleObject(n, kind)
	if o.node == nil {
		return rule
	}
	r.readCommon(o, rule)
	rule.Detection = r.detection(kind, o, rule)
	rule.CloseAfter = r.duration(o.get("close_after"), "close_after", MinWindow, MaxWindow, closeAfter(rule))
	if !r.failed(since) {
		rule.Fingerprint = fingerprint(rule)
	}
	return rule
}

func closeAfter(rule *Rule) time.Duration {
	if d, ok := rule.Detection.(*Risk); ok {
		return max(d.HalfLife, leastCloseAfter)
	}
	if rule.Window == 0 {
		return defaultCloseAfter
	}
	return max(rule.Window, leastCloseAfter)
}

// peek finds the value of a key before anything is checked: all messages name the id, and the kind decides which keys there
// are.
func peek(n ast.Node, key string) string {
	pairs, _ := mapping(n)
	for _, p := range pairs {
		if name, _ := scalar(p.Key); name == key {
			value, _ := scalar(p.Value)
			return value
		}
	}
	return ""
}

// ruleObject reads the rule's keys. A key that only another kind has is told so: the usual cause is a rule that was copied.
func (r *reader) ruleObject(n ast.Node, kind string) object {
	entries := r.entries(n, "a rule")
	if _, ok := mapping(n); !ok {
		return object{}
	}
	own, valid := kindKeys()[kind]
	known := slices.Concat(commonKeys, own)
	o := object{node: n, fields: map[string]ast.Node{}, keys: map[string]ast.Node{}}
	for _, e := range entries {
		if other := kindsWith(e.name); valid && !slices.Contains(known, e.name) {
			if len(other) > 0 {
				r.errorf(e.key, "key %q belongs to detect: %s, not to %s", e.name, orList(other), kind)
			} else {
				r.errorf(e.key, "unknown key %q in a rule%s", e.name, nearestOr(e.name, known))
				o.misspelt(e, known)
			}
			continue
		} else if !valid && len(other) == 0 && !slices.Contains(commonKeys, e.name) {
			r.errorf(e.key, "unknown key %q in a rule%s", e.name, nearest(e.name, allKeys()))
			o.misspelt(e, commonKeys)
			continue
		}
		o.fields[e.name], o.keys[e.name] = e.value, e.key
	}
	return o
}

// allKeys lists the keys of all kinds of rule.
func allKeys() []string {
	keys := slices.Clone(commonKeys)
	for _, own := range kindKeys() {
		keys = append(keys, own...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func kindsWith(key string) []string {
	var kinds []string
	for _, kind := range Kinds() {
		if slices.Contains(kindKeys()[kind], key) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

var idForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

func (r *reader) readCommon(o object, rule *Rule) {
	rule.ID = r.text(r.need(o, "a rule", "id"), "id", "")
	if rule.ID != "" && (!idForm.MatchString(rule.ID) || len(rule.ID) > maxID) {
		r.errorf(o.get("id"), "id must be words of a-z and 0-9 joined by -, at most %d long, such as token-shared, not %q", maxID, shorten(rule.ID))
	}
	rule.Title = strings.TrimSpace(r.text(o.get("title"), "title", rule.ID))
	rule.Description = strings.TrimSpace(r.text(o.get("description"), "description", ""))
	rule.FalsePositives = strings.TrimSpace(r.text(o.get("false_positives"), "false_positives", ""))
	rule.Advice = strings.TrimSpace(r.text(o.get("advice"), "advice", ""))
	rule.Severity = r.severity(o.get("severity"))
	rule.Tags = r.tags(o.get("tags"))
	if r.choice(o.get("mode"), "mode", "enforce", "enforce", "shadow") == "shadow" {
		rule.Mode = Shadow
	}
	rule.By = r.entity(r.need(o, "a rule", "by"))
	rule.Filter = r.filter(o.get("where"))
	if x := r.expression(o.get("if")); x != nil {
		rule.Filter = newFilter(append(rule.Filter.conditions, x))
	}
}

func (r *reader) severity(n ast.Node) alert.Severity {
	var names []string
	for _, s := range alert.Severities() {
		names = append(names, string(s))
	}
	return alert.Severity(r.choice(n, "severity", string(alert.Medium), names...))
}

func (r *reader) tags(n ast.Node) []string {
	tags := r.texts(n, "tags")
	if len(tags) > maxTags {
		r.errorf(n, "%d tags, more than %d", len(tags), maxTags)
	}
	for _, t := range tags {
		if len(t) > maxTag || strings.ContainsAny(t, " \t\n,") {
			r.errorf(n, "tag %q must be one word of at most %d characters, such as owasp:API1:2023", shorten(t), maxTag)
		}
	}
	return tags
}

// entity reads what a rule groups by: one field or a combination of up to four.
func (r *reader) entity(n ast.Node) []event.Field {
	var by []event.Field
	for _, item := range r.items(n, "by") {
		f, ok := r.field(item, "by")
		switch {
		case !ok:
		case slices.Contains(by, f):
			r.errorf(item, "by names %s twice", f)
		case unfitEntity(f) != "":
			r.errorf(item, "by cannot be %s: %s", f, unfitEntity(f))
		default:
			by = append(by, f)
		}
	}
	if len(by) > maxEntity {
		r.errorf(n, "by has %d fields, more than %d", len(by), maxEntity)
	}
	return by
}

// unfitEntity says why a field identifies nobody. Path is allowed, but makes as many entities as there are objects.
func unfitEntity(f event.Field) string {
	switch f.Kind() {
	case event.DurationMS, event.RequestBytes, event.ResponseBytes:
		return "it is a measure, not a name"
	case event.RequestID:
		return "every request has its own"
	case event.Scopes, event.Anonymous:
		return "it is a list"
	}
	return ""
}

// field reads the name of a field.
func (r *reader) field(n ast.Node, what string) (event.Field, bool) {
	name := r.text(n, what, "")
	if name == "" {
		return event.Field{}, false
	}
	f, ok := event.ParseField(name)
	if !ok {
		r.errorf(n, "%s: unknown field %q%s", what, name, nearestOr(name, event.FieldNames()))
	}
	return f, ok
}

func (r *reader) expression(n ast.Node) condition {
	text := r.text(n, "if", "")
	if text == "" {
		return nil
	}
	x, err := parseExpression(text)
	if err == nil {
		return x
	}
	line, column := position(n)
	if at, ok := err.(*expressionError); ok {
		if tk := n.GetToken(); strings.HasPrefix(tk.Origin, `"`) || strings.HasPrefix(strings.TrimSpace(tk.Origin), `'`) {
			column++
		}
		column += at.column(text)
	}
	r.at(line, column, "if: %s", err)
	return nil
}

// detection reads what only the kind has.
func (r *reader) detection(kind string, o object, rule *Rule) Detection {
	switch kind {
	case "distinct":
		return r.distinct(o, rule)
	case "rate":
		return r.rate(o, rule)
	case "travel":
		return r.travel(o)
	case "simultaneous":
		return r.simultaneous(o, rule)
	case "off_hours":
		return r.offHours(o)
	case "new_value":
		return r.newValue(o, rule)
	case "workflow":
		return parseWorkflow(r, o, rule)
	case "sequence":
		return parseSequence(r, o, rule)
	case "enumeration":
		return r.enumeration(o, rule)
	case "inventory":
		return r.inventory(o, rule)
	case "contract":
		return r.contracted(o, rule)
	case "risk":
		return r.risk(o, rule)
	}
	if n := r.need(o, "a rule", "detect"); n != nil {
		r.choice(n, "detect", "", Kinds()...)
	}
	return nil
}
