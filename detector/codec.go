package detector

import (
	"encoding/binary"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

func appendGeo(b []byte, g *event.Geo) []byte {
	b = wire.AppendString(b, g.Country)
	b = wire.AppendString(b, g.Continent)
	b = wire.AppendString(b, g.City)
	b = wire.AppendFloat(b, g.Latitude)
	b = wire.AppendFloat(b, g.Longitude)
	b = wire.AppendFloat(b, g.RadiusKM)
	b = wire.AppendBool(b, g.HasPlace)
	b = binary.AppendUvarint(b, uint64(g.ASN))
	b = wire.AppendString(b, g.ASOrg)
	return append(b, byte(g.Anonymous))
}

// interner gives equal places one copy: thousands of restored entities are in the same city. It is for one goroutine.
type interner struct {
	places map[string]*event.Geo
}

// geo returns the place that is encoded at the start of r.
func (in *interner) geo(r *wire.Reader) *event.Geo {
	before := r.Rest
	g := readGeo(r)
	if r.Err != nil {
		return g
	}
	encoded := before[:len(before)-len(r.Rest)]
	if known := in.places[string(encoded)]; known != nil {
		return known
	}
	if in.places == nil {
		in.places = map[string]*event.Geo{}
	}
	in.places[string(encoded)] = g
	return g
}

func readGeo(r *wire.Reader) *event.Geo {
	return &event.Geo{
		Country: r.String(), Continent: r.String(), City: r.String(), Latitude: r.Float(), Longitude: r.Float(),
		RadiusKM: r.Float(), HasPlace: r.Bool(), ASN: uint32(r.Uvarint()), ASOrg: r.String(), Anonymous: event.Anonymity(r.Byte()),
	}
}
