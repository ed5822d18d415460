package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// workflowRule compiles a rule whose steps are the given names, each with the route of its name.
func workflowRule(t testing.TB, names, rest string) *Automaton {
	t.Helper()
	set, err := Parse(File{"rules.yaml", workflowYAML(names, rest)})
	if err != nil {
		t.Fatal(err)
	}
	return set.Rules[0].Detection.(*Workflow).Automaton
}

func workflowYAML(names, rest string) []byte {
	var b strings.Builder
	b.WriteString("rules:\n- id: flow\n  detect: workflow\n  by: session_id\n  steps:\n")
	for name := range strings.FieldsSeq(names) {
		fmt.Fprintf(&b, "    %s: {route: /%s}\n", name, name)
	}
	for line := range strings.Lines(rest) {
		b.WriteString("  " + strings.TrimLeft(line, "\t"))
	}
	return []byte(b.String())
}

// walk takes steps from the start and writes down what they meant: a step as it is when it was an advance, followed by ! for
// a violation, ~ for a retry and = where it changed nothing.
func walk(a *Automaton, steps string) string {
	var said []string
	state := a.Start()
	for name := range strings.FieldsSeq(steps) {
		name = strings.TrimRight(name, "!~=?")
		sym, ok := a.Symbol(&event.Event{Route: "/" + name, Path: "/" + name})
		if !ok {
			said = append(said, name+"?")
			continue
		}
		next, verdict := a.Next(state, sym)
		if verdict != Advance && next != state {
			name += " (the state changed)"
		}
		state = next
		said = append(said, name+map[Verdict]string{Advance: "", Stay: "=", Retry: "~", Violation: "!"}[verdict])
	}
	return strings.Join(said, " ")
}

func TestWalks(t *testing.T) {
	purchase := workflowRule(t, "cart checkout address shipping coupon card invoice", `
		workflows:
		- name: purchase
		  path:
		  - cart+
		  - repeat: [checkout, {unordered: [address, shipping]}, coupon?]
		  - choice: [card, invoice]
		guard: [checkout, card, invoice]`)
	two := workflowRule(t, "login accounts quote transfer loan", `
		workflows:
		- {name: transfer, path: [login, accounts, transfer]}
		- {name: loan, path: [login, {repeat: quote, at_least: 2, at_most: 3}, loan]}
		guard: [transfer, loan]`)
	again := workflowRule(t, "a b c", `
		workflows:
		- {name: "a, then b a", path: [a, b, a, c]}
		guard: c`)
	for _, tt := range []struct {
		what  string
		a     *Automaton
		walks []string
	}{
		{"the known path is allowed, in its variants", purchase, []string{
			"cart checkout address shipping card",
			"cart cart cart checkout shipping address coupon invoice",
			"cart checkout address shipping checkout shipping address coupon card",
		}},
		{"what is no step changes nothing", purchase, []string{"cart search? checkout search? address shipping search? card"}},
		{"a guarded step out of place is a violation and changes nothing", purchase, []string{
			"card!",
			"checkout! card!",
			"cart card! checkout card! address card! shipping card",
			"cart checkout address shipping card cart invoice!",
		}},
		{"an unguarded step out of place does not matter", purchase, []string{
			"address= cart shipping= checkout shipping shipping= coupon= address coupon card coupon=",
		}},
		{"a guarded step right after itself is a retry", purchase, []string{
			"cart checkout checkout~ address shipping card card~ card~ invoice!",
			"cart checkout address checkout!",
			"cart checkout search? checkout~ coupon= checkout~",
		}},
		{"a workflow may begin at any time, and what was begun stays", purchase, []string{
			"cart checkout address cart shipping card",          // the cart was touched in another tab
			"cart checkout cart checkout address shipping card", // the checkout was left and begun again
			"cart checkout address shipping cart card card~ checkout address shipping invoice",
		}},
		{"workflows share steps and are followed together", two, []string{
			"login accounts quote quote transfer loan",
			"login accounts transfer transfer~ loan!",
			"login quote loan! quote loan",
			"login quote quote quote loan",
			"login quote quote quote quote= loan",
			"login accounts transfer quote quote transfer! loan",
		}},
		{"a workflow can begin again with a step in its middle", again, []string{
			"a b a c",
			"a a b b= a c",
			"a b c! a c c~ b a c",
		}},
	} {
		for _, want := range tt.walks {
			if got := walk(tt.a, want); got != want {
				t.Errorf("%s:\n got %s\nwant %s", tt.what, got, want)
			}
		}
	}
}

