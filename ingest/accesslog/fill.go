package accesslog

import (
	"bytes"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// fill makes e of the object that was read. A reason other than "" says why it is no event.
func (d *Decoder) fill(e *event.Event) (Reason, string) {
	d.status, d.jwt = 0, nil
	if missing := d.missing(); missing != "" {
		return MissingField, missing
	}
	if reason, detail := d.fillTime(e); reason != "" {
		return reason, detail
	}
	method, target := d.request()
	if !upperMethod(method) || len(target) == 0 {
		return d.unreadable(e, method)
	}
	e.Method = arena.String(method)
	path, query := cutTarget(target)
	if len(path) > MaxPathBytes {
		return TooLarge, "path longer than 8 KiB"
	}
	e.Path = d.rooted(path)
	if !d.fillStatus(e) {
		return BadField, "status is no number from 100 to 599"
	}
	d.fillTexts(e)
	d.fillAddress(e)
	d.fillCredentials(e)
	if e.ClientID == "" && e.Subject == "" && e.TokenID == "" && !e.SourceIP.IsValid() {
		return MissingField, "nobody: client_id, subject, token_id and source_ip are all missing"
	}
	d.fillNumbers(e)
	if len(query) == 0 {
		query, _ = d.field(fieldQuery)
	}
	d.fillLists(e, query)
	return "", ""
}

// noRequest is no reason to reject: a gateway says that it could not make out a request. Whoever sends garbage can have as
// many of those as he likes; they must not look as if something had been missed.
const noRequest Reason = "no_request"

// unreadable says why there is no event without a good method and target.
func (d *Decoder) unreadable(e *event.Event, method []byte) (Reason, string) {
	if !d.format.strict && d.fillStatus(e) && (e.Status == 400 || e.Status == 408) {
		return noRequest, ""
	}
	if !upperMethod(method) {
		return BadField, "method is no HTTP method"
	}
	return BadField, "path is no string or empty"
}

// missing says which required field has no source with a value.
func (d *Decoder) missing() string {
	for f := fieldTime; f <= fieldStatus; f++ {
		if d.has(f) || (f == fieldMethod || f == fieldPath) && d.has(fieldRequestLine) {
			continue
		}
		return mappable[f] + " is missing"
	}
	return ""
}

func (d *Decoder) has(f field) bool {
	sources := d.format.fields[f]
	for i := range sources {
		if s := &sources[i]; s.simple {
			if d.format.tree.values[s.slot].present() {
				return true
			}
		} else if _, found := d.resolve(s); found != absent {
			return true
		}
	}
	return false
}

// fillTime takes the first source that is a time; of several bad ones the first says what is wrong.
func (d *Decoder) fillTime(e *event.Event) (reason Reason, detail string) {
	sources := d.format.fields[fieldTime]
	for i := range sources {
		t, why, what := d.eventTime(&sources[i])
		if what == "" {
			e.Time = t
			return "", ""
		}
		if reason == "" || reason == MissingField {
			reason, detail = why, what
		}
	}
	return reason, detail
}

func (d *Decoder) eventTime(s *source) (event.Time, Reason, string) {
	text, found := d.resolve(s)
	if found == absent {
		return 0, MissingField, "time is missing"
	}
	if found == unusable {
		return 0, BadField, "time is neither a string nor a number"
	}
	t, ok := parseTimeIn(text, s.unit)
	switch {
	case !ok:
		return 0, BadTime, "time is neither RFC 3339 nor epoch seconds or milliseconds, nor what the format says"
	case t < earliest:
		return 0, BadTime, "time is before the year 2000"
	case d.future(t):
		return 0, Future, "time is further ahead of the clock than allowed"
	}
	return t, "", ""
}

// request returns method and target, from fields of their own or from the request line.
func (d *Decoder) request() (method, target []byte) {
	method, _ = d.texts(fieldMethod)
	target, _ = d.texts(fieldPath)
	if len(method) > 0 && len(target) > 0 || len(d.format.fields[fieldRequestLine]) == 0 {
		return method, target
	}
	line, _ := d.texts(fieldRequestLine)
	verb, rest, _ := bytes.Cut(line, []byte{' '})
	if i := bytes.LastIndex(rest, []byte(" HTTP/")); i >= 0 {
		rest = rest[:i]
	}
	if len(method) == 0 {
		method = verb
	}
	if len(target) == 0 {
		target = rest
	}
	return method, target
}

// texts returns the first text of a field: numbers are none.
func (d *Decoder) texts(f field) ([]byte, finding) {
	sources := d.format.fields[f]
	for i := range sources {
		s := &sources[i]
		if s.simple && !d.format.tree.values[s.slot].text() {
			continue
		}
		if text, found := d.resolve(s); found == usable {
			return text, usable
		}
	}
	return nil, absent
}

// text reports whether v can be a text.
func (v value) text() bool { return v.first == '"' || v.first == rawText || v.first == '[' }

func (d *Decoder) fillStatus(e *event.Event) bool {
	sources := d.format.fields[fieldStatus]
	for i := range sources {
		text, _ := d.resolve(&sources[i])
		if n, ok := parseInteger(text); ok && n >= 100 && n <= 599 {
			e.Status, d.status = int32(n), int32(n)
			return true
		}
	}
	return false
}

func (d *Decoder) fillTexts(e *event.Event) {
	e.Environment = d.optional(fieldEnvironment)
	e.API = d.optional(fieldAPI)
	e.ClientID = d.optional(fieldClientID)
	e.Subject = d.optional(fieldSubject)
	e.TokenID = d.optional(fieldTokenID)
	e.SessionID = d.optional(fieldSessionID)
	if e.Route = d.optional(fieldRoute); !d.format.strict {
		e.Route = d.braced(template(e.Route, e.Path))
	}
	e.UserAgent = d.optional(fieldUserAgent)
	e.RequestID = d.optional(fieldRequestID)
}

// template returns the template of what a gateway calls the route: it may stand behind a method. What is no path, the path
// itself, stands for all paths below it (/{proxy+}, /files/*) or has other parameters (/users/<id>) is none, and is learned later
// as if nothing had been there.
func template(route, path string) string {
	if i := strings.IndexByte(route, ' '); i > 0 {
		route = route[i+1:]
	}
	if !strings.HasPrefix(route, "/") || route == path || strings.Contains(route, "+}") || strings.ContainsAny(route, "*<") {
		return ""
	}
	return route
}

// braced writes the parameters of a template in braces, which some gateways write as /users/:id.
func (d *Decoder) braced(route string) string {
	n := strings.Count(route, "/:")
	if n == 0 {
		return route
	}
	out := d.mem.Reserve(len(route) + n)
	for rest := route[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if out = append(out, '/'); len(segment) > 1 && segment[0] == ':' {
			out = append(append(append(out, '{'), segment[1:]...), '}')
		} else {
			out = append(out, segment...)
		}
		if rest = after; !more {
			return d.mem.CommitString(out)
		}
	}
}

// fillAddress reads an address, with or without a port. IPv4 in IPv6 becomes IPv4: it is the same client.
func (d *Decoder) fillAddress(e *event.Event) {
	sources := d.format.fields[fieldSourceIP]
	bad := false
	for i := range sources {
		text, found := d.resolve(&sources[i])
		if found == absent || found == usable && len(text) == 0 {
			continue
		}
		addr, bare, ok := parseAddress(arena.String(text))
		if found == unusable || !ok {
			bad = true
			continue
		}
		if bare && addr.Is4() {
			e.IPText = arena.String(text) // IPv4 has only one form
		}
		e.SourceIP = addr.Unmap().WithZone("")
		d.behindProxies(e)
		return
	}
	if bad {
		d.ignored[fieldSourceIP]++
	}
}

// parseAddress reads an address; bare says that it has no port. Names are not even tried, for netip's errors are
// allocated.
func parseAddress(text string) (addr netip.Addr, bare, ok bool) {
	if addr, ok = parseIPv4(text); ok {
		return addr, true, true
	}
	colons, odd := 0, false
	for i := 0; i < len(text) && !odd; i++ {
		switch c := text[i]; {
		case c == ':':
			colons++
		case c == '%':
			i = len(text) // a zone follows
		case c != '.' && c != '[' && c != ']' && hexValue(c) < 0:
			odd = true
		}
	}
	if odd || text == "" {
		return netip.Addr{}, false, false
	}
	if text[0] == '[' || colons == 1 {
		withPort, err := netip.ParseAddrPort(text)
		return withPort.Addr(), false, err == nil
	}
	addr, err := netip.ParseAddr(text)
	return addr, true, err == nil
}

// parseIPv4 reads what most addresses are, as netip does but with less work.
func parseIPv4(text string) (netip.Addr, bool) {
	var octets [4]byte
	part, number, digits := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case isDigit(c):
			if digits++; digits > 1 && number == 0 {
				return netip.Addr{}, false // a leading zero: octal for some
			}
			if number = number*10 + int(c-'0'); number > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && part < 3:
			octets[part] = byte(number)
			part, number, digits = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	octets[3] = byte(number)
	return netip.AddrFrom4(octets), part == 3 && digits > 0
}

func (d *Decoder) fillNumbers(e *event.Event) {
	e.RequestSize = d.size(fieldRequestBytes)
	e.ResponseSize = d.size(fieldResponseBytes)
	e.DurationMS = d.duration()
	e.TokenIssuedAt = d.optionalTime(fieldIssuedAt)
	e.TokenExpiresAt = d.optionalTime(fieldExpiresAt)
	if d.jwt != nil && e.TokenIssuedAt == 0 {
		e.TokenIssuedAt = d.claimTime("iat")
	}
	if d.jwt != nil && e.TokenExpiresAt == 0 {
		e.TokenExpiresAt = d.claimTime("exp")
	}
}

// size reads a number of bytes; many gateways write -1 for unknown.
func (d *Decoder) size(f field) int64 {
	sources := d.format.fields[f]
	bad := false
	for i := range sources {
		s := &sources[i]
		text, found := d.resolve(s)
		if found == absent {
			continue
		}
		if n, ok := parseSize(text, s.unit); ok && found == usable {
			return n
		}
		bad = true
	}
	if bad {
		d.ignored[f]++
	}
	return 0
}

func parseSize(text []byte, u unit) (int64, bool) {
	if u == unitAuto {
		n, ok := parseInteger(text)
		return max(n, 0), ok && n >= -1
	}
	f, ok := parseFloat(text)
	if f *= u.factor(); !ok || f < 0 || f > 1<<53 {
		return 0, false
	}
	return int64(math.Round(f)), true
}

// duration reads milliseconds; -1 is unknown here too.
func (d *Decoder) duration() float64 {
	sources := d.format.fields[fieldDuration]
	bad := false
	for i := range sources {
		s := &sources[i]
		text, found := d.resolve(s)
		if found == absent {
			continue
		}
		f, ok := d.parseDuration(text, s)
		if ok && found == usable {
			return f
		}
		bad = true
	}
	if bad {
		d.ignored[fieldDuration]++
	}
	return 0
}

func (d *Decoder) parseDuration(text []byte, s *source) (float64, bool) {
	switch {
	case s.since >= 0:
		return d.elapsed(text, s)
	case s.unit == unitMilli:
		f, ok := parseFloat(text)
		return max(f, 0), ok && (f >= 0 || f == -1) && !math.IsInf(f, 0)
	case s.unit == unitText:
		t, err := time.ParseDuration(arena.String(text))
		return float64(t) / 1e6, err == nil && t >= 0
	}
	if nano, ok := parseEpochIn(text, int64(s.unit.factor()*1e6)); ok && nano >= 0 {
		return float64(nano) / 1e6, true // exact, where a product of floats is not
	}
	f, ok := parseFloat(text)
	return 0, ok && f == -1
}

// elapsed is the time from since until text.
func (d *Decoder) elapsed(text []byte, s *source) (float64, bool) {
	begin, found := d.resolve(&source{slot: s.since, since: -1, simple: true})
	from, ok := parseNano(begin, s.unit)
	to, ok2 := parseNano(text, s.unit)
	if !ok || !ok2 || found != usable || to < from {
		return 0, false
	}
	return float64(to-from) / 1e6, true
}

func (d *Decoder) optionalTime(f field) event.Time {
	sources := d.format.fields[f]
	bad := false
	for i := range sources {
		s := &sources[i]
		text, found := d.resolve(s)
		if found == absent {
			continue
		}
		if t, ok := parseTimeIn(text, s.unit); ok && found == usable {
			return t
		}
		bad = true
	}
	if bad {
		d.ignored[f]++
	}
	return 0
}

// optional returns a field's text. Ids are often numbers: their digits are their text.
func (d *Decoder) optional(f field) string {
	sources := d.format.fields[f]
	if len(sources) == 0 {
		return ""
	}
	if s := &sources[0]; s.simple { // which almost all are; this is for speed alone
		v := &d.format.tree.values[s.slot]
		if v.first == '"' && v.to-v.from > 3 && !d.scan.escaped {
			return arena.String(d.scan.buf[v.from+1 : v.to-1])
		}
		if v.first == 0 && len(sources) == 1 {
			return ""
		}
	}
	text, ok := d.field(f)
	if !ok {
		d.ignored[f]++
	}
	return arena.String(text)
}

// field returns the text of the first source that has one; false says that there was something, but none that can be used.
func (d *Decoder) field(f field) ([]byte, bool) {
	text, found := d.first(d.format.fields[f])
	return text, found != unusable
}

func (d *Decoder) first(sources []source) ([]byte, finding) {
	all := absent
	values := d.format.tree.values
	for i := range sources {
		s := &sources[i]
		if s.simple && values[s.slot].first == 0 {
			continue
		}
		text, found := d.resolve(s)
		if found == usable && len(text) > 0 {
			return text, usable
		}
		if found == unusable {
			all = unusable
		}
	}
	return nil, all
}
