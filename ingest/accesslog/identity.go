package accesslog

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// fillCredentials takes the token of an Authorization header for the token's id, where the log names none. It leaves the
// package raw, as ids of tokens do, and is replaced by its keyed hash in the next step. The whole token is the id, not its
// jti: whether a token was verified must not change what it is called.
func (d *Decoder) fillCredentials(e *event.Event) {
	if len(d.format.fields[fieldAuthorization]) == 0 {
		return
	}
	header, _ := d.field(fieldAuthorization)
	token := credentials(header)
	if len(token) == 0 {
		return
	}
	if e.TokenID == "" {
		e.TokenID = arena.String(token)
	}
	if !d.opts.ReadJWT || !succeeded(e) {
		return
	}
	payload := d.payload(token)
	if payload == nil {
		return
	}
	d.claimText(&e.Subject, payload, "sub")
	d.claimText(&e.ClientID, payload, "client_id", "azp")
	d.jwt = payload
}

// succeeded reports whether the gateway let the request through: only then has it verified what a token says.
func succeeded(e *event.Event) bool { return e.Status >= 200 && e.Status < 300 }

// credentials returns what stands behind the scheme of an Authorization header, nil where the log has hidden it.
func credentials(header []byte) []byte {
	scheme, token, ok := bytes.Cut(bytes.TrimSpace(header), []byte{' '})
	if !ok {
		scheme, token = nil, scheme
	}
	token = bytes.TrimSpace(token)
	if len(token) < 8 || len(scheme) > 32 || hidden(token) || perRequest(scheme, token) {
		return nil
	}
	return token
}

// perRequest reports whether credentials are made anew for each request and so name nobody: lists of parameters (RFC 9110,
// section 11.4), as Digest and signatures write them, and the messages of Negotiate and NTLM.
func perRequest(scheme, token []byte) bool {
	return bytes.IndexByte(token, ',') >= 0 || bytes.EqualFold(scheme, []byte("Negotiate")) || bytes.EqualFold(scheme, []byte("NTLM"))
}

// hidden reports whether a log has put a word in place of a secret: REDACTED, ***, <hidden>.
func hidden(token []byte) bool {
	word := bytes.Trim(token, "*<>[](){}_- ")
	return len(bytes.Trim(word, "xX")) == 0 || bytes.EqualFold(word, []byte("redacted")) || bytes.EqualFold(word, []byte("filtered")) ||
		bytes.EqualFold(word, []byte("hidden")) || bytes.EqualFold(word, []byte("masked")) || bytes.EqualFold(word, []byte("removed"))
}

// maxPayload bounds what is decoded of a token.
const maxPayload = 16 << 10

// payload returns the claims of a JWT (RFC 7519) as JSON with pad zero bytes behind, nil if token is none. Its signature is
// not verified.
func (d *Decoder) payload(token []byte) []byte {
	_, rest, ok := bytes.Cut(token, []byte{'.'})
	part, _, ok2 := bytes.Cut(rest, []byte{'.'})
	part = bytes.TrimRight(part, "=")
	if !ok || !ok2 || len(part) == 0 || len(part) > maxPayload {
		return nil
	}
	size := base64.RawURLEncoding.DecodedLen(len(part))
	out := d.mem.Reserve(size + pad)[:size+pad]
	n, err := base64.RawURLEncoding.Decode(out, part)
	if err != nil {
		return nil
	}
	clear(out[n:])
	d.mem.Commit(out)
	s := scanner{buf: out, end: n}
	if out[0] != '{' || s.space(max(0, s.value(0, 0))) != n || !utf8.Valid(out[:n]) {
		return nil
	}
	return out[:n]
}

// payloadMember returns where the value of a member of the JSON object payload is; first is 0 when there is none.
func payloadMember(payload []byte, name string) value {
	s := scanner{buf: payload[:len(payload)+pad], end: len(payload)}
	for i := s.space(1); s.buf[i] != '}'; {
		from, to, v := s.key(i)
		end := s.value(v, 1)
		if string(s.buf[from:to]) == name {
			return value{int32(v), int32(end), s.buf[v]}
		}
		if i = s.space(end); s.buf[i] == ',' {
			i = s.space(i + 1)
		}
	}
	return value{}
}

func (d *Decoder) claimText(to *string, payload []byte, names ...string) {
	for _, name := range names {
		if *to == "" {
			text, _ := d.claimOf(payload, name)
			*to = arena.String(text)
		}
	}
}

