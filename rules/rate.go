package rules

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: rate.
//
//	window  1s to 31d
//	limit   a finding is more than this within the window:
//	        requests: 1 to 1,000,000,000
//	        with sum: bytes (1000, 500MB, 1GiB) or, for duration_ms, a duration (90s) or milliseconds
//	        with share: a fraction between 0 and 1 (0.6) or a percentage (60%), both ends excluded
//	sum     request_bytes, response_bytes or duration_ms: add these up instead of counting requests
//	share   a block of matchers as in where: the share of the rule's requests that match it
//	min     with share: how many requests must be in the window before the share counts; default 20, 1 to 1,000,000
var rateKeys = []string{"window", "limit", "sum", "share", "min"}

const (
	maxRequests  = 1_000_000_000
	maxSum       = 1e15
	maxMin       = 1_000_000
	defaultShare = 20
)

func (r *reader) rate(o object, rule *Rule) Detection {
	d := &Rate{}
	rule.Window = r.window(r.need(o, "detect: rate", "window"), 0)
	limit := r.need(o, "detect: rate", "limit")
	if o.has("sum") && o.has("share") {
		r.errorf(o.keys["share"], "a rate is either a sum or a share, not both")
	}
	if o.has("min") && !o.has("share") {
		r.errorf(o.keys["min"], "min belongs to a share")
	}
	switch {
	case o.has("share"):
		r.share(o, d, limit)
	case o.has("sum"):
		r.sum(o, d, limit)
	default:
		d.Limit = r.requests(limit)
	}
	return d
}

// requests reads a limit of requests, and tells whoever means bytes or a share which key that needs.
func (r *reader) requests(limit ast.Node) float64 {
	text, _ := scalar(limit)
	if _, err := parseInteger(text); err == nil || limit == nil {
		return float64(r.integer(limit, "limit", 1, maxRequests, 0))
	}
	hint := ""
	if _, err := parseSize(text); err == nil && strings.HasSuffix(strings.ToUpper(text), "B") {
		hint = `: a limit of bytes needs the key "sum"`
	}
	if _, err := parseShare(text); err == nil && strings.HasSuffix(text, "%") {
		hint = `: a limit of a share needs the key "share"`
	}
	r.errorf(limit, "limit must be a whole number, not %s%s", kindOf(limit), hint)
	return 0
}

func (r *reader) share(o object, d *Rate, limit ast.Node) {
	d.Share = r.filter(o.get("share"))
	if n := o.get("share"); n != nil && len(d.Share.conditions) == 0 {
		r.errorf(n, "share matches every request: its share is always 1")
	}
	d.Min = r.integer(o.get("min"), "min", 1, maxMin, defaultShare)
	if limit == nil {
		return
	}
	text, _ := scalar(limit)
	v, err := parseShare(text)
	switch {
	case err != nil:
		r.errorf(limit, "limit of a share must be a fraction such as 0.6 or a percentage such as 60%%, not %s", kindOf(limit))
	case v <= 0 || v >= 1:
		r.errorf(limit, "limit of a share must lie between 0 and 1 (0 %% and 100 %%), not at %s: a share never exceeds 1", text)
	}
	d.Limit = v
}

func parseShare(s string) (float64, error) {
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		v, err := parseNumber(strings.TrimSpace(percent))
		return v / 100, err
	}
	return parseNumber(s)
}

func (r *reader) sum(o object, d *Rate, limit ast.Node) {
	name := r.choice(o.get("sum"), "sum", "", "request_bytes", "response_bytes", "duration_ms")
	if name == "" {
		return
	}
	d.Sum, _ = event.ParseField(name)
	if limit == nil {
		return
	}
	text, _ := scalar(limit)
	v, err := parseSize(text)
	form := "bytes such as 1000, 500MB or 1GiB"
	if d.Sum.Kind() == event.DurationMS {
		v, err = parseMilliseconds(text)
		form = "a duration such as 90s, or milliseconds"
	}
	switch {
	case errors.Is(err, errQuantity):
		r.errorf(limit, "limit of a sum of %s must be %s, not %s", name, form, kindOf(limit))
	case v < 1 || v > maxSum:
		r.errorf(limit, "limit must be between 1 and %s, not %s", formatNumber(maxSum), text)
	}
	d.Limit = v
}

func (d *Rate) appendTo(b []byte) []byte {
	b = appendField(b, d.Sum)
	b = appendBool(b, d.Share != nil)
	if d.Share != nil {
		b = appendInt(d.Share.appendTo(b), d.Min)
	}
	return appendFloat(b, d.Limit)
}
