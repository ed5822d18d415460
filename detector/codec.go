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

func readGeo(r *wire.Reader) *event.Geo {
	return &event.Geo{
		Country: r.String(), Continent: r.String(), City: r.String(), Latitude: r.Float(), Longitude: r.Float(),
		RadiusKM: r.Float(), HasPlace: r.Bool(), ASN: uint32(r.Uvarint()), ASOrg: r.String(), Anonymous: event.Anonymity(r.Byte()),
	}
}
