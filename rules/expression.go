package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/gatewatch/gatewatch/detector/event"
)

// expression is the condition of an "if:".
//
// The language is a part of expr-lang's: its parser reads it, and what it reads is compiled to typed Go functions over the
// event. Its own virtual machine would do as well, but boxes every field that it reads, and can fail while it runs; these
// functions cannot, and allocate nothing.
//
//	operands     fields by name, "text", 12.5, true, ["a", "b"], 400..499
//	             attributes.tier, query.page, path.id; attributes["x-tier"] where a name is no word
//	logic        and or not (&& || !), ? :
//	comparison   == != < <= > >=, in, not in
//	text         contains startsWith endsWith matches (a constant RE2 expression), len(text)
//	numbers      + - * / %
//
// A text that the event does not have is "", such a number 0. scopes and anonymous are lists: "admin" in scopes.
type expression struct {
	text string
	test func(*event.Event) bool
	uses []event.Field
}

const (
	maxExpressionBytes = 4096
	maxExpressionNodes = 500
)

// expressionError is a defect and where in the expression it stands, in characters from 0.
type expressionError struct {
	message string
	from    int
}

func (e *expressionError) Error() string { return e.message }

func parseExpression(text string) (*expression, error) {
	if len(text) > maxExpressionBytes {
		return nil, fmt.Errorf("the expression has more than %d characters", maxExpressionBytes)
	}
	config := conf.CreateNew()
	config.MaxNodes = maxExpressionNodes
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) {
			return nil, &expressionError{strings.Replace(at.Message, "unexpected token EOF", "the expression is incomplete", 1), at.From}
		}
		return nil, err
	}
	c := compiler{}
	o := c.compile(tree.Node)
	if c.err == nil && o.logic == nil {
		c.fail(tree.Node, "the expression gives %s, not true or false", o.kind())
	}
	if c.err != nil {
		return nil, c.err
	}
	return &expression{text: tree.Node.String(), test: o.logic, uses: c.uses}, nil
}

func (x *expression) match(e *event.Event) bool            { return x.test(e) }
func (*expression) decide(*event.Event, *template) verdict { return unknown }
func (x *expression) appendTo(b []byte) []byte             { return appendString(append(b, 'e'), x.text) }
func (x *expression) fields() []event.Field                { return x.uses }
func (x *expression) String() string                       { return "if: " + x.text }

// operand is a compiled part of an expression: exactly one of its functions is set, or none after an error.
type operand struct {
	logic  func(*event.Event) bool
	number func(*event.Event) float64
	text   func(*event.Event) string
	list   func(*event.Event, string) bool // membership
	length func(*event.Event) int          // of a list

	constant any // its value when it is one: bool, float64, string, []string or []float64
}

func (o operand) kind() string {
	switch {
	case o.logic != nil:
		return "true or false"
	case o.number != nil:
		return "a number"
	case o.text != nil:
		return "text"
	}
	return "a list"
}

func constantLogic(v bool) operand {
	return operand{logic: func(*event.Event) bool { return v }, constant: v}
}

func constantNumber(v float64) operand {
	return operand{number: func(*event.Event) float64 { return v }, constant: v}
}

func constantText(v string) operand {
	return operand{text: func(*event.Event) string { return v }, constant: v}
}

// compiler turns the parser's tree into functions. It keeps the first error and goes on with empty operands.
type compiler struct {
	err  *expressionError
	uses []event.Field
}

func (c *compiler) fail(n ast.Node, format string, args ...any) operand {
	if c.err == nil {
		c.err = &expressionError{fmt.Sprintf(format, args...), n.Location().From}
	}
	return operand{}
}

func (c *compiler) compile(n ast.Node) operand {
	switch n := n.(type) {
	case *ast.BoolNode:
		return constantLogic(n.Value)
	case *ast.IntegerNode:
		return constantNumber(float64(n.Value))
	case *ast.FloatNode:
		return constantNumber(n.Value)
	case *ast.StringNode:
		return constantText(n.Value)
	case *ast.IdentifierNode:
		return c.field(n, n.Value)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.BuiltinNode:
		if n.Name == "len" && len(n.Arguments) == 1 {
			return c.len(n)
		}
		return c.fail(n, "the function %s is not available; only len is", n.Name)
	case *ast.CallNode:
		return c.fail(n, "the function %s is not available; only len is", n.Callee)
	case *ast.NilNode:
		return c.fail(n, `nil does not exist: compare with "" or 0`)
	}
	return c.fail(n, "this part of the expression language is not available")
}

