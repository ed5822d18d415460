package rules

import "strings"

// shape recognises plainly spelled paths that have the form of one route template: what a path with the route
// /users/{id}/orders must begin with, and what follows each parameter.
type shape struct {
	texts []span16 // literal parts of the route; between two of them one segment stands in the path
	known bool     // false: no path is recognised
}

// span16 is a part of a text of at most 64 kB.
type span16 struct{ from, to uint16 }

// read takes the template apart.
func (s *shape) read(route string) {
	s.texts, s.known = s.texts[:0], false
	if route == "" || route[0] != '/' || odd(route) || strings.Contains(route, "//") {
		return
	}
	from := 0
	for at := 0; at < len(route); {
		end := len(route)
		if i := strings.IndexByte(route[at+1:], '/'); i >= 0 {
			end = at + 1 + i
		}
		if isParameter(route[at+1 : end]) {
			s.texts = append(s.texts, span16{uint16(from), uint16(at + 1)})
			from = end
		}
		at = end
	}
	s.texts = append(s.texts, span16{uint16(from), uint16(len(route))})
	s.known = true
}

// contains reports whether the path has the shape of the route, which is the one that was read, and no part of it is
// spelled oddly, see [odd].
func (s *shape) contains(route, path string) bool {
	if !s.known {
		return false
	}
	for i, t := range s.texts {
		if i > 0 {
			n := plainSegment(path)
			if n == 0 {
				return false
			}
			path = path[n:]
		}
		text := route[t.from:t.to]
		if len(path) < len(text) || path[:len(text)] != text {
			return false
		}
		path = path[len(text):]
	}
	return path == "" || path == "/"
}

// plainSegment returns the length of the segment at the beginning of path, or 0 when it is empty or might not be what it
// seems.
func plainSegment(path string) int {
	if path == "" || path[0] == '.' {
		return 0
	}
	for i := range len(path) {
		switch path[i] {
		case '/':
			return i
		case ';', '\\':
			return 0
		case '%':
			if c, ok := unescape(path[i:]); ok && (c == '/' || c == '\\' || c == '.' || c == ';') {
				return 0
			}
		}
	}
	return len(path)
}
