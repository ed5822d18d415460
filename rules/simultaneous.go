package rules

import (
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: simultaneous.
//
//	across        what counts as a place: continent (default), country or asn
//	window        how close in time is at once; default 10m, 1s to 31d
//	limit         a finding is more places than this at once; default 1, 1 to 15 (continents: to 6)
//	alternations  how often activity must have moved from one place to another within the window; default 2, 1 to 64
//	ignore        addresses whose place means little, see [reader.discount]
var simultaneousKeys = []string{"across", "window", "limit", "alternations", "ignore"}

func (r *reader) simultaneous(o object, rule *Rule) Detection {
	rule.Window = r.window(o.get("window"), 10*time.Minute)
	across, _ := event.ParseField(r.choice(o.get("across"), "across", "continent", "continent", "country", "asn"))
	most := 15
	if across.Kind() == event.Continent {
		most = len(continents) - 1
	}
	return &Simultaneous{
		Across:       across.Kind(),
		Limit:        r.integer(o.get("limit"), "limit", 1, most, 1),
		Alternations: r.integer(o.get("alternations"), "alternations", 1, 64, 2),
		Discount:     r.discount(o.get("ignore")),
	}
}

func (d *Simultaneous) appendTo(b []byte) []byte {
	b = appendField(b, event.FieldOf(d.Across))
	return d.Discount.appendTo(appendInt(appendInt(b, d.Limit), d.Alternations))
}
