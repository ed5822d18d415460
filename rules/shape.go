package rules

import "strings"

// pathKind is what is known of a path beside the route.
type pathKind uint8

const (
	// anyPath: nothing.
	anyPath pathKind = iota
	// instancePath: it is spelled plainly and has the shape of the route.
	instancePath
	// plainPath: it has the shape of the route, behind 0 to maxPrefix segments that gateways strip, and neither these nor what
	// stands for the route's parameters is a word of the [vocabulary].
	plainPath

	maxPrefix = 3
	pathKinds = int(plainPath) + maxPrefix + 1
)

// template is a path as far as it is known when conditions are decided ahead.
type template struct {
	kind pathKind
	text string // of a plainPath: as a template
}

// templateOf returns the template for a kind and, for plain paths, a number of segments before the route.
func templateOf(route string, kind, prefix int) template {
	if kind < int(plainPath) {
		return template{kind: pathKind(kind)}
	}
	if prefix == 0 && !strings.ContainsAny(route, "{:<") {
		return template{kind: plainPath, text: route}
	}
	var b strings.Builder
	b.Grow(len(route) + len("/{}")*prefix + 8)
	for range prefix {
		b.WriteString("/{}")
	}
	for rest := route; ; {
		var part string
		if part, rest = cutSegment(rest); part == "" {
			break
		}
		if isParameter(part) {
			part = "{}"
		}
		b.WriteString("/" + part)
	}
	return template{kind: plainPath, text: b.String()}
}

// shape recognises plainly spelled paths that have the form of one route template: what a path with the route
// /users/{id}/orders must begin with, and what follows each parameter.
type shape struct {
	texts    []span16 // literal parts of the route; between two of them one segment stands in the path
	segments int
	known    bool // false: no path is recognised
}

// span16 is a part of a text of at most 64 kB.
type span16 struct{ from, to uint16 }

// read takes the template apart.
func (s *shape) read(route string) {
	s.texts, s.segments, s.known = s.texts[:0], 0, false
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
		s.segments++
	}
	s.texts = append(s.texts, span16{uint16(from), uint16(len(route))})
	s.known = true
}

// classify says what is known of a path whose route is the one that was read: its kind, plus, for plain paths, the number
// of segments before the route.
func (s *shape) classify(route, path string, v *vocabulary) int {
	if !s.known {
		return int(anyPath)
	}
	if kind := s.compare(route, path, v); kind != anyPath {
		return int(kind)
	}
	start := s.start(path)
	if start <= 0 || s.compare(route, path[start:], v) != plainPath {
		return int(anyPath)
	}
	prefix := plainPrefix(path[:start], v)
	if prefix == 0 {
		return int(anyPath)
	}
	return int(plainPath) + prefix
}

// start returns where the last segments of path begin, as many as the route has.
func (s *shape) start(path string) int {
	end := len(path)
	if end > 0 && path[end-1] == '/' {
		end--
	}
	for range s.segments {
		if end = strings.LastIndexByte(path[:end], '/'); end < 0 {
			return -1
		}
	}
	return end
}

// plainPrefix counts the segments of a prefix, 0 when there are too many or one is not plain or a word.
func plainPrefix(prefix string, v *vocabulary) (n int) {
	for prefix != "" {
		if prefix[0] != '/' || n == maxPrefix {
			return 0
		}
		length := plainSegment(prefix[1:])
		if length == 0 || v.has(prefix[1:1+length]) {
			return 0
		}
		prefix = prefix[1+length:]
		n++
	}
	return n
}

// compare returns plainPath or instancePath for a path that has the shape and is not spelled oddly, see [odd].
func (s *shape) compare(route, path string, v *vocabulary) pathKind {
	kind := plainPath
	for i, t := range s.texts {
		if i > 0 {
			n := plainSegment(path)
			if n == 0 {
				return anyPath
			}
			if kind == plainPath && v.has(path[:n]) {
				kind = instancePath
			}
			path = path[n:]
		}
		text := route[t.from:t.to]
		if len(path) < len(text) || path[:len(text)] != text {
			return anyPath
		}
		path = path[len(text):]
	}
	if path != "" && path != "/" {
		return anyPath
	}
	return kind
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
