package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/fixtures/truth"
)

// judged compares what was raised with what was injected. shown says how gatewatch writes a raw value.
func judged(labels []truth.Label, alerts []*alert.Alert, shown func(field, value string) string) *truth.Report {
	judge := truth.NewJudge(labels, truth.Options{Shown: shown, Examples: 100})
	for _, a := range alerts {
		judge.Alert(a)
	}
	return judge.Report()
}

// writeDemo writes what a person who watched the demo wants to know at its end.
func writeDemo(w io.Writer, r *truth.Report, p paint) {
	fmt.Fprintf(w, "\n%s\n", p.bold(fmt.Sprintf("Injected misuse: %d of %d found", r.Found, r.Injected)))
	for _, found := range []bool{true, false} {
		for _, e := range r.Episodes {
			switch {
			case e.Found != found:
			case found:
				fmt.Fprintf(w, "  %s %-30s after %-8s by %s\n", p.good("found "), e.Label.Kind, e.After.Round(100*time.Millisecond), strings.Join(e.Rules, ", "))
			default:
				fmt.Fprintf(w, "  %s %-30s %s %s\n", p.bad("missed"), e.Label.Kind, e.Label.Entity.Kind, e.Label.Entity.ID)
			}
		}
	}
	fmt.Fprintf(w, "\n%s\n", p.bold(fmt.Sprintf("Raised although nobody injected it: %d", r.False.Count)))
	for _, rule := range r.False.Rules {
		for _, a := range rule.Examples {
			about := ""
			if a.Negative != "" {
				about = " (the harmless " + strings.TrimPrefix(a.Negative, "benign:") + ")"
			}
			fmt.Fprintf(w, "  %s %-30s %s%s\n", p.bad("stray "), a.Rule, a.Summary, about)
		}
	}
}
