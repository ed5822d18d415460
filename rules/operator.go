package rules

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

type (
	logicFunc  = func(*event.Event) bool
	numberFunc = func(*event.Event) float64
	textFunc   = func(*event.Event) string
)

func (c *compiler) binary(n *ast.BinaryNode) operand {
	a, b := c.compile(n.Left), c.compile(n.Right)
	if c.err != nil {
		return operand{}
	}
	var o operand
	var ok bool
	switch n.Operator {
	case "and", "&&", "or", "||":
		o.logic, ok = logical(n.Operator, a.logic, b.logic)
	case "==", "!=", "<", "<=", ">", ">=":
		o.logic, ok = compare(n.Operator, a, b)
	case "+", "-", "*", "/", "%":
		o.number, ok = calculate(n.Operator, a.number, b.number)
	case "..":
		o.constant, ok = span(a, b)
	case "in":
		o.logic, ok = in(a, b)
	case "contains", "startsWith", "endsWith":
		o.logic, ok = textual(n.Operator, a.text, b.text)
	case "matches":
		return c.matches(n, a, b)
	default:
		return c.fail(n, "the operator %s is not available", n.Operator)
	}
	if !ok {
		return c.fail(n, "%s does not work between %s and %s", n.Operator, a.kind(), b.kind())
	}
	return o
}

func logical(operator string, a, b logicFunc) (logicFunc, bool) {
	if a == nil || b == nil {
		return nil, false
	}
	if operator == "and" || operator == "&&" {
		return func(e *event.Event) bool { return a(e) && b(e) }, true
	}
	return func(e *event.Event) bool { return a(e) || b(e) }, true
}

func compare(operator string, a, b operand) (logicFunc, bool) {
	switch {
	case a.number != nil && b.number != nil:
		return compareNumbers(operator, a.number, b.number), true
	case a.text != nil && b.text != nil:
		return compareTexts(operator, a.text, b.text)
	case a.logic != nil && b.logic != nil && operator == "==":
		return func(e *event.Event) bool { return a.logic(e) == b.logic(e) }, true
	case a.logic != nil && b.logic != nil && operator == "!=":
		return func(e *event.Event) bool { return a.logic(e) != b.logic(e) }, true
	}
	return nil, false
}

func compareNumbers(operator string, a, b numberFunc) logicFunc {
	switch operator {
	case "==":
		return func(e *event.Event) bool { return a(e) == b(e) }
	case "!=":
		return func(e *event.Event) bool { return a(e) != b(e) }
	case "<":
		return func(e *event.Event) bool { return a(e) < b(e) }
	case "<=":
		return func(e *event.Event) bool { return a(e) <= b(e) }
	case ">":
		return func(e *event.Event) bool { return a(e) > b(e) }
	}
	return func(e *event.Event) bool { return a(e) >= b(e) }
}

// compareTexts knows equality only: an order of texts is nearly always a comparison of numbers gone wrong.
func compareTexts(operator string, a, b textFunc) (logicFunc, bool) {
	switch operator {
	case "==":
		return func(e *event.Event) bool { return a(e) == b(e) }, true
	case "!=":
		return func(e *event.Event) bool { return a(e) != b(e) }, true
	}
	return nil, false
}

// calculate divides as IEEE 754 does: by zero gives an infinity or NaN, which compare and do not fail.
func calculate(operator string, a, b numberFunc) (numberFunc, bool) {
	if a == nil || b == nil {
		return nil, false
	}
	switch operator {
	case "+":
		return func(e *event.Event) float64 { return a(e) + b(e) }, true
	case "-":
		return func(e *event.Event) float64 { return a(e) - b(e) }, true
	case "*":
		return func(e *event.Event) float64 { return a(e) * b(e) }, true
	case "/":
		return func(e *event.Event) float64 { return a(e) / b(e) }, true
	}
	return func(e *event.Event) float64 { return math.Mod(a(e), b(e)) }, true
}

// span is the constant list 400..499, kept as its ends.
func span(a, b operand) (interval, bool) {
	low, ok := a.constant.(float64)
	high, ok2 := b.constant.(float64)
	return interval{low: low, high: high}, ok && ok2 && low <= high
}

func in(a, b operand) (logicFunc, bool) {
	switch list := b.constant.(type) {
	case []string:
		if a.text != nil {
			set := textSet(list)
			return func(e *event.Event) bool { return set.contains(a.text(e)) }, true
		}
	case []float64:
		if a.number != nil {
			return func(e *event.Event) bool { return slices.Contains(list, a.number(e)) }, true
		}
	case interval:
		if a.number != nil {
			return func(e *event.Event) bool { return list.contains(a.number(e)) }, true
		}
	}
	if b.list != nil && a.text != nil {
		return func(e *event.Event) bool { return b.list(e, a.text(e)) }, true
	}
	return nil, false
}

func textual(operator string, a, b textFunc) (logicFunc, bool) {
	if a == nil || b == nil {
		return nil, false
	}
	test := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[operator]
	return func(e *event.Event) bool { return test(a(e), b(e)) }, true
}

// matches compiles the pattern once. RE2 takes time linear in the text, so no text can make it slow.
func (c *compiler) matches(n *ast.BinaryNode, a, b operand) operand {
	pattern, ok := b.constant.(string)
	if a.text == nil || !ok {
		return c.fail(n, "matches wants a text and a constant regular expression")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return c.fail(n.Right, "the regular expression is wrong: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return operand{logic: func(e *event.Event) bool { return re.MatchString(a.text(e)) }}
}
