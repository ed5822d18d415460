package keyed

import (
	"encoding/binary"
	"math"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// column is a column being read; one that is empty from the beginning holds zeros.
type column struct {
	reader
	zeros bool
}

func (c *column) next() uint64 {
	if c.zeros {
		return 0
	}
	return c.uvarint()
}

func (c *column) signed() int64 {
	v := c.next()
	return int64(v>>1) ^ -int64(v&1)
}

func (c *column) float() float64 {
	v := c.next()
	switch {
	case v&1 == 0:
		return float64(v>>1) / 1000
	case v != 1:
		c.fail("a number that is none")
		return 0
	}
	if b := c.bytes(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// textColumn is a column of texts being read.
type textColumn struct {
	column
	text  string // the rest of it
	words []string
}

// next returns the next text and its place among the words, -1 when it is empty.
func (t *textColumn) next() (s string, word int, isNew bool) {
	ref := t.column.next()
	switch {
	case ref == 0:
		return "", -1, false
	case ref&1 == 0:
		at := ref/2 - 1
		if at >= uint64(len(t.words)) {
			t.fail("no such word")
			return "", -1, false
		}
		return t.words[at], int(at), false
	}
	n := ref/2 + 1
	if n > uint64(len(t.text)) {
		t.fail("a text that is too short")
		return "", -1, false
	}
	s, t.text = t.text[:n], t.text[n:]
	t.words = append(t.words, s)
	return s, len(t.words) - 1, true
}

func (t *textColumn) string() string {
	s, _, _ := t.next()
	return s
}

// begin finds the columns. The texts become memory of the arena.
func (d *Decoder) begin(r *reader, m *memory) {
	d.hidden = r.byte() != 0
	var lengths [numberColumns + 2*textColumns]uint64
	for i := range lengths {
		if i != colRevoked || d.version > oldestVersion {
			lengths[i] = r.uvarint()
		}
	}
	for i := range d.columns {
		d.columns[i] = column{reader: reader{rest: r.bytes(lengths[i])}, zeros: lengths[i] == 0}
	}
	refs := lengths[numberColumns:]
	for i := range d.texts {
		t := &d.texts[i]
		t.column = column{reader: reader{rest: r.bytes(refs[2*i])}, zeros: refs[2*i] == 0}
		clear(t.words)
		t.words = t.words[:0]
	}
	text := arena.String(m.arena.Copy(r.rest, 0))
	for i := range d.texts {
		n := min(uint64(len(r.bytes(refs[2*i+1]))), uint64(len(text)))
		d.texts[i].text, text = text[:n], text[n:]
	}
	clear(d.places)
	d.places = d.places[:0]
	d.offset, d.time = 0, 0
}

func (d *Decoder) readEvent(e *event.Event, mem *arena.Arena) (kinds uint64) {
	c := &d.columns
	d.offset += int64(c[colOffset].next())
	e.Offset = d.offset
	e.Index = int32(uint32(c[colIndex].next()))
	d.time += event.Time(c[colTime].signed())
	e.Time = d.time
	e.Status = int32(c[colStatus].signed())
	e.DurationMS = c[colDuration].float()
	e.RequestSize = c[colRequestSize].signed()
	e.ResponseSize = c[colResponseSize].signed()
	e.TokenIssuedAt = c[colIssued].moment(e.Time)
	e.TokenExpiresAt = c[colExpires].moment(e.Time)
	e.TokenRevokedAt = c[colRevoked].moment(e.Time)
	d.readTexts(e)
	d.readLists(e, mem)
	d.readAddress(e)
	return c[colKinds].next()
}

func (c *column) moment(now event.Time) event.Time {
	v := c.next()
	if v == 0 {
		return 0
	}
	v--
	return now + event.Time(int64(v>>1)^-int64(v&1))
}

func (d *Decoder) readTexts(e *event.Event) {
	t := &d.texts
	e.Environment = t[textEnvironment].string()
	e.API = t[textAPI].string()
	e.ClientID = t[textClientID].string()
	e.Subject = t[textSubject].string()
	e.TokenID = t[textTokenID].string()
	e.SessionID = t[textSessionID].string()
	e.Method = t[textMethod].string()
	e.Path = t[textPath].string()
	e.Route = t[textRoute].string()
	e.UserAgent = t[textUserAgent].string()
	e.RequestID = t[textRequestID].string()
}

// readLists reads the scopes and attributes. Each takes a byte of its column at least.
func (d *Decoder) readLists(e *event.Event, mem *arena.Arena) {
	if n := d.length(colScopes, textScope); n > 0 {
		d.scopes = d.scopes[:0]
		for range n {
			d.scopes = append(d.scopes, d.texts[textScope].string())
		}
		e.Scopes = mem.Strings(d.scopes)
	}
	if n := d.length(colAttributes, textAttribute); n > 0 {
		d.pairs = d.pairs[:0]
		for range n {
			d.pairs = append(d.pairs, event.Attribute{Key: d.texts[textAttribute].string(), Value: d.texts[textValue].string()})
		}
		e.Attributes = mem.Attributes(d.pairs)
	}
}

func (d *Decoder) length(count, text int) int {
	n := d.columns[count].next()
	if n > uint64(len(d.texts[text].rest)) {
		d.columns[count].fail("a list that is too long")
		return 0
	}
	return int(n)
}

func (d *Decoder) readAddress(e *event.Event) {
	text, word, isNew := d.texts[textAddress].next()
	if isNew {
		d.places = append(d.places, d.locate(implied(text, d.hidden)))
	}
	var at place
	if word >= 0 {
		at = d.places[word]
	}
	if c := &d.columns[colAddress]; c.next() != 0 {
		at = d.readPlace(&c.reader)
		if word >= 0 {
			d.places[word] = at
		}
	}
	e.IPText, e.SourceIP, e.Geo = text, at.ip, at.geo
}

func (d *Decoder) readPlace(r *reader) place {
	if d.hidden {
		return place{geo: readGeo(r)}
	}
	return d.locate(place{ip: readIP(r)})
}

// locate completes a place by what the databases say of its address.
func (d *Decoder) locate(p place) place {
	if d.geo != nil && p.ip.IsValid() {
		p.geo = d.geo.Lookup(p.ip)
	}
	return p
}
