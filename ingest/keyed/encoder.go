package keyed

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Version is the format that an [Encoder] writes. A [Decoder] reads version 1 too, which has no column of revocations: what
// stands in a topic when routers are replaced is read.
const (
	Version       = 2
	oldestVersion = 1
)

// The packings of a record.
const (
	packedNot  = 0
	packedZstd = 1
)

// packAbove is the size in bytes above which a record is compressed by itself, beside the batches of the producer: a broker
// takes no batch of more than a megabyte, however well it compresses.
const packAbove = 512 << 10

// Encoder writes records. One goroutine uses it:
//
//	e.Begin()
//	for each event { e.Add(&ev, kinds) }
//	value, err = e.Append(value, &header)
//
// Events must stay as they are until Append.
type Encoder struct {
	hideAddress bool

	numbers [numberColumns]numbers
	texts   [textColumns]words
	places  []place // what the words of textAddress belong to
	events  int
	offset  int64
	time    event.Time
	scratch []byte
	shape   []byte
	packer  *zstd.Encoder // nil: not needed yet
}

// NewEncoder makes an encoder. hideAddress says that the source addresses of events are pseudonyms: then the address itself
// is not written, but what was found out about its place is. Otherwise it is the other way round: the reader finds out.
func NewEncoder(hideAddress bool) *Encoder {
	e := &Encoder{hideAddress: hideAddress}
	e.texts[textScope].refs.solid, e.texts[textAttribute].refs.solid = true, true
	return e
}

// Begin drops what was added and not appended.
func (e *Encoder) Begin() {
	for i := range e.numbers {
		e.numbers[i].reset()
	}
	for i := range e.texts {
		e.texts[i].reset()
	}
	clear(e.places)
	e.places = e.places[:0]
	e.events, e.offset, e.time = 0, 0, 0
}

// Len returns the number of events added.
func (e *Encoder) Len() int { return e.events }

// Size is about how many bytes the events take.
func (e *Encoder) Size() (bytes int) {
	for i := range e.numbers {
		bytes += len(e.numbers[i].b)
	}
	for i := range e.texts {
		bytes += len(e.texts[i].refs.b) + len(e.texts[i].text)
	}
	return bytes
}

// Add adds a copy of an event for the given kinds of entities, which must not be 0. Offsets rise.
func (e *Encoder) Add(ev *event.Event, kinds uint64) {
	n := &e.numbers
	n[colKinds].add(kinds)
	n[colOffset].add(uint64(ev.Offset - e.offset))
	n[colIndex].add(uint64(uint32(ev.Index)))
	n[colTime].addSigned(int64(ev.Time - e.time))
	n[colStatus].addSigned(int64(ev.Status))
	n[colDuration].addFloat(ev.DurationMS)
	n[colRequestSize].addSigned(ev.RequestSize)
	n[colResponseSize].addSigned(ev.ResponseSize)
	e.addMoment(colIssued, ev.TokenIssuedAt, ev.Time)
	e.addMoment(colExpires, ev.TokenExpiresAt, ev.Time)
	e.addMoment(colRevoked, ev.TokenRevokedAt, ev.Time)
	e.addTexts(ev)
	e.addLists(ev)
	e.addAddress(ev)
	e.offset, e.time = ev.Offset, ev.Time
	e.events++
}

func (e *Encoder) addMoment(column int, t, now event.Time) {
	if t == 0 {
		e.numbers[column].add(0)
		return
	}
	e.numbers[column].add(zigzag(int64(t-now)) + 1)
}

func (e *Encoder) addTexts(ev *event.Event) {
	t := &e.texts
	t[textEnvironment].add(ev.Environment)
	t[textAPI].add(ev.API)
	t[textClientID].add(ev.ClientID)
	t[textSubject].add(ev.Subject)
	t[textTokenID].add(ev.TokenID)
	t[textSessionID].add(ev.SessionID)
	t[textMethod].add(ev.Method)
	t[textPath].add(ev.Path)
	t[textRoute].add(ev.Route)
	t[textUserAgent].add(ev.UserAgent)
	t[textRequestID].add(ev.RequestID)
}

func (e *Encoder) addLists(ev *event.Event) {
	e.numbers[colScopes].add(uint64(len(ev.Scopes)))
	for _, s := range ev.Scopes {
		e.texts[textScope].add(s)
	}
	e.numbers[colAttributes].add(uint64(len(ev.Attributes)))
	for _, a := range ev.Attributes {
		e.texts[textAttribute].add(a.Key)
		e.texts[textValue].add(a.Value)
	}
}

// addAddress adds the text of the address and, unless it can be known from that, what belongs to it.
func (e *Encoder) addAddress(ev *event.Event) {
	at := place{ip: ev.SourceIP}
	if e.hideAddress {
		at = place{geo: ev.Geo}
	}
	word, isNew := e.texts[textAddress].add(ev.IPText)
	if isNew {
		e.places = append(e.places, implied(ev.IPText, e.hideAddress))
	}
	if at == e.placeOf(word) {
		e.numbers[colAddress].add(0)
		return
	}
	e.numbers[colAddress].add(1)
	e.addPlace(at)
	if word >= 0 {
		e.places[word] = at
	}
}

func (e *Encoder) placeOf(word int) place {
	if word < 0 {
		return place{}
	}
	return e.places[word]
}

// addPlace appends to the column of addresses.
func (e *Encoder) addPlace(p place) {
	b := &e.numbers[colAddress].b
	if e.hideAddress {
		*b = appendGeo(*b, p.geo)
		return
	}
	*b = appendIP(*b, p.ip)
}

// Append appends the record to dst.
func (e *Encoder) Append(dst []byte, h *Header) ([]byte, error) {
	body, err := e.body(h)
	if err != nil {
		return dst, err
	}
	if len(body) <= packAbove {
		return append(append(dst, Version, packedNot), body...), nil
	}
	if e.packer == nil {
		if e.packer, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
			return dst, fmt.Errorf("compress record: %w", err)
		}
	}
	return e.packer.EncodeAll(body, append(dst, Version, packedZstd)), nil
}

func (e *Encoder) body(h *Header) (b []byte, err error) {
	e.shape = h.Shape.append(e.shape[:0])
	b = append(binary.AppendUvarint(e.scratch[:0], uint64(len(e.shape))), e.shape...)
	if b, err = h.append(b); err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(e.events))
	if e.events > 0 {
		b = e.columns(b)
	}
	e.scratch = b
	return b, nil
}

// columns appends the lengths of all columns, then the columns.
func (e *Encoder) columns(b []byte) []byte {
	b = append(b, flag(e.hideAddress))
	for i := range e.numbers {
		b = binary.AppendUvarint(b, uint64(len(e.numbers[i].b)))
	}
	for i := range e.texts {
		b = binary.AppendUvarint(b, uint64(len(e.texts[i].refs.b)))
		b = binary.AppendUvarint(b, uint64(len(e.texts[i].text)))
	}
	for i := range e.numbers {
		b = append(b, e.numbers[i].b...)
	}
	for i := range e.texts {
		b = append(b, e.texts[i].refs.b...)
	}
	for i := range e.texts {
		b = append(b, e.texts[i].text...)
	}
	return b
}
