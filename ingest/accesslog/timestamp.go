package accesslog

import (
	"bytes"
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
	// maxSeconds is what nanoseconds since 1970 can hold.
	maxSeconds = math.MaxInt64 / 1_000_000_000
)

// parseTimeIn reads a time in a unit. Where the unit is one of epochs, RFC 3339 is read too: some gateways write either.
func parseTimeIn(b []byte, u unit) (event.Time, bool) {
	if u == unitAuto {
		return parseTime(b)
	}
	nano, ok := parseNano(b, u)
	if !ok {
		return event.Time(maxEpoch), u <= unitNano && isNumber(b) && b[0] != '-' // far in the future
	}
	return event.Time(floorDiv(nano, 1e6)), true
}

func floorDiv(a, b int64) int64 {
	if a < 0 && a%b != 0 {
		return a/b - 1
	}
	return a / b
}

// parseNano reads a time in a unit as nanoseconds since 1970. Years after 2262 are not read.
func parseNano(b []byte, u unit) (int64, bool) {
	switch {
	case u == unitCLF:
		return parseCLF(b)
	case u == unitGin:
		return parseGin(b)
	case len(b) > 4 && b[4] == '-':
		seconds, nano, ok := parseInstant(b)
		return seconds*1e9 + nano, ok && seconds < maxSeconds && seconds > -maxSeconds
	case u == unitAuto:
		t, ok := parseEpoch(b)
		return int64(t) * 1e6, ok && t < maxSeconds*1000 && t > -maxSeconds*1000
	}
	return parseEpochIn(b, int64(u.factor()*1e6))
}

// parseEpochIn reads a number of units of so many nanoseconds.
func parseEpochIn(b []byte, unit int64) (int64, bool) {
	i, whole := 0, int64(0)
	for ; i < len(b) && isDigit(b[i]); i++ {
		if whole > (math.MaxInt64-9)/10 {
			return 0, false
		}
		whole = whole*10 + int64(b[i]-'0')
	}
	if i == 0 || leadingZero(b) || i < len(b) && b[i] != '.' {
		f, ok := slowFloat(b)
		f *= float64(unit)
		return int64(f), ok && math.Abs(f) < math.MaxInt64/2
	}
	if whole > math.MaxInt64/unit-1 {
		return 0, false
	}
	nano, rest, ok := fraction(b[i:])
	return whole*unit + nano/(1e9/unit), ok && len(rest) == 0
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// parseCLF reads 26/Nov/2026:14:00:00.123 +0000: the time of the common log format. HAProxy adds the fraction and leaves the
// zone out, which then is UTC.
func parseCLF(b []byte) (int64, bool) {
	if len(b) < len("26/Nov/2026:14:00:00") || b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || b[17] != ':' {
		return 0, false
	}
	month := bytes.Index([]byte(months), b[3:6])
	if month < 0 || month%3 != 0 {
		return 0, false
	}
	seconds, ok := civil(two(b[7:])*100+two(b[9:]), month/3+1, two(b), b[12:])
	nano, rest, ok2 := fraction(b[20:])
	offset := 0
	if len(rest) > 0 && rest[0] == ' ' {
		var ok3 bool
		offset, ok3 = zoneOffset(rest[1:])
		ok2 = ok2 && ok3
	} else if len(rest) > 0 {
		return 0, false
	}
	return (seconds-int64(offset))*1e9 + nano, ok && ok2 && seconds < maxSeconds-86400
}

// parseGin reads 2026/11/26 - 14:00:00.
func parseGin(b []byte) (int64, bool) {
	if len(b) != len("2026/11/26 - 14:00:00") || b[4] != '/' || b[7] != '/' || string(b[10:13]) != " - " || b[15] != ':' || b[18] != ':' {
		return 0, false
	}
	seconds, ok := civil(two(b)*100+two(b[2:]), two(b[5:]), two(b[8:]), b[13:])
	return seconds * 1e9, ok && seconds < maxSeconds
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

// parseRFC3339 reads 2026-11-22T10:00:00.123Z.
func parseRFC3339(b []byte) (event.Time, bool) {
	seconds, nano, ok := parseInstant(b)
	return event.Time(seconds*1000 + nano/1e6), ok
}

// parseInstant reads RFC 3339 as seconds since 1970 and nanoseconds. The T may be a t or a space, the offset may lack its
// colon, and a leap second counts as the first second of the next minute, as it does in Unix time.
func parseInstant(b []byte) (seconds, nano int64, ok bool) {
	if len(b) < len("2006-01-02T15:04:05Z") {
		return 0, 0, false
	}
	if b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, 0, false
	}
	seconds, ok = civil(two(b)*100+two(b[2:]), two(b[5:]), two(b[8:]), b[11:])
	if !ok {
		return 0, 0, false
	}
	nano, rest, ok := fraction(b[19:])
	if !ok {
		return 0, 0, false
	}
	offset, ok := zoneOffset(rest)
	return seconds - int64(offset), nano, ok
}

// civil returns the seconds since 1970 of a date and the hh:mm:ss that clock starts with.
func civil(year, month, day int, clock []byte) (int64, bool) {
	hour, minute, second := two(clock), two(clock[3:]), two(clock[6:])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60 {
		return 0, false
	}
	return days(year, month, day)*86400 + int64(hour*3600+minute*60+second), true
}

// two reads two digits; the result is far below 0 when they are none.
func two(b []byte) int {
	tens, ones := b[0]-'0', b[1]-'0'
	if tens > 9 || ones > 9 {
		return -1 << 20
	}
	return int(tens)*10 + int(ones)
}

func fraction(b []byte) (nano int64, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, true
	}
	b = b[1:]
	n, scale := 0, int64(100_000_000)
	for n < len(b) && isDigit(b[n]) {
		nano += int64(b[n]-'0') * scale
		scale /= 10
		n++
	}
	return nano, b[n:], n > 0
}

// zoneOffset reads Z, ±hh:mm or ±hhmm as seconds east of UTC.
func zoneOffset(b []byte) (seconds int, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	if len(b) != 5 && (len(b) != 6 || b[3] != ':') || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hour, minute := two(b[1:]), two(b[len(b)-2:])
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
