package privacy

import (
	"bytes"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// minToken is the length from which a token is looked for inside other values. A shorter one would be found in ordinary
// words: it is replaced only where a whole value, or a whole segment of the path, equals it.
const minToken = 8

// suspicious reports whether text may hold a JWT or "Bearer …". It looks for the rare bytes that they must have; a percent
// sign can hide either of them.
func suspicious(text []byte) bool {
	if bytes.IndexByte(text, '%') >= 0 {
		return true
	}
	return follows(text, 'J', "ey") || follows(text, ' ', "bearer") || follows(text, '+', "bearer")
}

// follows reports whether somewhere in text anchor stands behind word, whatever the case of word.
func follows(text []byte, anchor byte, word string) bool {
	for {
		i := bytes.IndexByte(text, anchor)
		if i < 0 {
			return false
		}
		if i >= len(word) && text[i-1]|0x20 == word[len(word)-1] && equalFold(arena.String(text[i-len(word):i]), word) {
			return true
		}
		text = text[i+1:]
	}
}

// repeats reports whether the token is also part of another value.
func repeats(e *event.Event, token string) bool {
	if token == "" {
		return false
	}
	if len(token) < minToken && strings.Contains(e.Path, token) {
		return true
	}
	for _, s := range [...]string{
		e.Environment, e.API, e.ClientID, e.Subject, e.SessionID, e.Method, e.Path, e.Route, e.UserAgent, e.RequestID,
	} {
		if holds(s, token) {
			return true
		}
	}
	for i := range e.Attributes {
		if holds(e.Attributes[i].Key, token) || holds(e.Attributes[i].Value, token) {
			return true
		}
	}
	for _, s := range e.Scopes {
		if holds(s, token) {
			return true
		}
	}
	return len(token) <= len(e.Method) && strings.EqualFold(token, e.Method)
}

func holds(s, token string) bool {
	if len(s) < len(token) {
		return false
	}
	return len(token) >= minToken && strings.Contains(s, token) || s == token
}

// scrubAll replaces every secret in every text of e but the token itself.
func (f *Filter) scrubAll(e *event.Event, token string) {
	for _, s := range [...]*string{
		&e.Environment, &e.API, &e.ClientID, &e.Subject, &e.SessionID, &e.UserAgent, &e.RequestID,
	} {
		*s = f.scrub(*s, token)
	}
	e.Path = f.scrubPath(e.Path, token)
	e.Route = f.scrubPath(e.Route, token)
	if token != "" && strings.EqualFold(e.Method, token) {
		e.Method = f.pseudonym(tokenPrefix, token)
	}
	for i := range e.Attributes {
		a := &e.Attributes[i]
		a.Key, a.Value = f.scrub(a.Key, token), f.scrub(a.Value, token)
	}
	for i := range e.Scopes {
		e.Scopes[i] = f.scrub(e.Scopes[i], token)
	}
}

// scrubPath also replaces segments that are a secret once their percent signs are decoded.
func (f *Filter) scrubPath(path, token string) string {
	path = f.scrub(path, token)
	if token == "" || len(token) >= minToken && strings.IndexByte(path, '%') < 0 {
		return path
	}
	var out []byte
	for rest := path; rest != ""; {
		segment, _, slash := strings.Cut(rest, "/")
		rest = rest[min(len(segment)+1, len(rest)):]
		if segment == token || strings.IndexByte(segment, '%') >= 0 && holds(unquote(segment), token) {
			out = f.appendHash(append(out, tokenPrefix...), token)
		} else {
			out = append(out, segment...)
		}
		if slash {
			out = append(out, '/')
		}
	}
	return f.mem.CommitString(append(f.mem.Reserve(len(out)), out...))
}

func unquote(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if b, ok := percent(s[i:]); ok {
			out = append(out, b)
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func percent(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' || nibble(s[1]) > 15 || nibble(s[2]) > 15 {
		return 0, false
	}
	return nibble(s[1])<<4 | nibble(s[2]), true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// scrub replaces the secrets inside s.
func (f *Filter) scrub(s, token string) string {
	if token != "" && s == token {
		return f.pseudonym(tokenPrefix, token)
	}
	search := search{s: s, token: token}
	from, to := search.next(0)
	if from < 0 {
		return s
	}
	var out []byte
	done := 0
	for ; from >= 0; from, to = search.next(done) {
		out = append(append(out, s[done:from]...), tokenPrefix...)
		out = f.appendHash(out, s[from:to])
		done = to
	}
	out = append(out, s[done:]...)
	return f.mem.CommitString(append(f.mem.Reserve(len(out)), out...))
}

// search walks through the secrets of one text. It remembers the next of each kind, so that a long text with many
// secrets is searched once.
type search struct {
	s, token string
	found    [3]span
	started  bool
}

type span struct{ from, to int }

// next returns the first secret at or after i, -1 if there is none.
func (w *search) next(i int) (from, to int) {
	finders := [...]func(int) span{w.jwt, w.bearer, w.repeated}
	best := span{-1, -1}
	for k, find := range finders {
		if !w.started || w.found[k].from >= 0 && w.found[k].from < i {
			w.found[k] = find(i)
		}
		if c := w.found[k]; c.from >= 0 && (best.from < 0 || c.from < best.from || c.from == best.from && c.to > best.to) {
			best = c
		}
	}
	w.started = true
	return best.from, best.to
}

func (w *search) repeated(i int) span {
	if len(w.token) < minToken {
		return span{-1, -1}
	}
	k := strings.Index(w.s[i:], w.token)
	if k < 0 {
		return span{-1, -1}
	}
	return span{i + k, i + k + len(w.token)}
}

// jwt finds base64url text that starts with the encoding of {" and goes on behind a dot: RFC 7519, also with more or fewer
// than three parts, for a token that was cut off is still a secret. The dot may be percent-encoded.
func (w *search) jwt(i int) span {
	for {
		k := strings.Index(w.s[i:], "eyJ")
		if k < 0 {
			return span{-1, -1}
		}
		from := i + k
		to, parts := base64Run(w.s, from), 1
		for {
			dot := dotLen(w.s[to:])
			if dot == 0 {
				break
			}
			to, parts = base64Run(w.s, to+dot), parts+1
		}
		if parts > 1 && to-from >= len("eyJ.eyJ")+4 {
			return span{from, to}
		}
		i = to
	}
}

func base64Run(s string, i int) int {
	for i < len(s) && (isAlnum(s[i]) || s[i] == '-' || s[i] == '_' || s[i] == '=') {
		i++
	}
	return i
}

func dotLen(s string) int {
	if strings.HasPrefix(s, ".") {
		return 1
	}
	if b, ok := percent(s); ok && b == '.' {
		return 3
	}
	return 0
}

// bearer finds the credentials of RFC 6750 behind the word "Bearer", whatever its case and however the space is written.
func (w *search) bearer(i int) span {
	const word = "bearer"
	for ; i+len(word) < len(w.s); i++ {
		if w.s[i]|0x20 != 'b' || !equalFold(w.s[i:i+len(word)], word) {
			continue
		}
		from := i + len(word)
		for from < len(w.s) && blankLen(w.s[from:]) > 0 {
			from += blankLen(w.s[from:])
		}
		if to := credentialRun(w.s, from); from > i+len(word) && to > from {
			return span{from, to}
		}
	}
	return span{-1, -1}
}

func blankLen(s string) int {
	if s[0] == ' ' || s[0] == '+' || s[0] == '\t' || s[0] == ':' || s[0] == '=' {
		return 1
	}
	if b, ok := percent(s); ok && (b == ' ' || b == '\t') {
		return 3
	}
	return 0
}

func credentialRun(s string, i int) int {
	for i < len(s) {
		if isAlnum(s[i]) || strings.IndexByte("-._~+/=", s[i]) >= 0 {
			i++
		} else if _, ok := percent(s[i:]); ok {
			i += 3
		} else {
			break
		}
	}
	return i
}

func isAlnum(c byte) bool { return c-'0' <= 9 || c|0x20-'a' < 26 }
