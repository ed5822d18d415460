package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
)

// truthReport compares what was raised with what was injected.
type truthReport struct {
	found  []finding
	missed []traffic.Label
	stray  []stray
}

// finding is an injected episode of misuse and the first alert about it.
type finding struct {
	label traffic.Label
	first *alert.Alert
	rules []string // all rules that raised something about it
	after time.Duration
}

// stray is an alert that belongs to no injected misuse.
type stray struct {
	alert *alert.Alert
	hit   string // the hard negative that it was raised about, if any
}

// judge assigns the alerts, first versions only, to the labels. shown says how gatewatch writes a raw value.
func judge(labels []traffic.Label, alerts []*alert.Alert, shown func(field, value string) string) truthReport {
	var r truthReport
	explained := make([]bool, len(alerts))
	for _, l := range labels {
		if !l.Misuse {
			continue
		}
		f := finding{label: l}
		for i, a := range alerts {
			if a.State != alert.Open || !l.Matches(a, shown) {
				continue
			}
			explained[i] = true
			if f.first == nil || a.DetectedAt < f.first.DetectedAt {
				f.first = a
			}
			if !slices.Contains(f.rules, a.Rule.ID) {
				f.rules = append(f.rules, a.Rule.ID)
			}
		}
		if f.first == nil {
			r.missed = append(r.missed, l)
			continue
		}
		f.after = max(0, f.first.DetectedAt.Std().Sub(l.From.Std()))
		r.found = append(r.found, f)
	}
	for i, a := range alerts {
		if a.State == alert.Open && !explained[i] {
			r.stray = append(r.stray, stray{a, negative(labels, a, shown)})
		}
	}
	return r
}

func negative(labels []traffic.Label, a *alert.Alert, shown func(field, value string) string) string {
	for _, l := range labels {
		if !l.Misuse && l.Matches(a, shown) {
			return strings.TrimPrefix(l.Kind, "benign:")
		}
	}
	return ""
}

func (r truthReport) write(w io.Writer, p paint) {
	total := len(r.found) + len(r.missed)
	fmt.Fprintf(w, "\n%s\n", p.bold(fmt.Sprintf("Injected misuse: %d of %d found", len(r.found), total)))
	for _, f := range r.found {
		fmt.Fprintf(w, "  %s %-30s after %-8s by %s\n", p.good("found "), f.label.Kind, f.after.Round(100*time.Millisecond), strings.Join(f.rules, ", "))
	}
	for _, l := range r.missed {
		fmt.Fprintf(w, "  %s %-30s %s %s\n", p.bad("missed"), l.Kind, l.Entity.Kind, l.Entity.ID)
	}
	fmt.Fprintf(w, "\n%s\n", p.bold(fmt.Sprintf("Raised although nobody injected it: %d", len(r.stray))))
	for _, s := range r.stray {
		about := ""
		if s.hit != "" {
			about = " (the harmless " + s.hit + ")"
		}
		fmt.Fprintf(w, "  %s %-30s %s%s\n", p.bad("stray "), s.alert.Rule.ID, s.alert.Summary, about)
	}
}
