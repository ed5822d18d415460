package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatewatch/gatewatch/fixtures/truth"
)

// writeEval prints the report for people.
func writeEval(w io.Writer, r *truth.Report) error {
	approximately := ""
	if !r.ClientDaysExact {
		approximately = "≈ "
	}
	fmt.Fprintf(w, "%s, %s%s, %s\n", plural(int(r.Events), "event"), approximately, plural(int(r.ClientDays), "client-day"), plural(r.Labels, "label"))
	fmt.Fprintf(w, "misuse found: %d of %d (%.1f %%), %d of them later than stated\n", r.Found, r.Injected, 100*r.Recall, r.Late)
	fmt.Fprintf(w, "false alerts: %d, %.2f per million events, %.2f per 1,000 client-days\n\n", r.False.Count, r.False.PerMillionEvents, r.False.Per1000ClientDays)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	evalKinds(t, r.Kinds)
	evalNegatives(t, r.Negatives)
	evalFalse(t, r.False)
	evalShadow(t, r.Shadow)
	evalAbsent(t, r.Absent)
	return t.Flush()
}

func evalKinds(w io.Writer, kinds []truth.Kind) {
	fmt.Fprintln(w, "MISUSE\tFOUND\tMISSED\tLATE\tSTATED\tMEDIAN\tP95\tMAX\tFOUND BY")
	for _, k := range kinds {
		median, p95, most := "-", "-", "-"
		if d := k.Delay; d != nil {
			median, p95, most = seconds(d.Median), seconds(d.P95), seconds(d.Max)
		}
		stated := k.Within
		if stated == "" {
			stated = "-"
		}
		fmt.Fprintf(w, "%s\t%d of %d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", k.Kind, k.Found, k.Injected, k.Missed, k.Late, stated, median, p95, most, foundBy(k))
	}
	for _, k := range kinds {
		for _, m := range k.Misses {
			fmt.Fprintf(w, "  missed %s: %s %s at %s%s\n", k.Kind, m.Entity.Kind, m.Entity.ID, m.From, onLine(m.Line))
		}
	}
}

func foundBy(k truth.Kind) string {
	var list []string
	for _, c := range k.Rules {
		list = append(list, fmt.Sprintf("%s %d", c.Rule, c.Count))
	}
	if k.Shadowed > 0 {
		list = append(list, fmt.Sprintf("(%d only in shadow)", k.Shadowed))
	}
	return strings.Join(list, ", ")
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Hour {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func onLine(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" (label on line %d)", line)
}

func evalNegatives(w io.Writer, negatives []truth.Negative) {
	if len(negatives) == 0 {
		return
	}
	fmt.Fprintln(w, "\nNO MISUSE\tEPISODES\tACCUSED\tALERTS")
	for _, n := range negatives {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", n.Kind, n.Episodes, n.Accused, n.Alerts)
	}
}

func evalFalse(w io.Writer, f truth.FalseAlerts) {
	if f.Count == 0 {
		return
	}
	fmt.Fprintln(w, "\nFALSE ALERTS\tCOUNT\tFOR EXAMPLE")
	for _, r := range f.Rules {
		fmt.Fprintf(w, "%s\t%d\t%s\n", r.Rule, r.Count, example(r.Examples))
	}
}

func example(list []truth.FalseAlert) string {
	if len(list) == 0 {
		return ""
	}
	about := ""
	if list[0].Negative != "" {
		about = " (" + list[0].Negative + ")"
	}
	return fmt.Sprintf("%s %s%s", list[0].DetectedAt, list[0].Summary, about)
}

func evalShadow(w io.Writer, shadow []truth.Shadow) {
	if len(shadow) == 0 {
		return
	}
	fmt.Fprintln(w, "\nIN SHADOW, NOT COUNTED\tTRUE\tFALSE\tFOR EXAMPLE")
	for _, s := range shadow {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", s.Rule, s.True, s.False, example(s.Examples))
	}
}

// mostAbsent is how many labels without telemetry are named; a wrong form of names makes all labels such.
const mostAbsent = 10

func evalAbsent(w io.Writer, absent []truth.Absent) {
	if len(absent) == 0 {
		return
	}
	fmt.Fprintf(w, "\nLabels about nobody who occurs in the telemetry at their time: %d\n", len(absent))
	for _, a := range absent[:min(len(absent), mostAbsent)] {
		when := "never"
		if a.Ever {
			when = "only at another time"
		}
		fmt.Fprintf(w, "  %s: %s %s occurs %s%s\n", a.Kind, a.Entity.Kind, a.Entity.ID, when, onLine(a.Line))
	}
}
