package rules

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: enumeration. At least one of found, denied and sequential says what is judged.
//
//	count       the id of the object: path.id, query.id, attributes.order …
//	noun        what the objects are called in an alert, plural: orders
//	window      1s to 31d
//	found       {limit, newcomer_limit, new_share}: a finding is more than limit objects that are answered 2xx or 304 and that the
//	            entity has touched on no earlier day. newcomer_limit takes the place of limit before the entity has the history
//	            that learn asks for; default ten times limit. new_share excuses up to four times the limit while a smaller share
//	            of the answered objects is new; 0 to 99 %, default 50 %
//	denied      {limit}: a finding is more than limit different ids that are answered 403, 404 or 410
//	sequential  {limit, step}: a finding is more than limit ids asked for in sequence, each at most step (default 3, 1 to 1,000)
//	            beyond the one before
//	learn       {min_events: 50, min_days: 7}; only with found
//	remember    how many touched objects of an entity are remembered, 64 to 65,536, default 4,096; of more, a sample; only with
//	            found
var enumerationKeys = []string{"count", "noun", "window", "found", "denied", "sequential", "learn", "remember"}

var (
	foundKeys      = []string{"limit", "newcomer_limit", "new_share"}
	deniedKeys     = []string{"limit"}
	sequentialKeys = []string{"limit", "step"}
)

const (
	defaultNewcomer = 10 // times the limit
	defaultNewShare = 0.5
	defaultStep     = 3
	maxStep         = 1000
	leastRemembered = 64
	mostRemembered  = 1 << 16
	remembered      = 4096
)

func (r *reader) enumeration(o object, rule *Rule) Detection {
	d := &Enumeration{Counted: r.counted(o, "detect: enumeration", rule)}
	r.checkObject(o, d.Count)
	rule.Window = r.window(r.need(o, "detect: enumeration", "window"), 0)
	if !o.has("found") && !o.has("denied") && !o.has("sequential") {
		r.errorf(o.node, "detect: enumeration needs at least one of the keys found, denied and sequential")
	}
	r.found(o, d)
	if n := o.get("denied"); n != nil {
		d.Denied = r.most(r.object(n, "denied", deniedKeys...), "denied")
	}
	if n := o.get("sequential"); n != nil {
		walk := r.object(n, "sequential", sequentialKeys...)
		d.Sequential = r.most(walk, "sequential")
		d.Step = r.integer(walk.get("step"), "step", 1, maxStep, defaultStep)
	}
	return d
}

// most reads the limit of one of the judgements.
func (r *reader) most(o object, what string) int {
	if _, ok := mapping(o.node); !ok {
		return 0
	}
	return r.integer(r.need(o, what, "limit"), "limit", 1, maxDistinct, 0)
}

func (r *reader) found(o object, d *Enumeration) {
	for _, key := range []string{"learn", "remember"} {
		if o.has(key) && !o.has("found") {
			r.errorf(o.keys[key], "%s belongs to found", key)
		}
	}
	n := o.get("found")
	if n == nil {
		return
	}
	f := r.object(n, "found", foundKeys...)
	d.Found = r.most(f, "found")
	d.Newcomer = r.integer(f.get("newcomer_limit"), "newcomer_limit", 1, maxDistinct, min(maxDistinct, defaultNewcomer*d.Found))
	if d.Newcomer < d.Found {
		r.errorf(f.get("newcomer_limit"), "newcomer_limit is %d, below the limit of %d: to a newcomer everything is new", d.Newcomer, d.Found)
	}
	d.NewShare = r.newShare(f.get("new_share"))
	d.Learn = r.learning(o.get("learn"))
	d.Remember = r.integer(o.get("remember"), "remember", leastRemembered, mostRemembered, remembered)
}

func (r *reader) newShare(n ast.Node) float64 {
	if n == nil {
		return defaultNewShare
	}
	text, _ := scalar(n)
	v, err := parseShare(text)
	switch {
	case err != nil:
		r.errorf(n, "new_share must be a fraction such as 0.5 or a percentage such as 50%%, not %s", kindOf(n))
	case v < 0 || v > 0.99:
		r.errorf(n, "new_share must be between 0 and 99 %%, not %s", text)
	default:
		return v
	}
	return defaultNewShare
}

// checkObject refuses fields that name no object.
func (r *reader) checkObject(o object, f event.Field) {
	switch f.Kind() {
	case event.Environment, event.API, event.Method, event.Route, event.Status, event.UserAgent, event.Scopes, event.Country,
		event.Continent, event.City, event.ASN, event.Anonymous, event.SourceIP:
		r.errorf(o.get("count"), "count of an enumeration must be what names an object, such as path.id, not %s", f)
	}
}

func (d *Enumeration) limitText() string {
	var limits []string
	for _, l := range []struct {
		limit int
		of    string
	}{{d.Found, "new"}, {d.Denied, "denied"}, {d.Sequential, "in sequence"}} {
		if l.limit > 0 {
			limits = append(limits, fmt.Sprintf("%d %s", l.limit, l.of))
		}
	}
	return strings.Join(limits, ", ")
}

func (d *Enumeration) appendTo(b []byte) []byte {
	b = appendField(b, d.Count)
	for _, v := range []int{d.Found, d.Newcomer, d.Denied, d.Sequential, d.Step, d.Learn.MinEvents, d.Learn.MinDays, d.Remember} {
		b = appendInt(b, v)
	}
	return appendString(b, formatNumber(d.NewShare))
}
