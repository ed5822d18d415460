package accesslog

import (
	"math"
	"strconv"

	"github.com/gatewatch/gatewatch/ingest/arena"
)

// parseInteger reads an integer, also one that is written as 2e2 or 200.0, as gateways in dynamic languages do.
func parseInteger(b []byte) (int64, bool) {
	if n, ok := plainInteger(b); ok {
		return n, true
	}
	f, ok := parseFloat(b)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func plainInteger(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseFloat reads a JSON number. Up to 15 digits the quotient of two exact floats is the nearest float (Clinger, "How
// to read floating point numbers accurately", 1990); the rest is left to strconv.
func parseFloat(b []byte) (float64, bool) {
	digits, fraction, point := int64(0), 0, false
	count := 0
	for i, c := range b {
		switch {
		case isDigit(c):
			digits = digits*10 + int64(c-'0')
			if count++; point {
				fraction++
			}
		case c == '.' && !point && i > 0:
			point = true
		default:
			return slowFloat(b)
		}
		if count > 15 {
			return slowFloat(b)
		}
	}
	if count == 0 || point && fraction == 0 || leadingZero(b) {
		return 0, false
	}
	return float64(digits) / powersOfTen[fraction], true
}

func leadingZero(b []byte) bool { return len(b) > 1 && b[0] == '0' && isDigit(b[1]) }

func slowFloat(b []byte) (float64, bool) {
	if !isNumber(b) {
		return 0, false
	}
	f, err := strconv.ParseFloat(arena.String(b), 64)
	return f, err == nil
}

// isNumber reports whether b is a number as JSON writes it: strconv knows more forms, such as 0x1p-2 and Inf.
func isNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) == 0 || !isDigit(b[0]) || leadingZero(b) {
		return false
	}
	b = skipDigits(b)
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; len(b) == 0 || !isDigit(b[0]) {
			return false
		}
		b = skipDigits(b)
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if len(b) == 0 || !isDigit(b[0]) {
			return false
		}
		b = skipDigits(b)
	}
	return len(b) == 0
}

func skipDigits(b []byte) []byte {
	for len(b) > 0 && isDigit(b[0]) {
		b = b[1:]
	}
	return b
}
