package rules

import (
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: risk.
//
//	limit      a finding is more than so many points; default 45, 1 to 10,000
//	half_life  after this time without a new signal half of the points are left; default 6h, 1m to 31d
//	kinds      how many different kinds of evidence there must be, see [Rule.Evidence]; default 2, 1 to 16
//	points     what an alert adds, by the severity of its rule: {info: 2, low: 10, medium: 25, high: 40, critical: 70}, each
//	           0 to 10,000. A rule in shadow mode adds half of it, and being near a limit (suspicion) a fifth
//
// It has neither where nor if: its input is what the other rules that group by the same entity find.
var riskKeys = []string{"limit", "half_life", "kinds", "points"}

const (
	maxPoints       = 10_000
	defaultRisk     = 45
	defaultHalfLife = 6 * time.Hour
	maxKinds        = 16
)

var defaultPoints = map[alert.Severity]float64{alert.Info: 2, alert.Low: 10, alert.Medium: 25, alert.High: 40, alert.Critical: 70}

func (r *reader) risk(o object, rule *Rule) Detection {
	for _, key := range []string{"where", "if"} {
		if o.has(key) {
			r.errorf(o.keys[key], "detect: risk takes no %s: it adds up what the rules find that group by the same entity", key)
		}
	}
	rule.Filter = newFilter([]condition{noEvent{}})
	return &Risk{
		Limit:    r.number(o.get("limit"), "limit", 1, maxPoints, defaultRisk),
		HalfLife: r.duration(o.get("half_life"), "half_life", time.Minute, MaxWindow, defaultHalfLife),
		Kinds:    r.integer(o.get("kinds"), "kinds", 1, maxKinds, 2),
		Points:   r.points(o.get("points")),
	}
}

func (r *reader) points(n ast.Node) map[alert.Severity]float64 {
	points := map[alert.Severity]float64{}
	var names []string
	for _, s := range alert.Severities() {
		names = append(names, string(s))
	}
	o := r.object(n, "points", names...)
	for _, s := range alert.Severities() {
		points[s] = r.number(o.get(string(s)), "points of "+string(s), 0, maxPoints, defaultPoints[s])
	}
	return points
}

func (d *Risk) appendTo(b []byte) []byte {
	b = appendInt(appendFloat(b, d.Limit), int(d.HalfLife))
	b = appendInt(b, d.Kinds)
	for _, s := range alert.Severities() {
		b = appendFloat(b, d.Points[s])
	}
	return b
}

// noEvent matches nothing.
type noEvent struct{}

func (noEvent) match(*event.Event) bool                { return false }
func (noEvent) decide(*event.Event, *template) verdict { return never }
func (noEvent) appendTo(b []byte) []byte               { return append(b, 'n') }
func (noEvent) fields() []event.Field                  { return nil }
func (noEvent) String() string                         { return "no event: it adds up what other rules find" }

// Evidence names the kind of evidence that the rule's findings are, for rules that combine several kinds: how it looks, and where it
// is tagged with one, the category of the OWASP API Security Top 10. One act shows in several rules that look alike, and would be
// an incident by itself: so counting different values within a window is one kind, whatever detection does it, and so are
// places too far from each other.
func (r *Rule) Evidence() string {
	const owasp = "owasp:"
	if i := slices.IndexFunc(r.Tags, func(tag string) bool { return len(tag) > len(owasp) && tag[:len(owasp)] == owasp }); i >= 0 {
		return r.look() + " " + r.Tags[i]
	}
	return r.look()
}

// look is the kind of detection, or the simplest one that looks at the same.
func (r *Rule) look() string {
	switch d := r.Detection.(type) {
	case *Enumeration:
		return (*Distinct)(nil).Kind()
	case *Contracted:
		if d.Several != 0 {
			return (*Distinct)(nil).Kind()
		}
	case *Simultaneous:
		return (*Travel)(nil).Kind()
	}
	return r.Detection.Kind()
}