// claimOf returns a claim that is a text or a number; of a list its first element.
func (d *Decoder) claimOf(payload []byte, name string) ([]byte, bool) {
	v := payloadMember(payload, name)
	if v.first == '[' {
		s := scanner{buf: payload[:len(payload)+pad], end: len(payload)}
		i := s.space(int(v.from) + 1)
		if s.buf[i] == ']' {
			return nil, false
		}
		v = value{int32(i), int32(s.value(i, 2)), s.buf[i]}
	}
	switch text := payload[v.from:v.to]; {
	case v.first == '"':
		content := unescape(append(d.mem.Reserve(len(text)), text[1:len(text)-1]...))
		d.mem.Commit(content)
		return content, true
	case v.first == '-' || isDigit(v.first):
		return text, true
	}
	return nil, false
}

func (d *Decoder) claimTime(name string) event.Time {
	text, ok := d.claimOf(d.jwt, name)
	if !ok {
		return 0
	}
	t, _ := parseTimeIn(text, unitSecond)
	return t
}

// claim returns a claim of a JWT, perhaps behind "Bearer", of a request that succeeded.
func (d *Decoder) claim(token []byte, name string) ([]byte, finding) {
	if d.status < 200 || d.status > 299 {
		return nil, absent
	}
	payload := d.payload(credentials(token))
	if payload == nil {
		return nil, unusable
	}
	text, ok := d.claimOf(payload, name)
	if !ok || len(text) == 0 {
		return nil, absent
	}
	return text, usable
}

// nameAttribute returns the attribute of a distinguished name, as RFC 4514 writes it or with slashes between.
func (d *Decoder) nameAttribute(name []byte, attribute string) ([]byte, finding) {
	separator := byte(',')
	if name[0] == '/' {
		separator, name = '/', name[1:]
	}
	for len(name) > 0 {
		end := 0
		for end < len(name) && name[end] != separator && name[end] != '+' {
			if name[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(name))
		key, text, ok := bytes.Cut(name[:end], []byte{'='})
		if ok && bytes.EqualFold(bytes.TrimSpace(key), []byte(attribute)) {
			return d.unescapedName(bytes.TrimSpace(text)), usable
		}
		name = name[min(end+1, len(name)):]
	}
	return nil, absent
}

// unescapedName takes the backslashes out of an attribute of a distinguished name.
func (d *Decoder) unescapedName(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	out := d.mem.Reserve(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
			if i+1 < len(text) && hexValue(text[i]) >= 0 && hexValue(text[i+1]) >= 0 {
				out = append(out, byte(hexValue(text[i])<<4|hexValue(text[i+1])))
				i++
				continue
			}
		}
		out = append(out, text[i])
	}
	d.mem.Commit(out)
	return out
}

// behindProxies goes back through the addresses that trusted proxies have passed on: the caller is the last one that no
// trusted proxy has. What the caller itself claims stands before that and does not count.
func (d *Decoder) behindProxies(e *event.Event) {
	if len(d.opts.TrustedProxies) == 0 || !d.trusted(e.SourceIP) {
		return
	}
	rest := d.forwarded()
	for len(rest) > 0 {
		i := bytes.LastIndexByte(rest, ',')
		text := bytes.TrimSpace(rest[i+1:])
		addr, _, ok := parseAddress(arena.String(text))
		if !ok {
			return
		}
		e.SourceIP, e.IPText = addr.Unmap().WithZone(""), ""
		if !d.trusted(e.SourceIP) {
			return
		}
		rest = rest[:max(i, 0)]
	}
}

func (d *Decoder) trusted(addr netip.Addr) bool {
	for _, p := range d.opts.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwarded returns the list of forwarded_for; where the log has an array, its elements with commas between.
func (d *Decoder) forwarded() []byte {
	sources := d.format.fields[fieldForwardedFor]
	for i := range sources {
		s := &sources[i]
		if v := d.format.tree.values[max(s.slot, 0)]; s.simple && v.first == '[' {
			return d.joined(v)
		}
		if text, found := d.resolve(s); found == usable {
			return text
		}
	}
	return nil
}

// joined puts the texts of an array together; commas, brackets and quotes between them are those of the array.
func (d *Decoder) joined(v value) []byte {
	out := append(d.mem.Reserve(int(v.to-v.from)), d.scan.buf[v.from+1:v.to-1]...)
	for i, c := range out {
		if c == '"' {
			out[i] = ' '
		}
	}
	d.mem.Commit(out)
	return out
}
