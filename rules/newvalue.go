package rules

import "github.com/gatewatch/gatewatch/detector/event"

// The keys of detect: new_value.
//
//	value  the field whose values are learned for each entity: country, asn, route, user_agent (by family, without versions),
//	       scopes (each of them), environment, api, client_id, source_ip …
//	learn  {min_events: 50, min_days: 7}: this much history an entity must have before a value is new to it
//	max    how many values of an entity are remembered, 1 to 256, default 32
var newValueKeys = []string{"value", "learn", "max"}

const (
	maxLearned     = 256
	defaultLearned = 32
)

func (r *reader) newValue(o object, rule *Rule) Detection {
	d := &NewValue{Learn: r.learning(o.get("learn"))}
	if f, ok := r.field(r.need(o, "detect: new_value", "value"), "value"); ok {
		d.Value = f
		r.checkValue(o, f, rule.By)
	}
	d.Max = r.integer(o.get("max"), "max", 1, maxLearned, defaultLearned)
	return d
}

func (r *reader) checkValue(o object, f event.Field, by []event.Field) {
	n := o.get("value")
	switch f.Kind() {
	case event.DurationMS, event.RequestBytes, event.ResponseBytes, event.RequestID:
		r.errorf(n, "value cannot be %s: nearly every request has another", f)
	}
	for _, entity := range by {
		if entity == f {
			r.errorf(n, "value is %s, which the rule groups by: it would never be new", f)
		}
	}
}

func (d *NewValue) appendTo(b []byte) []byte {
	b = appendField(b, d.Value)
	return appendInt(appendInt(appendInt(b, d.Learn.MinEvents), d.Learn.MinDays), d.Max)
}
