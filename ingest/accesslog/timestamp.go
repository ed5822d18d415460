package accesslog

import (
	"math"

	"github.com/gatewatch/gatewatch/detector/event"
)

// earliest is 2000-01-01: nothing that a gateway writes today is older, but a clock that was never set is.
const earliest event.Time = 946_684_800_000

const (
	// secondsBelow tells epoch seconds from milliseconds: as seconds it is the year 5138, as milliseconds 1973.
	secondsBelow = 100_000_000_000
	// maxEpoch bounds what is read of a number; it is far in the future in either unit.
	maxEpoch = 1_000_000_000_000_000
)

// ParseTime reads a time as records have it: RFC 3339, or seconds or milliseconds since 1970. ok is false for what cannot be read
// and for what is before the year 2000.
func ParseTime(text string) (t event.Time, ok bool) {
	t, ok = parseTime([]byte(text))
	return t, ok && t >= earliest
}

// parseTime reads RFC 3339 with any offset and fraction, or a number of seconds or milliseconds since 1970. What is
// finer than a millisecond is cut off.
func parseTime(b []byte) (event.Time, bool) {
	if len(b) > 4 && b[4] == '-' {
		return parseRFC3339(b)
	}
	return parseEpoch(b)
}

func parseEpoch(b []byte) (event.Time, bool) {
	whole, i := int64(0), 0
	for ; i < len(b) && isDigit(b[i]) && whole < maxEpoch; i++ {
		whole = whole*10 + int64(b[i]-'0')
	}
	if i == 0 || i < len(b) && b[i] != '.' || leadingZero(b) {
		return oddEpoch(b)
	}
	milli, scale := int64(0), int64(100)
	if i < len(b) {
		if len(b) == i+1 {
			return 0, false
		}
		for _, c := range b[i+1:] {
			if !isDigit(c) {
				return oddEpoch(b)
			}
			milli += int64(c-'0') * scale
			scale /= 10
		}
	}
	if whole < secondsBelow {
		return event.Time(whole*1000 + milli), true
	}
	return event.Time(min(whole, maxEpoch)), true
}

// oddEpoch reads what is negative, has an exponent or more digits than a time needs.
func oddEpoch(b []byte) (event.Time, bool) {
	f, ok := slowFloat(b)
	if !ok {
		return 0, false
	}
	if math.Abs(f) < secondsBelow {
		f = math.Round(f * 1000)
	}
	return event.Time(max(-maxEpoch, min(f, maxEpoch))), true
}

// parseRFC3339 reads 2026-11-22T10:00:00.123Z. The T may be a t or a space, and a leap second counts as the first
// second of the next minute, as it does in Unix time.
func parseRFC3339(b []byte) (event.Time, bool) {
	if len(b) < len("2006-01-02T15:04:05Z") {
		return 0, false
	}
	if b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	year, month, day := two(b)*100+two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60 {
		return 0, false
	}
	milli, rest, ok := fraction(b[19:])
	if !ok {
		return 0, false
	}
	offset, ok := zoneOffset(rest)
	if !ok {
		return 0, false
	}
	seconds := days(year, month, day)*86400 + int64(hour*3600+minute*60+second-offset)
	return event.Time(seconds*1000 + milli), true
}

// two reads two digits; the result is far below 0 when they are none.
func two(b []byte) int {
	tens, ones := b[0]-'0', b[1]-'0'
	if tens > 9 || ones > 9 {
		return -1 << 20
	}
	return int(tens)*10 + int(ones)
}

func fraction(b []byte) (milli int64, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, true
	}
	b = b[1:]
	n, scale := 0, int64(100)
	for n < len(b) && isDigit(b[n]) {
		milli += int64(b[n]-'0') * scale
		scale /= 10
		n++
	}
	return milli, b[n:], n > 0
}

// zoneOffset reads Z or ±hh:mm as seconds east of UTC.
func zoneOffset(b []byte) (seconds int, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	if len(b) != 6 || b[3] != ':' || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hour, minute := two(b[1:]), two(b[4:])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	if seconds = hour*3600 + minute*60; b[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days counts days from 1970-01-01 in the proleptic Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date
// Algorithms", days_from_civil). Years start in March there, so that the leap day comes last.
func days(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	ofYear := (153*(month-3)+2)/5 + day - 1
	era := year / 400
	ofEra := year - era*400
	if year < 0 {
		era, ofEra = -1, year+400
	}
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}
