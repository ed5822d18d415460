package keyed

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, NewEncoder(false), header(), []event.Event{written(), written()}))
	f.Add(encode(f, NewEncoder(true), header(), []event.Event{written()}))
	f.Add(encode(f, NewEncoder(false), header(), nil))
	d := NewDecoder(Options{})
	f.Fuzz(func(t *testing.T, value []byte) {
		run, err := d.Decode(0, value)
		if err != nil {
			return
		}
		// What was read can be written and read again.
		e := NewEncoder(d.hidden)
		e.Begin()
		for i := range run.Batch.Events {
			e.Add(&run.Batch.Events[i], run.Kinds[i])
		}
		again, err := e.Append(nil, &run.Header)
		if err == nil {
			_, err = d.Decode(0, again)
		}
		if err != nil {
			t.Error(err)
		}
		run.Batch.Release()
	})
}

// FuzzRoundTrip makes events of the input: few different values, so that dictionaries have work.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some bytes that become events, again and again and again"), false)
	f.Add([]byte{0, 0, 0, 0, 1, 2, 3, 255, 255, 0, 12, 200, 7}, true)
	encoder := map[bool]*Encoder{false: NewEncoder(false), true: NewEncoder(true)}
	d := NewDecoder(Options{})
	f.Fuzz(func(t *testing.T, seed []byte, hide bool) {
		s := source{rest: seed}
		var events []event.Event
		for offset := int64(0); len(s.rest) > 0 && len(events) < 200; {
			e := s.event(offset, hide)
			offset = e.Offset
			events = append(events, e)
		}
		run, err := d.Decode(0, encode(t, encoder[hide], header(), events))
		if err != nil {
			t.Fatal(err)
		}
		check(t, run, header(), events)
		run.Batch.Release()
	})
}

// source makes values of bytes.
type source struct{ rest []byte }

func (s *source) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func (s *source) number() int64 {
	var b [8]byte
	n := copy(b[:s.byte()%9], s.rest)
	s.rest = s.rest[n:]
	return int64(binary.LittleEndian.Uint64(b[:]) >> 2) // sums of a few stay in range
}

func (s *source) text() string {
	n := min(int(s.byte()%6), len(s.rest))
	text := string(s.rest[:n])
	s.rest = s.rest[n:]
	return text
}

func (s *source) event(after int64, hide bool) event.Event {
	e := event.Event{
		Time: event.Time(s.number()), Offset: after + int64(s.byte()%3), Index: int32(s.byte()), Status: int32(s.number()),
		DurationMS: math.Float64frombits(uint64(s.number()) << 2), RequestSize: s.number(), ResponseSize: -s.number(),
		TokenIssuedAt: event.Time(s.number()), TokenExpiresAt: event.Time(s.number()), TokenRevokedAt: event.Time(s.byte() % 2),
	}
	if s.byte()%2 == 0 {
		e.DurationMS = float64(s.byte()) / 10
	}
	for _, text := range []*string{&e.Environment, &e.API, &e.ClientID, &e.Subject, &e.TokenID, &e.SessionID, &e.Method, &e.Path, &e.Route, &e.UserAgent, &e.RequestID, &e.IPText} {
		*text = s.text()
	}
	for range s.byte() % 3 {
		e.Scopes = append(e.Scopes, s.text())
	}
	for range s.byte() % 3 {
		e.Attributes = append(e.Attributes, event.Attribute{Key: s.text(), Value: s.text()})
	}
	switch kind := s.byte() % 4; {
	case hide && kind > 1:
		e.Geo = &event.Geo{Country: s.text(), City: s.text(), Latitude: float64(s.byte()), HasPlace: kind == 2, ASN: uint32(s.byte())}
	case hide || kind == 0:
	case kind == 1:
		e.SourceIP = netip.AddrFrom4([4]byte{11, 0, 0, s.byte()})
	default:
		e.SourceIP = netip.AddrFrom4([4]byte{11, 0, 0, s.byte()})
		e.IPText = e.SourceIP.String()
	}
	return e
}
