package ingest

import (
	"bytes"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// MaxExcerpt is the length of an excerpt in bytes, at most.
const MaxExcerpt = 512

// publicNames are the only words that an excerpt keeps: names of members, where they stand as such.
var publicNames = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range accesslog.Names() {
		names[name] = true
	}
	return names
}()

// Excerpt returns the beginning of a record with everything masked that could be a value: letters become x and digits 0,
// so that the shape still tells what went wrong. Of all words only the names of known fields stay.
func Excerpt(record []byte) string {
	out := make([]byte, 0, min(len(record), MaxExcerpt))
	for len(record) > 0 && len(out) < MaxExcerpt {
		if n := knownName(record); n > 0 && len(out)+n <= MaxExcerpt {
			out = append(out, record[:n]...)
			record = record[n:]
			continue
		}
		_, n := utf8.DecodeRune(record)
		out = append(out, mask(record[0]))
		record = record[n:]
	}
	return string(out)
}

func mask(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return '0'
	case c >= utf8.RuneSelf, c|0x20 >= 'a' && c|0x20 <= 'z':
		return 'x'
	case c < ' ', c == 0x7f:
		return ' '
	}
	return c
}

// knownName returns the length of the known member name, with its quotes, that b starts with; 0 if there is none.
func knownName(b []byte) int {
	if b[0] != '"' {
		return 0
	}
	n := bytes.IndexByte(b[1:min(len(b), 32)], '"')
	if n < 0 || !publicNames[string(b[1:n+1])] {
		return 0
	}
	after := bytes.TrimLeft(b[n+2:min(len(b), n+16)], " \t\r\n")
	if len(after) == 0 || after[0] != ':' {
		return 0
	}
	return n + 2
}
