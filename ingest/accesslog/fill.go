package accesslog

import (
	"bytes"
	"math"
	"net/netip"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

const required = 1<<fieldTime | 1<<fieldMethod | 1<<fieldPath | 1<<fieldStatus

// fill makes e of the object that was read. A reason other than "" says why it is no event.
func (d *Decoder) fill(e *event.Event) (Reason, string) {
	c := &d.canonical
	if c.present&required != required {
		return MissingField, c.missing()
	}
	if reason, detail := d.fillTime(e); reason != "" {
		return reason, detail
	}
	method := d.required(fieldMethod)
	if !upperMethod(method) {
		return BadField, "method is no HTTP method"
	}
	e.Method = arena.String(method)
	target := d.required(fieldPath)
	if len(target) == 0 {
		return BadField, "path is no string or empty"
	}
	path, query := cutTarget(target)
	if len(path) > MaxPathBytes {
		return TooLarge, "path longer than 8 KiB"
	}
	e.Path = d.rooted(path)
	status, ok := d.integer(fieldStatus)
	if !ok || status < 100 || status > 599 {
		return BadField, "status is no number from 100 to 599"
	}
	e.Status = int32(status)
	d.fillTexts(e)
	d.fillAddress(e)
	if e.ClientID == "" && e.Subject == "" && e.TokenID == "" && !e.SourceIP.IsValid() {
		return MissingField, "nobody: client_id, subject, token_id and source_ip are all missing"
	}
	d.fillNumbers(e)
	d.fillLists(e, query)
	return "", ""
}

func (c *canonical) missing() string {
	for f := fieldTime; f <= fieldStatus; f++ {
		if !c.has(f) {
			return fieldNames[f] + " is missing"
		}
	}
	return ""
}

func (d *Decoder) fillTime(e *event.Event) (Reason, string) {
	v := d.canonical.values[fieldTime]
	if v.first != '"' && v.first != '-' && !isDigit(v.first) {
		return BadField, "time is neither a string nor a number"
	}
	t, ok := d.time(v)
	if !ok {
		return BadTime, "time is neither RFC 3339 nor epoch seconds or milliseconds"
	}
	if t < earliest {
		return BadTime, "time is before the year 2000"
	}
	if d.future(t) {
		return Future, "time is further ahead of the clock than allowed"
	}
	e.Time = t
	return "", ""
}

func (d *Decoder) fillTexts(e *event.Event) {
	e.Environment = d.optional(fieldEnvironment)
	e.API = d.optional(fieldAPI)
	e.ClientID = d.optional(fieldClientID)
	e.Subject = d.optional(fieldSubject)
	e.TokenID = d.optional(fieldTokenID)
	e.SessionID = d.optional(fieldSessionID)
	e.Route = d.optional(fieldRoute)
	e.UserAgent = d.optional(fieldUserAgent)
	e.RequestID = d.optional(fieldRequestID)
}

// fillAddress reads an address, with or without a port. IPv4 in IPv6 becomes IPv4: it is the same client.
func (d *Decoder) fillAddress(e *event.Event) {
	text := d.optional(fieldSourceIP)
	if text == "" {
		return
	}
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Is4() {
		e.IPText = text // IPv4 has only one form
	} else if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	if err != nil {
		d.canonical.ignored[fieldSourceIP]++
		return
	}
	e.SourceIP = addr.Unmap().WithZone("")
}

func (d *Decoder) fillNumbers(e *event.Event) {
	e.RequestSize = d.size(fieldRequestBytes)
	e.ResponseSize = d.size(fieldResponseBytes)
	e.DurationMS = d.duration()
	e.TokenIssuedAt = d.optionalTime(fieldIssuedAt)
	e.TokenExpiresAt = d.optionalTime(fieldExpiresAt)
}

// size reads a number of bytes; many gateways write -1 for unknown.
func (d *Decoder) size(f field) int64 {
	if !d.canonical.has(f) {
		return 0
	}
	n, ok := d.integer(f)
	if !ok || n < -1 {
		d.canonical.ignored[f]++
		return 0
	}
	return max(n, 0)
}

// duration reads milliseconds; -1 is unknown here too.
func (d *Decoder) duration() float64 {
	if !d.canonical.has(fieldDuration) {
		return 0
	}
	f, ok := parseFloat(d.digits(d.canonical.values[fieldDuration]))
	if !ok || f < 0 && f != -1 || math.IsInf(f, 0) {
		d.canonical.ignored[fieldDuration]++
		return 0
	}
	return max(f, 0)
}

func (d *Decoder) optionalTime(f field) event.Time {
	if !d.canonical.has(f) {
		return 0
	}
	t, ok := d.time(d.canonical.values[f])
	if !ok {
		d.canonical.ignored[f]++
		return 0
	}
	return t
}

// content returns a string's decoded content.
func (d *Decoder) content(v value) []byte {
	b := d.scan.buf[v.from+1 : v.to-1 : v.to-1]
	if d.scan.escaped && bytes.IndexByte(b, '\\') >= 0 {
		return unescape(b)
	}
	return b
}

// required returns the content of a field that must be a string, nil if it is none.
func (d *Decoder) required(f field) []byte {
	if v := d.canonical.values[f]; v.first == '"' {
		return d.content(v)
	}
	return nil
}

// optional returns a field's text. Ids are often numbers: their digits are their text.
func (d *Decoder) optional(f field) string {
	if !d.canonical.has(f) {
		return ""
	}
	text, ok := d.scalar(d.canonical.values[f])
	if !ok {
		d.canonical.ignored[f]++
	}
	return text
}

func (d *Decoder) scalar(v value) (string, bool) {
	switch v.first {
	case '"':
		return arena.String(d.content(v)), true
	case '{', '[', 't', 'f':
		return "", false
	}
	return arena.String(d.scan.buf[v.from:v.to]), true
}

// digits returns the text of a number or of a string that should hold one, nil for other values.
func (d *Decoder) digits(v value) []byte {
	switch v.first {
	case '"':
		return d.content(v)
	case '{', '[', 't', 'f':
		return nil
	}
	return d.scan.buf[v.from:v.to]
}

func (d *Decoder) integer(f field) (int64, bool) {
	return parseInteger(d.digits(d.canonical.values[f]))
}

func (d *Decoder) time(v value) (event.Time, bool) { return parseTime(d.digits(v)) }
