package rules

import "strings"

// What a path means is decided by the server behind the gateway, and a caller may choose a spelling that gateway, server
// and gatewatch read differently: /users/./42, /users%2F42, /users;v=1/42, /health/..;/users/42. A rule must see through
// that. A path that is spelled oddly therefore has two readings, and a pattern matches when one of them does; an exclusion
// (not:) never applies to such a path.

// maxPathSegments is how many segments of a path patterns look at. No API is that deep, and without a bound one event could
// cost as much as thousands.
const maxPathSegments = 64

// spelling is one path taken apart.
type spelling struct {
	odd     bool
	strict  []string // segments; of a plain path these are what stands between the slashes
	lenient []string // of an odd path
}

// room is where segments stand.
type room [2][maxPathSegments]string

func spell(path string, r *room) spelling {
	s := spelling{odd: odd(path), strict: strictReading(r[0][:0], path)}
	if s.odd {
		s.lenient = lenientReading(r[1][:0], path)
	}
	return s
}

// odd reports whether a path's segments are not simply what stands between its slashes, or too many.
func odd(path string) bool {
	if strings.IndexByte(path, ';') >= 0 || strings.IndexByte(path, '\\') >= 0 || strings.Contains(path, "/.") || strings.HasPrefix(path, ".") {
		return true
	}
	if len(path) > 2*maxPathSegments && strings.Count(path, "/") > maxPathSegments {
		return true
	}
	for rest := path; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return false
		}
		rest = rest[i:]
		if c, ok := unescape(rest); ok && (c == '/' || c == '\\' || c == '.' || c == ';') {
			return true
		}
		rest = rest[1:]
	}
}

// strictReading returns the segments of path as RFC 3986 has them (section 5.2.4): only slashes separate, and "." and ".."
// are resolved, percent-encoded ones too. Empty segments are left out. It uses the memory of segments.
func strictReading(segments []string, path string) []string {
	depth := 0
	for path != "" {
		var part string
		part, path = cutSegment(path)
		segments, depth = step(segments, depth, part)
	}
	return segments
}

// lenientReading returns the segments of path as the most obliging server has them: a backslash and an encoded slash
// separate too, and parameters after a semicolon are cut off before dots are resolved. It uses the memory of segments.
func lenientReading(segments []string, path string) []string {
	depth := 0
	for path != "" {
		end, width := separator(path)
		part := path[:end]
		path = path[end+width:]
		bare, _, _ := strings.Cut(part, ";")
		segments, depth = step(segments, depth, bare)
	}
	return segments
}

// step takes one more segment into a path, resolving dots. depth is how many segments the path has, those included for
// which there is no room.
func step(segments []string, depth int, part string) ([]string, int) {
	switch dots(part) {
	case 0:
		if depth < maxPathSegments {
			segments = append(segments, part)
		}
		return segments, depth + 1
	case 2:
		depth = max(0, depth-1)
		return segments[:min(depth, len(segments))], depth
	}
	return segments, depth
}

// dots returns 2 for "..", 1 for "." and for the empty segment, else 0; %2e is a dot.
func dots(part string) int {
	n := 0
	for part != "" {
		c, width := character(part)
		if c != '.' || n == 2 {
			return 0
		}
		n++
		part = part[width:]
	}
	return max(1, n)
}

// separator returns where the first separator of a lenient reading begins and how long it is.
func separator(path string) (at, width int) {
	for i := range len(path) {
		switch path[i] {
		case '/', '\\':
			return i, 1
		case '%':
			if c, ok := unescape(path[i:]); ok && (c == '/' || c == '\\') {
				return i, 3
			}
		}
	}
	return len(path), 0
}

// character returns the first byte of s, percent-decoded, and how many bytes of s it takes. s must not be empty.
func character(s string) (c byte, width int) {
	if c, ok := unescape(s); ok {
		return c, 3
	}
	return s[0], 1
}

// unescape decodes the %XX at the beginning of s.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := hexValue(s[1]), hexValue(s[2])
	return high<<4 | low&0xf, high < 16 && low < 16
}

func hexValue(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// sameSegment reports whether part, percent-decoded, without a parameter after a semicolon and in any case, is the literal.
func sameSegment(part, literal string) bool {
	for i := range len(literal) {
		if part == "" {
			return false
		}
		c, width := character(part)
		if lower(c) != lower(literal[i]) {
			return false
		}
		part = part[width:]
	}
	return part == "" || part[0] == ';'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// sameGlob is sameSegment for a text in which * stands for any run. Like [glob.match] it goes back to the last star only.
func sameGlob(part, pattern string) bool {
	part, _, _ = strings.Cut(part, ";")
	retry, retryAt := "", -1
	for i := 0; ; {
		if i < len(pattern) && pattern[i] == '*' {
			i++
			retry, retryAt = part, i
			continue
		}
		if part == "" {
			return i == len(pattern)
		}
		if c, width := character(part); i < len(pattern) && lower(c) == lower(pattern[i]) {
			part, i = part[width:], i+1
			continue
		}
		if retryAt < 0 {
			return false
		}
		_, width := character(retry)
		retry = retry[width:]
		part, i = retry, retryAt
	}
}
