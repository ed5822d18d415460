package route

import "strings"

// class is what a byte is to the rules below.
type class uint8

const (
	separator class = iota
	digit
	lower // and everything beyond ASCII
	upper
)

type byteInfo struct {
	class class
	hex   bool
}

var bytesInfo = func() (t [256]byteInfo) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = byteInfo{digit, true}
		case c >= 'A' && c <= 'Z':
			t[c] = byteInfo{upper, c <= 'F'}
		case c >= 'a' && c <= 'z' || c >= 0x80:
			t[c] = byteInfo{lower, c >= 'a' && c <= 'f'}
		}
	}
	return t
}()

// maxWord is the length from which a segment, however it looks, is no word that somebody chose for a route.
const maxWord = 100

// isID reports whether a segment names an object rather than a resource.
func isID(segment string) bool {
	word, _, _ := strings.Cut(segment, ";")
	if strings.IndexByte(word, '%') >= 0 {
		word = unquote(word)
	}
	switch {
	case word == "" || len(word) > maxWord:
		return true
	case word[0] == '{':
		return word[len(word)-1] == '}'
	case isVersion(word):
		return false
	}
	s := read(word)
	if s.digits+s.separators == len(word) {
		return s.digits > 0 && !isRelease(word)
	}
	return s.marked || s.strong || s.named()
}

// isVersion reports whether word is v1, v2.1, v1beta1 or the like.
func isVersion(word string) bool {
	if word[0]|0x20 != 'v' || len(word) < 2 || len(word) > 12 {
		return false
	}
	digits := 0
	for i := 1; i < len(word); i++ {
		switch c := word[i]; bytesInfo[c].class {
		case digit:
			if digits++; digits > 3 {
				return false
			}
		case separator:
			if digits == 0 || c != '.' && c != '_' {
				return false
			}
			digits = 0
		default:
			return digits > 0 && isStage(word[i:])
		}
	}
	return digits > 0
}

// isStage reports whether s is alpha, beta, rc or p with at most two digits behind.
func isStage(s string) bool {
	name := strings.TrimRight(s, "0123456789")
	return len(s)-len(name) <= 2 && (name == "alpha" || name == "beta" || name == "rc" || name == "p")
}

// isRelease reports whether word, of digits and separators, is 1.0 or 2.13.4: two or three small numbers with dots. Four
// are an address.
func isRelease(word string) bool {
	parts, digits := 1, 0
	for i := range len(word) {
		if word[i] == '.' && digits > 0 {
			parts, digits = parts+1, 0
			continue
		}
		if digits++; word[i] < '0' || word[i] > '9' || digits > 2 {
			return false
		}
	}
	return digits > 0 && (parts == 2 || parts == 3)
}

// unquote decodes percent signs; what is no valid encoding stays.
func unquote(s string) string {
	b := make([]byte, 0, maxWord+1)
	for i := 0; i < len(s) && len(b) <= maxWord; i++ {
		if c, ok := percent(s[i:]); ok {
			b = append(b, c)
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func percent(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' || !bytesInfo[s[1]].hex || !bytesInfo[s[2]].hex {
		return 0, false
	}
	return nibble(s[1])<<4 | nibble(s[2]), true
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
