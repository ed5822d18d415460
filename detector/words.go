package detector

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gatewatch/gatewatch/detector/event"
)

// number writes v for people: thousands separated, fractions only where they matter.
func number(v float64) string {
	if v != math.Trunc(v) && math.Abs(v) < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// approximate writes a finding's value, with its error when it has one.
func approximate(f finding) string {
	if f.err == 0 {
		return number(f.value)
	}
	return fmt.Sprintf("≈ %s ± %.2g %%", number(f.value), 100*f.err)
}

// shortDuration writes d as rules do: 90s, 1m, 24h, 7d.
func shortDuration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 && (u.name != "d" || d > 24*time.Hour) {
			return strconv.Itoa(int(d/u.unit)) + u.name
		}
	}
	return d.String()
}

// longDuration writes d for people, rounded to what matters: 1 minute, 36 hours, 2 hours 5 minutes.
func longDuration(d time.Duration) string {
	units := []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}, {time.Millisecond, "millisecond"}}
	for i, u := range units {
		n := int(d / u.unit)
		if n == 0 {
			continue
		}
		text := count(n, u.name)
		if i+1 < len(units) && (u.name != "second" || n < 2) {
			if rest := int((d - time.Duration(n)*u.unit) / units[i+1].unit); rest > 0 && n < 10 {
				text += " " + count(rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 seconds"
}

// over begins the summary of an alert that is closed, of an episode that lasted for d.
func over(d time.Duration) string {
	if d < time.Millisecond {
		return "Over: "
	}
	return "Over after " + longDuration(d) + ": "
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// bytes writes a size in the unit that suits it.
func byteSize(n float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.size {
			return strconv.FormatFloat(n/u.size, 'f', 1, 64) + " " + u.name
		}
	}
	return number(n) + " bytes"
}

// plural names the values of a field in a sentence.
func plural(f event.Field) string {
	switch f.Kind() {
	case event.Country:
		return "countries"
	case event.City:
		return "cities"
	case event.SourceIP:
		return "addresses"
	}
	return singular(f) + "s"
}

// singular names one value of a field in a sentence.
func singular(f event.Field) string {
	switch f.Kind() {
	case event.PathParam:
		return "object"
	case event.SourceIP:
		return "address"
	case event.ASN:
		return "network"
	case event.ClientID:
		return "client"
	case event.TokenID:
		return "token"
	case event.Scopes:
		return "scope"
	}
	return strings.ReplaceAll(f.String(), "_", " ")
}

// maxName is how many bytes of a value are kept to tell people.
const maxName = 64

// shortName is what a value is called where people read it, on terminals too: what the caller chose must not steer one. It is a
// copy, because the text is a part of an event's memory.
func shortName(text string) string {
	return strings.Clone(strings.Map(printable, text[:min(len(text), maxName)]))
}

// shortText is [shortName] for what may be longer: ids of entities, routes, what a contract allows.
func shortText(text string) string { return strings.Map(printable, clip(text)) }

func shortTexts(list []string) []string {
	short := make([]string, len(list))
	for i, text := range list {
		short[i] = shortText(text)
	}
	return short
}

// printable replaces what steers a terminal or, as the marks that turn the direction of writing do, a reader's eye.
func printable(r rune) rune {
	if !unicode.IsGraphic(r) {
		return unicode.ReplacementChar
	}
	return r
}
