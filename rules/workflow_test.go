package rules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDocumentedWorkflow compiles the example in the documentation of workflowKeys and walks through it.
func TestDocumentedWorkflow(t *testing.T) {
	source, err := os.ReadFile("workflow.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(source), "// For example:\n//\n")
	example, _, _ = strings.Cut(example, "//\n// [Automaton]")
	example = strings.ReplaceAll(example, "//\t", "  ")
	set, err := Parse(File{"example.yaml", []byte("rules:\n- id: example\n" + example)})
	if err != nil {
		t.Fatal(err)
	}
	a := set.Rules[0].Detection.(*Workflow).Automaton
	if got, want := len(a.names), 7; got != want {
		t.Fatalf("%d steps, not %d", got, want)
	}
	state := a.Start()
	for _, name := range []string{"cart", "cart", "checkout", "shipping", "address", "coupon", "checkout", "address", "shipping", "invoice"} {
		var verdict Verdict
		if state, verdict = a.Next(state, uint8(slices.Index(a.names, name))); verdict != Advance {
			t.Fatalf("%s: the verdict is %d", name, verdict)
		}
	}
	if a.Grace() != time.Second || !a.Expired(state, 2*time.Hour+1, time.Minute) || a.Expired(state, 2*time.Hour, time.Minute) {
		t.Errorf("the timeouts are not those of the example")
	}
}

// TestPathNotation compares notations that must mean the same.
func TestPathNotation(t *testing.T) {
	compile := func(path string) []byte {
		return workflowRule(t, "a b c d", "workflows: {name: n, path: "+path+"}\nguard: d").AppendFingerprint(nil)
	}
	for _, same := range [][]string{
		{"[a, b?, c, d]", "[a, {optional: b}, c, d]", "[a, {repeat: b, at_least: 0, at_most: 1}, c, d]", "[a, {choice: [[b, c], c]}, d]"},
		{"[a, b+, c, d]", "[a, {repeat: b}, c, d]", "[a, b, b*, c, d]", "[a, {repeat: {repeat: b}}, c, d]"},
		{"[a, b*, c, d]", "[a, {repeat: b, at_least: 0}, c, d]", "[a, {optional: b+}, c, d]"},
		{"[[a, [b, c]], d]", "[a, b, c, d]", "[{choice: [[a, b, c], [a, b, c]]}, d]"},
		{"[a, {unordered: [b, c]}, d]", "[a, {choice: [[b, c], [c, b]]}, d]", "{choice: [[a, b, c, d], [a, c, b, d]]}"},
		{"[a, {unordered: [b?, c]}, d]", "[a, {choice: [[b, c], [c, b], c]}, d]"},
		{"[a, {unordered: [[b, c], a]}, d]", "[a, {choice: [[b, c, a], [a, b, c]]}, d]"},
		{"[a, {repeat: [b, c], at_least: 2, at_most: 3}, d]", "[a, b, c, b, c, {optional: [b, c]}, d]"},
		{"[a, {repeat: b, at_least: 3}, c, d]", "[a, b, b, b+, c, d]"},
	} {
		first := compile(same[0])
		for _, other := range same[1:] {
			if !slices.Equal(compile(other), first) {
				t.Errorf("%s and %s differ", same[0], other)
			}
		}
	}
}
