package accesslog

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// scanner walks JSON text in memory that ends with at least pad zero bytes beyond its limit: a zero is no JSON, so
// every loop stops there and none needs to look at the length.
//
// Positions are indexes into buf. Every method returns the position after what it read, or -1 and sets failed to where
// the text stopped being JSON.
type scanner struct {
	buf    []byte
	end    int // of the text
	failed int
	// What the strings read since the last reset hold: only then is there something to decode or to check.
	escaped bool
	seen    uint64 // all words of text, or'ed, and perhaps some bytes behind: with a high bit, there may be more than ASCII
}

const (
	pad = 8 // bytes of zero behind the text: one word of string scanning

	// maxDepth is how deep values may be nested, counted from the object of an event. encoding/json allows 10,000; no
	// gateway needs more than a handful.
	maxDepth = 64
)

func (s *scanner) fail(at int) int {
	s.failed = at
	return -1
}

func (s *scanner) space(i int) int {
	for {
		switch s.buf[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

// text reads a string whose opening quote is before i and returns the position of the closing one. Eight bytes at a
// time: the lowest set bit of stop marks the first quote, backslash or control character (see "Determine if a word has a
// zero byte", Anderson, Bit Twiddling Hacks; bits above the lowest one can be wrong and are not looked at).
func (s *scanner) text(i int) int {
	for {
		w := binary.LittleEndian.Uint64(s.buf[i:])
		quote, slash := w^(low*'"'), w^(low*'\\')
		stop := ((quote-low) & ^quote | (slash-low) & ^slash | (w-low*0x20) & ^w) & high
		s.seen |= w
		if stop == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(stop) / 8
		switch s.buf[i] {
		case '"':
			return i
		case '\\':
			s.escaped = true
			if i = s.escape(i + 1); i < 0 {
				return -1
			}
		default:
			return s.fail(i)
		}
	}
}

// escape reads what follows a backslash.
func (s *scanner) escape(i int) int {
	switch s.buf[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for k := i + 1; k < i+5; k++ {
			if hexValue(s.buf[k]) < 0 {
				return s.fail(k)
			}
		}
		return i + 5
	}
	return s.fail(i)
}

// number reads a number as RFC 8259 defines it.
func (s *scanner) number(i int) int {
	b := s.buf
	if b[i] == '-' {
		i++
	}
	switch {
	case b[i] == '0':
		i++
	case isDigit(b[i]):
		i = digits(b, i)
	default:
		return s.fail(i)
	}
	if b[i] == '.' {
		if i++; !isDigit(b[i]) {
			return s.fail(i)
		}
		i = digits(b, i)
	}
	if b[i]|0x20 == 'e' {
		if i++; b[i] == '+' || b[i] == '-' {
			i++
		}
		if !isDigit(b[i]) {
			return s.fail(i)
		}
		i = digits(b, i)
	}
	return i
}

func (s *scanner) literal(i int, word string) int {
	for k := range len(word) {
		if s.buf[i+k] != word[k] {
			return s.fail(i + k)
		}
	}
	return i + len(word)
}

// value reads any value, depth levels of nesting below the event's own object.
func (s *scanner) value(i, depth int) int {
	switch s.buf[i] {
	case '"':
		if i = s.text(i + 1); i < 0 {
			return -1
		}
		return i + 1
	case '{', '[':
		if depth >= maxDepth {
			return s.fail(i)
		}
		if s.buf[i] == '{' {
			return s.members(i, depth+1)
		}
		return s.items(i, depth+1)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	return s.number(i)
}

func (s *scanner) members(i, depth int) int {
	if i = s.space(i + 1); s.buf[i] == '}' {
		return i + 1
	}
	for {
		_, _, v := s.key(i)
		if v < 0 {
			return -1
		}
		if i = s.value(v, depth); i < 0 {
			return -1
		}
		if i = s.space(i); s.buf[i] == '}' {
			return i + 1
		}
		if s.buf[i] != ',' {
			return s.fail(i)
		}
		i = s.space(i + 1)
	}
}

// key reads a member's name and the colon; from and to are the name without its quotes, next is where the value starts.
func (s *scanner) key(i int) (from, to, next int) {
	if s.buf[i] != '"' {
		return 0, 0, s.fail(i)
	}
	from = i + 1
	if to = s.text(from); to < 0 {
		return 0, 0, -1
	}
	i = to + 1
	if s.buf[i] != ':' {
		if i = s.space(i); s.buf[i] != ':' {
			return 0, 0, s.fail(i)
		}
	}
	if i++; s.buf[i] <= ' ' {
		i = s.space(i)
	}
	return from, to, i
}

func (s *scanner) items(i, depth int) int {
	if i = s.space(i + 1); s.buf[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(i, depth); i < 0 {
			return -1
		}
		if i = s.space(i); s.buf[i] == ']' {
			return i + 1
		}
		if s.buf[i] != ',' {
			return s.fail(i)
		}
		i = s.space(i + 1)
	}
}

// pass finds the end of a value that is not quite JSON, or nested too deep, by its quotes and brackets alone, so that
// what follows can still be read. It returns -1 when there is no end.
func (s *scanner) pass(i int) int {
	depth, quoted := 0, false
	for ; i < s.end; i++ {
		switch c := s.buf[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth < 0 {
				return i
			}
		case c == ',' && depth == 0:
			return i
		}
		if depth == 0 && !quoted && (s.buf[i] == '}' || s.buf[i] == ']') {
			return i + 1
		}
	}
	return -1
}

// passMembers goes from after one member's value to the end of the object, by quotes and brackets alone.
func (s *scanner) passMembers(i int) int {
	for i >= 0 && i < s.end {
		switch s.buf[i] {
		case '}':
			return i + 1
		case ']':
			return -1
		case ',':
			i++
		default:
			i = s.pass(i)
		}
	}
	return -1
}

// unescape decodes a JSON string's content in place and returns the part of b that holds the result, which is never
// longer. Half of a surrogate pair becomes U+FFFD, as in encoding/json. b must have been read by [scanner.text].
func unescape(b []byte) []byte {
	w := 0
	for r := 0; r < len(b); {
		if b[r] != '\\' {
			b[w] = b[r]
			w, r = w+1, r+1
			continue
		}
		if b[r+1] != 'u' {
			b[w] = shortEscape(b[r+1])
			w, r = w+1, r+2
			continue
		}
		var c rune
		c, r = unicodeEscape(b, r)
		w += utf8.EncodeRune(b[w:w+utf8.UTFMax], c)
	}
	return b[:w]
}

func shortEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unicodeEscape reads \uXXXX, or two of them that make one character, at r.
func unicodeEscape(b []byte, r int) (c rune, next int) {
	c = hex4(b[r+2:])
	r += 6
	if c < 0xD800 || c > 0xDFFF {
		return c, r
	}
	if c <= 0xDBFF && r+6 <= len(b) && b[r] == '\\' && b[r+1] == 'u' {
		if second := hex4(b[r+2:]); second >= 0xDC00 && second <= 0xDFFF {
			return (c-0xD800)<<10 + (second - 0xDC00) + 0x10000, r + 6
		}
	}
	return utf8.RuneError, r
}

func hex4(b []byte) rune {
	return rune(hexValue(b[0]))<<12 | rune(hexValue(b[1]))<<8 | rune(hexValue(b[2]))<<4 | rune(hexValue(b[3]))
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func digits(b []byte, i int) int {
	for isDigit(b[i]) {
		i++
	}
	return i
}
