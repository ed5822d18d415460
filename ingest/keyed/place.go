package keyed

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/gatewatch/gatewatch/detector/event"
)

// place is what an address as text stands for: the address, or, when the text is a pseudonym, what its place is.
type place struct {
	ip  netip.Addr
	geo *event.Geo
}

// implied is what a new text of an address means without more words.
func implied(text string, hidden bool) (p place) {
	if !hidden {
		p.ip, _ = netip.ParseAddr(text)
	}
	return p
}

func appendIP(b []byte, ip netip.Addr) []byte {
	raw, _ := ip.MarshalBinary() // fails never
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...)
}

func readIP(r *reader) (ip netip.Addr) {
	if err := ip.UnmarshalBinary(r.text()); err != nil {
		r.fail("an address that is none")
	}
	return ip
}

// appendGeo appends a zero for nil.
func appendGeo(b []byte, g *event.Geo) []byte {
	if g == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, s := range []string{g.Country, g.Continent, g.City, g.ASOrg} {
		b = appendString(b, s)
	}
	for _, v := range []float64{g.Latitude, g.Longitude, g.RadiusKM} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	b = binary.AppendUvarint(b, uint64(g.ASN))
	return append(b, flag(g.HasPlace), byte(g.Anonymous))
}

func readGeo(r *reader) *event.Geo {
	if r.byte() == 0 {
		return nil
	}
	g := &event.Geo{}
	for _, s := range []*string{&g.Country, &g.Continent, &g.City, &g.ASOrg} {
		*s = string(r.text())
	}
	for _, v := range []*float64{&g.Latitude, &g.Longitude, &g.RadiusKM} {
		*v = r.float()
	}
	g.ASN = uint32(r.uvarint())
	g.HasPlace, g.Anonymous = r.byte() != 0, event.Anonymity(r.byte())
	return g
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}