func TestFirstDeclaredStepCounts(t *testing.T) {
	set, err := Parse(File{"rules.yaml", []byte(`
rules:
- id: flow
  detect: workflow
  by: session_id
  where: {environment: prod}
  steps:
    special: {route: "/pay/gift", method: POST}
    pay: {route: "/pay/**"}
  workflows: {name: gift, path: [special, pay]}
  guard: pay
`)})
	if err != nil {
		t.Fatal(err)
	}
	rule := set.Rules[0]
	a := rule.Detection.(*Workflow).Automaton
	for _, tt := range []struct {
		e       event.Event
		step    string
		matches bool
	}{
		{event.Event{Method: "POST", Route: "/pay/gift", Environment: "prod"}, "special", true},
		{event.Event{Method: "GET", Route: "/pay/gift", Environment: "prod"}, "pay", true},
		{event.Event{Method: "GET", Route: "/pay/gift", Environment: "test"}, "pay", false},
		{event.Event{Method: "GET", Route: "/search", Environment: "prod"}, "", false},
	} {
		step := ""
		if sym, ok := a.Symbol(&tt.e); ok {
			step = a.StepName(sym)
		}
		if step != tt.step {
			t.Errorf("%s %s is the step %q, not %q", tt.e.Method, tt.e.Route, step, tt.step)
		}
		if got := rule.Filter.Match(&tt.e); got != tt.matches {
			t.Errorf("the rule's filter says %t of %s %s in %s", got, tt.e.Method, tt.e.Route, tt.e.Environment)
		}
	}
	e := event.Event{Method: "GET", Route: "/pay/{id}", Path: "/pay/4711"}
	if n := testing.AllocsPerRun(100, func() { a.Symbol(&e) }); n != 0 {
		t.Errorf("Symbol allocates %v times", n)
	}
}

func TestWhatAnAlertTells(t *testing.T) {
	a := workflowRule(t, "cart checkout address shipping coupon card", `
		workflows:
		- {name: purchase, path: [cart, checkout, {unordered: [address, shipping]}, coupon?, card]}
		- {name: quick, path: [cart, coupon, checkout, card]}
		guard: card`)
	card, _ := a.Symbol(&event.Event{Route: "/card"})
	if got, want := a.Required(card), []string{"cart", "coupon", "checkout", "card"}; !slices.Equal(got, want) {
		t.Errorf("required %v, not %v", got, want)
	}
	for _, tt := range []struct{ steps, expected string }{
		{"", "cart"},
		{"cart", "cart checkout coupon"},
		{"cart checkout", "address cart coupon shipping"},
		{"cart coupon", "cart checkout"}, // the run of purchase has not moved: it allows the checkout too
		{"cart checkout address shipping", "card cart coupon"},
		{"cart checkout address shipping card", "cart coupon"}, // quick still waits for its coupon
	} {
		state := a.Start()
		for name := range strings.FieldsSeq(tt.steps) {
			sym, _ := a.Symbol(&event.Event{Route: "/" + name})
			state, _ = a.Next(state, sym)
		}
		if got := strings.Join(a.Expected(state), " "); got != tt.expected {
			t.Errorf("after %q: %q is expected, not %q", tt.steps, got, tt.expected)
		}
	}
}

