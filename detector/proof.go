package detector

import (
	"encoding/binary"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// A proof is what an alert may come to show of an event, in as few bytes as that takes: it is kept for events of which most
// never become a part of an alert. b, which is used again, grows to what an event takes.
func appendProof(b []byte, o observation) []byte {
	e := o.event
	b = binary.AppendVarint(b, int64(e.Time))
	for _, text := range [...]string{
		e.ClientID, e.Subject, e.TokenID, e.SessionID, e.IPText, e.Method, e.Path, e.Route, e.RequestID, e.UserAgent,
	} {
		b = wire.AppendString(b, text[:min(len(text), mostClipped+1)])
	}
	country := ""
	if e.Geo != nil {
		country = e.Geo.Country
	}
	b = wire.AppendString(b, country)
	b = binary.AppendVarint(b, int64(e.Status))
	b = wire.AppendString(b, o.source.Topic)
	b = binary.AppendVarint(b, int64(o.source.ID))
	b = binary.AppendVarint(b, e.Offset)
	return binary.AppendVarint(b, int64(e.Index))
}

// readProof takes a proof as evidence.
func readProof(r *wire.Reader) alert.Evidence {
	return alert.Evidence{
		Time:     alert.Time(r.Varint()),
		ClientID: clip(r.String()), Subject: clip(r.String()), TokenID: clip(r.String()), SessionID: clip(r.String()),
		SourceIP: clip(r.String()), Method: clip(r.String()),
		Path: clip(r.String()), Route: clip(r.String()), RequestID: clip(r.String()), UserAgent: clip(r.String()),
		Country: r.String(), Status: int(r.Varint()),
		Source: &alert.Source{Topic: r.String(), Partition: int32(r.Varint()), Offset: r.Varint(), Index: int32(r.Varint())},
	}
}
