package route

import (
	"strconv"
	"strings"
)

const (
	// MaxSegments is how many segments a template has at most; the last one is then "**" for all the rest.
	MaxSegments = 24

	// Slack is how much longer than its path a template can be.
	Slack = MaxSegments*len("/{id24}") + len("/**")
)

// Template returns the template of path: ids become {id}, {id2}, …, words and versions stay. Repeated and trailing slashes
// are dropped, as are matrix parameters (;jsessionid=…). The template of a template is itself.
func Template(path string) string {
	return string(Append(make([]byte, 0, len(path)+Slack), path))
}

// Append appends the template of path to dst, at most len(path)+[Slack] bytes.
func Append(dst []byte, path string) []byte {
	start, ids, segments := len(dst), 0, 0
	last := start // where the last segment begins in dst
	for {
		segment, rest, seen := next(path)
		if segment == "" {
			break
		}
		path = rest
		if segments++; segments > MaxSegments {
			return append(dst[:last], "/**"...)
		}
		last = len(dst)
		dst = append(dst, '/')
		if seen == 1<<lower && len(segment) < strongHexAll { // most segments: a plain word
			dst = append(dst, segment...)
			continue
		}
		if seen == 1<<digit || isID(segment) {
			ids++
			dst = appendParameter(dst, ids)
			continue
		}
		word, _, _ := strings.Cut(segment, ";")
		dst = append(dst, word...)
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst
}

func appendParameter(dst []byte, n int) []byte {
	dst = append(dst, "{id"...)
	if n > 1 {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '}')
}

// next cuts the first segment off, without the slashes around it. seen is the set of the classes of its bytes.
func next(path string) (segment, rest string, seen uint8) {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:], seen
		}
		seen |= 1 << bytesInfo[path[i]].class
	}
	return path, "", seen
}
