package ruletest

import (
	"slices"

	"github.com/gatewatch/gatewatch/rules"
)

// Untested lists the rules of which no test expects an alert, in the order of the set: nothing shows that they find anything.
func Untested(set *rules.Set, tests []*rules.Test) (ids []string) {
	for _, r := range set.Rules {
		if !slices.ContainsFunc(tests, func(t *rules.Test) bool { return t.Expects(r.ID) }) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
