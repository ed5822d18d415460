package detector

import (
	"math/bits"

	"github.com/zeebo/xxh3"
)

const (
	mostDigits = 18 // that fit in 64 bits
	mostRuns   = 3  // of digits in an id that counts on: more are in UUIDs and other ids made by chance
)

// sequenceNumber reads the number by which ids count on: the last digits of the id, whatever stands before and behind them and however
// they are padded: 42, 00042, ORD-2026-00042, 42.pdf. shape is a hash of the rest: ids with different rests do not follow each other.
// Of more than 18 digits the last 18 are the number. UUIDs and the like, with more than three runs of digits, have none.
func sequenceNumber(id string) (shape uint32, number uint64, ok bool) {
	end := len(id)
	for end > 0 && !isDigit(id[end-1]) {
		end--
	}
	start := end
	for start > 0 && isDigit(id[start-1]) && end-start < mostDigits {
		start--
		number += uint64(id[start]-'0') * powersOfTen[end-start-1]
	}
	if end == 0 || digitRuns(id[:start]) >= mostRuns {
		return 0, 0, false
	}
	rest := xxh3.HashString(id[:start]) ^ bits.RotateLeft64(xxh3.HashString(id[end:]), 23)
	return uint32(rest), number, true
}

var powersOfTen = func() (all [mostDigits]uint64) {
	all[0] = 1
	for i := 1; i < len(all); i++ {
		all[i] = 10 * all[i-1]
	}
	return all
}()

// digitRuns counts the runs of digits in s.
func digitRuns(s string) (n int) {
	for i := range len(s) {
		if isDigit(s[i]) && (i == 0 || !isDigit(s[i-1])) {
			n++
		}
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
