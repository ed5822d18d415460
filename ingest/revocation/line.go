package revocation

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// maxToken is the longest token that is read, in bytes. Gateways' headers are no longer.
const maxToken = 16 << 10

// problem says why a line is left out. It never holds a part of the line, which may be a token.
type problem string

// The problems of lines.
const (
	fine        problem = ""
	tooLong     problem = "it is too long"
	notJSON     problem = "it begins with { and is no JSON object"
	noToken     problem = "it names no token"
	badTime     problem = "the time cannot be read, so that the token counts as revoked since ever"
	tooMany     problem = "it has more than a token and a time"
	badEncoding problem = "it holds control characters: the file is no list, or not UTF-8"
)

// entry is one line that was read. An empty token means that there is nothing on it.
type entry struct {
	token string
	at    event.Time
}

// parseLine reads one line, without its end. first is true for the first line of a file, which may be a heading.
func parseLine(line []byte, first bool) (entry, problem) {
	if first {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0 || line[0] == '#':
		return entry{}, fine
	case line[0] == '{':
		return parseObject(line)
	case bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return entry{}, badEncoding
	}
	token, at, timed := strings.Cut(string(line), ",")
	token, at = unquote(token), unquote(at)
	switch {
	case first && (token == "token_id" || token == "token" || token == "jti"):
		return entry{}, fine
	case strings.Contains(at, ","):
		return entry{}, tooMany
	case !timed:
		at = ""
	}
	return makeEntry(token, at)
}

// unquote takes the quotes of CSV away. Tokens have none inside.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

func parseObject(line []byte) (entry, problem) {
	var object struct {
		Token json.RawMessage `json:"token_id"`
		At    json.RawMessage `json:"revoked_at"`
	}
	if err := json.Unmarshal(line, &object); err != nil {
		return entry{}, notJSON
	}
	token, ok := scalar(object.Token)
	if !ok {
		return entry{}, noToken
	}
	at, ok := scalar(object.At)
	if !ok {
		at = "neither text nor number"
	}
	return makeEntry(token, at)
}

// scalar reads a text or a number as text, and nothing or null as "".
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", true
	}
	if raw[0] != '"' {
		return string(raw), raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return strings.TrimSpace(s), err == nil
}

func makeEntry(token, at string) (entry, problem) {
	switch {
	case token == "":
		return entry{}, noToken
	case len(token) > maxToken:
		return entry{}, tooLong
	case at == "":
		return entry{token, event.RevokedSinceEver}, fine
	}
	t, ok := accesslog.ParseTime(at)
	if !ok {
		return entry{token, event.RevokedSinceEver}, badTime
	}
	return entry{token, t}, fine
}