func TestTimeouts(t *testing.T) {
	a := workflowRule(t, "create confirm execute login", `
		workflows:
		- {name: transfer, timeout: 1h, path: [create, confirm, execute], step_timeouts: {confirm: 5m}}
		- {name: other, timeout: 20m, path: [login, create, execute], step_timeouts: {create: 2m}}
		guard: execute`)
	const m = time.Minute
	for _, tt := range []struct {
		steps      string
		last       time.Duration
		start      time.Duration
		expired    bool
		whateverIs string
	}{
		{"", 1000 * m, 1000 * m, false, "the start never expires"},
		{"create", 60 * m, 60 * m, false, "no timeout of its own: the workflow's"},
		{"create", 60*m + 1, 60*m + 1, true, "no timeout of its own: the workflow's"},
		{"create confirm", 5 * m, 60 * m, false, "a confirmation is good for five minutes"},
		{"create confirm", 5*m + 1, 10 * m, true, "a confirmation is good for five minutes"},
		{"create confirm", 4 * m, 60*m + 1, true, "the whole took too long"},
		{"login", 20*m + 1, 20*m + 1, true, "the other workflow's timeout"},
		{"login create", 30 * m, 30 * m, false, "the longest time of the runs under way counts"},
		{"create confirm execute", 60 * m, 60 * m, false, "a retry is good as long as the workflow"},
		{"create confirm execute", 60*m + 1, 60*m + 1, true, "a retry is good as long as the workflow"},
	} {
		state := a.Start()
		for name := range strings.FieldsSeq(tt.steps) {
			sym, _ := a.Symbol(&event.Event{Route: "/" + name})
			state, _ = a.Next(state, sym)
		}
		if got := a.Expired(state, tt.last, tt.start); got != tt.expired {
			t.Errorf("after %q, %v since the last step and %v since the start: expired %t (%s)", tt.steps, tt.last, tt.start, got, tt.whateverIs)
		}
	}
	for _, name := range []string{"create", "login", "confirm", "execute"} {
		sym, _ := a.Symbol(&event.Event{Route: "/" + name})
		if got, want := a.Begins(sym), name == "create" || name == "login"; got != want {
			t.Errorf("%s begins a workflow: %t", name, got)
		}
	}
	if a.Grace() != time.Second {
		t.Errorf("the default of grace is %v", a.Grace())
	}
}

func TestFingerprintFollowsMeaning(t *testing.T) {
	const base = "workflows: [{name: n, path: [a, b*, {choice: [c, d]}]}]\nguard: [c, d]"
	original := workflowRule(t, "a b c d", base).AppendFingerprint(nil)
	for _, tt := range []struct {
		what, names, rest string
		same              bool
	}{
		{"the name of the workflow", "a b c d", strings.Replace(base, "name: n", "name: other", 1), true},
		{"another notation", "a b c d", "workflows: {name: n, path: [[a], {optional: {repeat: b}}, {choice: [c, d, d]}]}\nguard: [d, c]", true},
		{"two notations at once", "a b c d", "workflows: [{name: x, path: [a, b*, c]}, {name: y, path: [a, b*, d]}]\nguard: [c, d]", false},
		{"another path", "a b c d", strings.Replace(base, "b*", "b+", 1), false},
		{"another guard", "a b c d", strings.Replace(base, "guard: [c, d]", "guard: [c]", 1), false},
		{"another order of steps", "b a c d", base, false},
		{"a timeout", "a b c d", strings.Replace(base, "name: n", "name: n, timeout: 2h", 1), false},
		{"a step's timeout", "a b c d", strings.Replace(base, "name: n", "name: n, step_timeouts: {b: 1m}", 1), false},
		{"grace", "a b c d", base + "\ngrace: 2s", false},
	} {
		got := workflowRule(t, tt.names, tt.rest).AppendFingerprint(nil)
		if slices.Equal(got, original) != tt.same {
			t.Errorf("%s: the fingerprint is the same: %t", tt.what, !tt.same)
		}
	}
}

func TestMermaid(t *testing.T) {
	a := workflowRule(t, "cart checkout pay", "workflows: {name: purchase, path: [cart+, checkout, pay]}\nguard: [checkout, pay]")
	const want = `stateDiagram-v2
  direction LR
  state "purchase" as w0 {
    state " " as w0s1
    state " " as w0s2
    state " " as w0s3
    [*] --> w0s1: cart
    w0s1 --> w0s1: cart
    w0s1 --> w0s2: «checkout»
    w0s2 --> w0s3: «pay»
    w0s3 --> [*]
  }
`
	if got := a.Mermaid(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkSymbol(b *testing.B) {
	a := workflowRule(b, "cart checkout address shipping coupon card", "workflows: {name: purchase, path: [cart, checkout, address, shipping, coupon, card]}\nguard: card")
	for _, route := range []string{"/cart", "/card", "/none"} {
		b.Run(route[1:], func(b *testing.B) {
			e := event.Event{Route: route, Path: route}
			for b.Loop() {
				a.Symbol(&e)
			}
		})
	}
}
