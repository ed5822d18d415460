package rules

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: distinct.
//
//	count   the field whose different values are counted: path.id, subject, source_ip, route, country …
//	window  1s to 31d
//	limit   a finding is more than limit values within the window; 1 to 10,000,000
//	noun    what the values are called in an alert, plural: user profiles
var distinctKeys = []string{"count", "window", "limit", "noun"}

const maxDistinct = 10_000_000

func (r *reader) distinct(o object, rule *Rule) Detection {
	d := &Distinct{Counted: r.counted(o, "detect: distinct", rule)}
	rule.Window = r.window(r.need(o, "detect: distinct", "window"), 0)
	d.Limit = r.integer(r.need(o, "detect: distinct", "limit"), "limit", 1, r.mostValues(d.Count), 0)
	return d
}

// window reads the window of a rule.
func (r *reader) window(n ast.Node, absent time.Duration) time.Duration {
	return r.duration(n, "window", MinWindow, MaxWindow, absent)
}

// mostValues is the highest limit that a field can exceed.
func (*reader) mostValues(f event.Field) int {
	switch f.Kind() {
	case event.Continent:
		return len(continents) - 1
	case event.Country:
		return 248 // ISO 3166-1 has 249
	case event.Status:
		return 499
	}
	return maxDistinct
}

func (d *Distinct) appendTo(b []byte) []byte {
	return appendInt(appendField(b, d.Count), d.Limit)
}
