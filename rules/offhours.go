package rules

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: off_hours.
//
//	hours      when access is usual: "08:00-18:00" or a list of such; "22:00-06:00" ends on the next day
//	days       on which days the hours begin: mon-fri, [mon, wed, sat-sun]; default all; only with hours
//	learn      {min_events: 50, min_days: 7}: hours are learned for each entity; this much history it must have first
//	           (1 to 1,000,000 events, 1 to 90 different days). Without hours, this is the default
//	new        country or asn: only access from a place that is new to the entity as well; learn applies to places too
//	time_zone  IANA name such as Europe/Berlin, in which hours are told and learned; default UTC
var offHoursKeys = []string{"hours", "days", "learn", "new", "time_zone"}

func (r *reader) offHours(o object) Detection {
	d := &OffHours{Location: r.location(o.get("time_zone"))}
	if o.has("days") && !o.has("hours") {
		r.errorf(o.keys["days"], "days belong to hours")
	}
	if o.has("new") {
		place, _ := event.ParseField(r.choice(o.get("new"), "new", "country", "country", "asn"))
		d.NewPlace = place.Kind()
	}
	if o.has("hours") {
		d.Declared = r.schedule(o.get("hours"), o.get("days"))
		if o.has("learn") && d.NewPlace == event.NoField {
			r.errorf(o.keys["learn"], "hours are either declared or learned, not both")
		}
	}
	d.Learn = r.learning(o.get("learn"))
	return d
}

func (r *reader) learning(n ast.Node) Learning {
	o := r.object(n, "learn", "min_events", "min_days")
	return Learning{
		MinEvents: r.integer(o.get("min_events"), "min_events", 1, 1_000_000, 50),
		MinDays:   r.integer(o.get("min_days"), "min_days", 1, 90, 7),
	}
}

// location refuses "Local": the outcome would depend on the machine.
func (r *reader) location(n ast.Node) *time.Location {
	name := r.text(n, "time_zone", "UTC")
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		r.errorf(n, "time_zone must be an IANA name such as Europe/Berlin, not %q", shorten(name))
		return time.UTC
	}
	return loc
}

func (d *OffHours) appendTo(b []byte) []byte {
	b = appendString(b, d.Location.String())
	b = d.Declared.appendTo(b)
	b = append(b, byte(d.NewPlace))
	if d.Declared != nil && d.NewPlace == event.NoField {
		return b
	}
	return appendInt(appendInt(b, d.Learn.MinEvents), d.Learn.MinDays)
}
