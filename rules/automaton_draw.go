package rules

import (
	"fmt"
	"strings"
)

// Mermaid draws what each workflow allows, for documentation: a state diagram in the notation of mermaid.js, one composite
// state for each workflow. A guarded step stands in double angle quotes. What the drawing leaves out is that several runs can
// be under way at once, and timeouts.
func (a *Automaton) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n  direction LR\n")
	for i, f := range a.flows {
		fmt.Fprintf(&b, "  state %q as w%d {\n", f.name, i)
		for state := 1; state < len(f.next); state++ {
			fmt.Fprintf(&b, "    state \" \" as w%ds%d\n", i, state)
		}
		for state := range f.next {
			a.drawSteps(&b, f, i, state)
		}
		b.WriteString("  }\n")
	}
	return b.String()
}

// drawSteps draws one arrow for each state that steps lead to from the given one.
func (a *Automaton) drawSteps(b *strings.Builder, f *flow, number, state int) {
	from := fmt.Sprintf("w%ds%d", number, state)
	if state == 0 {
		from = "[*]"
	}
	labels := make([][]string, len(f.next))
	for sym, to := range f.next[state] {
		if to != none {
			labels[to] = append(labels[to], a.label(uint8(sym)))
		}
	}
	for to, names := range labels {
		if len(names) > 0 {
			fmt.Fprintf(b, "    %s --> w%ds%d: %s\n", from, number, to, strings.Join(names, ", "))
		}
	}
	if f.over(int16(state)) {
		fmt.Fprintf(b, "    %s --> [*]\n", from)
	}
}

func (a *Automaton) label(sym uint8) string {
	if a.guarded[sym] {
		return "«" + a.names[sym] + "»"
	}
	return a.names[sym]
}
