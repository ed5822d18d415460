package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// interval is a range of numbers; a bound is excluded when its flag says so.
type interval struct {
	low, high         float64
	openLow, openHigh bool
}

func (i interval) contains(v float64) bool {
	return (v > i.low || v == i.low && !i.openLow) && (v < i.high || v == i.high && !i.openHigh)
}

// comparisons in an order in which no sign hides a longer one.
var comparisons = []string{">=", "<=", "==", ">", "<", "="}

// parseInterval reads a number, a comparison (">= 500") or a range ("10-20", both ends included); parse reads one number.
func parseInterval(s string, parse func(string) (float64, error)) (interval, error) {
	s = strings.TrimSpace(s)
	for _, sign := range comparisons {
		rest, ok := strings.CutPrefix(s, sign)
		if !ok {
			continue
		}
		v, err := parse(strings.TrimSpace(rest))
		return compared(sign, v), err
	}
	if low, high, ok := strings.Cut(s, "-"); ok && low != "" {
		return parseRange(strings.TrimSpace(low), strings.TrimSpace(high), parse)
	}
	v, err := parse(s)
	return interval{low: v, high: v}, err
}

func compared(sign string, v float64) interval {
	switch sign {
	case ">=":
		return interval{low: v, high: math.Inf(1)}
	case ">":
		return interval{low: v, high: math.Inf(1), openLow: true}
	case "<=":
		return interval{low: math.Inf(-1), high: v}
	case "<":
		return interval{low: math.Inf(-1), high: v, openHigh: true}
	}
	return interval{low: v, high: v}
}

func parseRange(low, high string, parse func(string) (float64, error)) (interval, error) {
	from, err := parse(low)
	if err != nil {
		return interval{}, err
	}
	to, err := parse(high)
	if err == nil && from > to {
		err = fmt.Errorf("the range %s-%s is upside down (did you mean \"%s-%s\"?)", low, high, high, low)
	}
	return interval{low: from, high: to}, err
}

// sortIntervals orders for the fingerprint.
func sortIntervals(all []interval) {
	slices.SortFunc(all, func(a, b interval) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.high, b.high), compareBool(a.openLow, b.openLow), compareBool(a.openHigh, b.openHigh))
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
