package rules

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// defaultDiscount is every kind of anonymiser but hosting. Behind a VPN, a proxy or Tor a person moves without
// travelling. A hosting network does not move people: a token that shows up in a data centre is what travel is after, and
// servers that rightly call from two clouds are better named in networks or asns.
const defaultDiscount = everyAnonymity &^ event.AnonymousHosting

// discount reads the value of ignore: the addresses that count less when places are compared.
//
//	anonymous  kinds of anonymiser: vpn, hosting, public_proxy, residential_proxy, tor, other; or true (all), or false
//	           (none); default all but hosting
//	networks   networks and addresses: shared egress, corporate VPNs
//	asns       autonomous systems
func (r *reader) discount(n ast.Node) Discount {
	o := r.object(n, "ignore", "anonymous", "networks", "asns")
	d := Discount{Anonymous: defaultDiscount, Networks: r.networks(o.get("networks"), "networks")}
	if kinds := o.get("anonymous"); kinds != nil {
		d.Anonymous = r.discountedKinds(kinds)
	}
	d.ASNs = r.asns(o.get("asns"))
	return d
}

// asns reads autonomous systems, sorted.
func (r *reader) asns(n ast.Node) []uint32 {
	var list []uint32
	for _, item := range r.items(n, "asns") {
		text, _ := scalar(item)
		v, err := parseASN(text)
		if err != nil {
			r.errorf(item, "asns must be numbers such as 64500 or AS64500, not %s", kindOf(item))
		}
		list = append(list, uint32(v))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *reader) discountedKinds(n ast.Node) event.Anonymity {
	b, ok := n.(*ast.BoolNode)
	switch {
	case !ok:
		return r.anonymity(n, "anonymous")
	case b.Value:
		return everyAnonymity
	}
	return 0
}

func (d *Discount) appendTo(b []byte) []byte {
	b = d.Networks.appendTo(append(b, byte(d.Anonymous)))
	b = appendInt(b, len(d.ASNs))
	for _, n := range d.ASNs {
		b = appendInt(b, int(n))
	}
	return b
}