func (c *compiler) field(n ast.Node, name string) operand {
	f, ok := event.ParseField(name)
	if !ok {
		return c.fail(n, "unknown field %q%s", name, nearestOr(name, event.FieldNames()))
	}
	c.uses = append(c.uses, f)
	switch f.Kind() {
	case event.Status, event.DurationMS, event.RequestBytes, event.ResponseBytes, event.ASN:
		return operand{number: func(e *event.Event) float64 { v, _ := f.Number(e); return v }}
	case event.Scopes:
		return operand{list: hasScope, length: func(e *event.Event) int { return len(e.Scopes) }}
	case event.Anonymous:
		return operand{list: isAnonymous, length: anonymousKinds}
	}
	return operand{text: f.Text}
}

// member reads attributes.tier and attributes["x-tier"].
func (c *compiler) member(n *ast.MemberNode) operand {
	base, ok := n.Node.(*ast.IdentifierNode)
	name, isText := n.Property.(*ast.StringNode)
	if !ok || !isText || n.Method {
		return c.fail(n, "only attributes.<name>, query.<name> and path.<name> have parts")
	}
	return c.field(n, base.Value+"."+name.Value)
}

func (c *compiler) array(n *ast.ArrayNode) operand {
	var texts []string
	var numbers []float64
	for _, item := range n.Nodes {
		switch v := c.compile(item).constant.(type) {
		case string:
			texts = append(texts, v)
		case float64:
			numbers = append(numbers, v)
		default:
			return c.fail(item, "a list holds constant texts or constant numbers")
		}
	}
	switch {
	case len(n.Nodes) == 0:
		return c.fail(n, "the list is empty")
	case len(texts) == 0:
		return operand{constant: numbers}
	case len(numbers) == 0:
		return operand{constant: texts}
	}
	return c.fail(n, "a list holds texts or numbers, not both")
}

func (c *compiler) unary(n *ast.UnaryNode) operand {
	o := c.compile(n.Node)
	switch {
	case c.err != nil:
		return operand{}
	case (n.Operator == "not" || n.Operator == "!") && o.logic != nil:
		return operand{logic: func(e *event.Event) bool { return !o.logic(e) }}
	case n.Operator == "-" && o.number != nil:
		if v, ok := o.constant.(float64); ok {
			return constantNumber(-v)
		}
		return operand{number: func(e *event.Event) float64 { return -o.number(e) }}
	case n.Operator == "+" && o.number != nil:
		return o
	}
	return c.fail(n, "%s does not work on %s", n.Operator, o.kind())
}

func (c *compiler) conditional(n *ast.ConditionalNode) operand {
	cond, yes, no := c.compile(n.Cond), c.compile(n.Exp1), c.compile(n.Exp2)
	switch {
	case c.err != nil:
		return operand{}
	case cond.logic == nil:
		return c.fail(n.Cond, "the condition before ? gives %s, not true or false", cond.kind())
	case yes.logic != nil && no.logic != nil:
		return operand{logic: func(e *event.Event) bool {
			if cond.logic(e) {
				return yes.logic(e)
			}
			return no.logic(e)
		}}
	case yes.number != nil && no.number != nil:
		return operand{number: func(e *event.Event) float64 {
			if cond.logic(e) {
				return yes.number(e)
			}
			return no.number(e)
		}}
	case yes.text != nil && no.text != nil:
		return operand{text: func(e *event.Event) string {
			if cond.logic(e) {
				return yes.text(e)
			}
			return no.text(e)
		}}
	}
	return c.fail(n, "the two sides of : must be of one kind, not %s and %s", yes.kind(), no.kind())
}

func (c *compiler) len(n *ast.BuiltinNode) operand {
	o := c.compile(n.Arguments[0])
	switch {
	case c.err != nil:
		return operand{}
	case o.text != nil:
		return operand{number: func(e *event.Event) float64 { return float64(len(o.text(e))) }}
	case o.length != nil:
		return operand{number: func(e *event.Event) float64 { return float64(o.length(e)) }}
	}
	return c.fail(n, "len does not work on %s", o.kind())
}

func hasScope(e *event.Event, scope string) bool {
	for _, s := range e.Scopes {
		if s == scope {
			return true
		}
	}
	return false
}

func isAnonymous(e *event.Event, kind string) bool {
	flag, _ := parseAnonymity(kind)
	return e.Geo != nil && e.Geo.Anonymous&flag != 0
}

func anonymousKinds(e *event.Event) (n int) {
	if e.Geo == nil {
		return 0
	}
	for rest := e.Geo.Anonymous; rest != 0; rest &= rest - 1 {
		n++
	}
	return n
}

// column returns where in the file an error inside the expression stands, as an offset from the value's beginning: exact
// for a value on one line.
func (e *expressionError) column(text string) int {
	if strings.Contains(text, "\n") {
		return 0
	}
	return e.from
}
