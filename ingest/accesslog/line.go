package accesslog

import (
	"bytes"
	"unicode/utf8"
)

// span is a stretch of a line.
type span struct{ from, to int }

// line reads the line at i if it has the format of one, with or without what a shipper has put before it, and returns
// where to go on, -1 if it has none.
func (d *Decoder) line(i int) int {
	s := &d.scan
	if i < d.tried {
		return -1
	}
	end := s.end
	if n := bytes.IndexByte(s.buf[i:end], '\n'); n >= 0 {
		end = i + n
	}
	start := i + prefixLen(s.buf[i:end])
	if start > i && start < end && s.buf[start] == '{' {
		return d.object(start)
	}
	stop := start + len(bytes.TrimRight(s.buf[start:end], " \t\r"))
	f := d.lineFormat(s.buf[start:stop])
	if f == nil {
		d.tried = end
		return -1
	}
	d.format = f
	s.escaped, s.seen = false, high
	d.columns(f, start)
	d.finish(start, stop, true)
	return end
}

// lineFormat returns the format that line has, with its columns in spans, nil if it has none.
func (d *Decoder) lineFormat(line []byte) *format {
	if d.fixed {
		if d.latest.cut != nil && d.latest.cut(line, d.latest.spans) {
			return d.latest
		}
		return nil
	}
	for i := range definitions {
		if definitions[i].cut == nil {
			continue
		}
		if f := d.known(i); f.cut(line, f.spans) {
			return f
		}
	}
	return nil
}

// columns makes values of the columns of the line at start.
func (d *Decoder) columns(f *format, start int) {
	clear(f.tree.values[:f.tree.slots])
	for k, c := range f.spans {
		if c.to <= c.from {
			continue
		}
		text := unescapeLine(d.scan.buf[start+c.from:start+c.to], f.escape)
		f.tree.values[f.lines[k]] = value{int32(start + c.from), int32(start + c.from + len(text)), rawText}
	}
}

// unescapeLine decodes, in place, two hexadecimal digits behind mark, and quotes and backslashes behind a backslash as Apache
// and gin write them. What would be no UTF-8 stays as it is.
func unescapeLine(b []byte, mark string) []byte {
	if bytes.IndexByte(b, mark[0]) < 0 && bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	var small [256]byte
	out := small[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		n := len(mark)
		switch {
		case bytes.HasPrefix(b[i:], []byte(mark)) && i+n+1 < len(b) && hexValue(b[i+n]) >= 0 && hexValue(b[i+n+1]) >= 0:
			c = byte(hexValue(b[i+n])<<4 | hexValue(b[i+n+1]))
			i += n + 1
		case c == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\'):
			i++
			c = b[i]
		}
		out = append(out, c)
	}
	if !utf8.Valid(out) {
		return b
	}
	return b[:copy(b, out)]
}

// prefixLen returns the length of what a container runtime or syslog has put before a line. It is strict: what a caller
// controls must never be taken for the beginning of a record.
func prefixLen(line []byte) int {
	if n := containerPrefix(line); n > 0 {
		return n
	}
	return syslogPrefix(line)
}

// containerPrefix is that of Kubernetes: 2026-11-26T14:00:00.123456789Z stdout F …
func containerPrefix(line []byte) int {
	time, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(line) == 0 || !isDigit(line[0]) {
		return 0
	}
	if _, _, ok = parseInstant(time); !ok {
		return 0
	}
	for _, stream := range []string{"stdout F ", "stderr F "} {
		if bytes.HasPrefix(rest, []byte(stream)) {
			return len(time) + 1 + len(stream)
		}
	}
	return 0
}

// syslogPrefix is that of RFC 3164, with or without its priority: <134>Nov 26 14:00:00 host program[123]: …
func syslogPrefix(line []byte) int {
	i := 0
	if len(line) > 0 && line[0] == '<' {
		if i = bytes.IndexByte(line[:min(len(line), 6)], '>') + 1; i < 3 {
			return 0
		}
	}
	const stamp = len("Nov 26 14:00:00 ")
	if len(line) < i+stamp || bytes.Index([]byte(months), line[i:i+3])%3 != 0 || line[i+3] != ' ' || line[i+9] != ':' || line[i+15] != ' ' {
		return 0
	}
	rest := line[i+stamp:]
	words := 0
	for k, c := range rest[:min(len(rest), 256)] {
		switch {
		case c == ' ' && k > 0 && rest[k-1] == ':':
			return i + stamp + k + 1
		case c == ' ':
			if words++; words > 1 {
				return 0
			}
		case c < '!' || c == '"' || c == '{' || c > '~':
			return 0
		}
	}
	return 0
}
