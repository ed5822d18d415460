package inventory

import "strings"

// maxSegments is the deepest path: what has more belongs to no operation.
const maxSegments = 32

// segments is a path taken apart as servers do it.
type segments struct {
	all [maxSegments]string
	n   int
}

func (s *segments) list() []string { return s.all[:s.n] }

// read takes a path apart. It reports false when there are too many segments.
func (s *segments) read(path string) bool {
	s.n = 0
	for path != "" {
		var segment string
		segment, path = cut(path)
		if i := strings.IndexByte(segment, ';'); i >= 0 {
			segment = segment[:i]
		}
		switch dots(segment) {
		case 1:
			continue
		case 2:
			s.n = max(0, s.n-1)
			continue
		}
		if segment == "" {
			continue
		}
		if s.n == maxSegments {
			return false
		}
		s.all[s.n] = segment
		s.n++
	}
	return true
}

// cut splits "/a/b" into "a" and "/b".
func cut(path string) (segment, rest string) {
	if path[0] == '/' {
		path = path[1:]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// dots returns 1 for ".", 2 for "..", however they are encoded, and 0 for all else.
func dots(segment string) (n int) {
	if len(segment) > len("%2e%2e") {
		return 0
	}
	for i := 0; i < len(segment); n++ {
		c, size := decode(segment[i:])
		if c != '.' || n == 2 {
			return 0
		}
		i += size
	}
	return n
}

// decode returns the first byte of s as it is meant, and how many bytes stand for it.
func decode(s string) (byte, int) {
	if s[0] == '%' && len(s) >= 3 {
		high, low := nibble(s[1]), nibble(s[2])
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	return s[0], 1
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// decoded returns s without percent signs.
func decoded(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := decode(s[i:])
		b.WriteByte(c)
		i += size
	}
	return b.String()
}

// same reports whether a segment of a path, decoded, is the literal. It does not allocate.
func same(segment, literal string) bool {
	n, ok := prefix(segment, literal)
	return ok && n == len(segment)
}

// prefix reports whether a segment begins with the literal, and how many bytes of the segment that takes.
func prefix(segment, literal string) (int, bool) {
	i := 0
	for j := range len(literal) {
		if i == len(segment) {
			return 0, false
		}
		c, size := decode(segment[i:])
		if c != literal[j] {
			return 0, false
		}
		i += size
	}
	return i, true
}

// partial is a segment with parameters beside literal text, such as report-{id}.{format}. Parameters take one byte at least.
type partial struct {
	text     string   // as written, without the names: report-{}.{}
	literals []string // around the parameters; one more than these, the first and the last may be empty
	next     *node
}

// match reports whether a segment fits. Each literal is taken where it comes first, the last one at the end: if that does not
// fit, nothing does.
func (p *partial) match(segment string) bool {
	at, ok := prefix(segment, p.literals[0])
	if !ok {
		return false
	}
	last := len(p.literals) - 1
	for _, literal := range p.literals[1:last] {
		if at, ok = after(segment, at, literal); !ok {
			return false
		}
	}
	return ends(segment, at, p.literals[last])
}

// after finds the literal behind at, with one character between, and returns where it ends.
func after(segment string, at int, literal string) (int, bool) {
	for at < len(segment) {
		_, size := decode(segment[at:])
		at += size
		if n, ok := prefix(segment[at:], literal); ok {
			return at + n, true
		}
	}
	return 0, false
}

// ends reports whether the segment ends with the literal, with one character between at and that.
func ends(segment string, at int, literal string) bool {
	for at < len(segment) {
		_, size := decode(segment[at:])
		at += size
		if same(segment[at:], literal) {
			return true
		}
	}
	return false
}

// parseSegment takes a segment of a template apart: its literals, and how many parameters are between them.
func parseSegment(s string) (literals []string, ok bool) {
	for {
		open := strings.IndexAny(s, "{}")
		if open < 0 {
			return append(literals, decoded(s)), true
		}
		width := strings.IndexByte(s[open:], '}')
		if s[open] == '}' || width < 2 || strings.ContainsAny(s[open+1:open+width], "{/") {
			return nil, false
		}
		literals = append(literals, decoded(s[:open]))
		s = s[open+width+1:]
	}
}
