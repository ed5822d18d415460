package detector

import (
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// discountedWeight is what a hop over a discounted address is worth. An anonymiser or a shared egress says little about
// where its user is, yet it is no excuse: four such hops weigh as much as one between honest addresses.
const discountedWeight = 0.25

// discounted reports whether the place of the event's address means little.
func discounted(d *rules.Discount, e *event.Event) bool {
	if e.Geo.Anonymous&d.Anonymous != 0 {
		return true
	}
	if e.Geo.ASN != 0 && slices.Contains(d.ASNs, e.Geo.ASN) {
		return true
	}
	return d.Networks != nil && d.Networks.Contains(e.SourceIP)
}
