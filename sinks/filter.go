package sinks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Filter says which alerts a destination for people gets.
type Filter struct {
	MinSeverity alert.Severity `yaml:"min_severity"`
	States      []alert.State  `yaml:"states"`
}

// Validate reports everything that is wrong with f.
func (f Filter) Validate() error {
	var errs []error
	if !slices.Contains(alert.Severities(), f.MinSeverity) {
		errs = append(errs, fmt.Errorf("min_severity is %q, must be one of %s", f.MinSeverity, list(alert.Severities())))
	}
	all := []alert.State{alert.Open, alert.Update, alert.Closed}
	if len(f.States) == 0 {
		errs = append(errs, fmt.Errorf("states is empty, name some of %s", list(all)))
	}
	for _, s := range f.States {
		if !slices.Contains(all, s) {
			errs = append(errs, fmt.Errorf("states has %q, must be some of %s", s, list(all)))
		}
	}
	return errors.Join(errs...)
}

// Passes reports whether the destination gets the alert. All versions of one alert have one severity, so that what was opened
// there is closed there, unless a reload lowers the severity of the rule below the minimum in between. A severity that is not
// known passes.
func (f Filter) Passes(a *alert.Alert) bool {
	severities := alert.Severities()
	low := severities[:max(slices.Index(severities, f.MinSeverity), 0)]
	return !slices.Contains(low, a.Rule.Severity) && slices.Contains(f.States, a.State)
}

// list writes names with commas between.
func list[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
