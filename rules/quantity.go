package rules

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errQuantity = errors.New("no such quantity")

// parseNumber reads a finite decimal number; underscores may group its digits.
func parseNumber(s string) (float64, error) {
	s = strings.ReplaceAll(s, "_", "")
	digits := strings.TrimPrefix(s, "-")
	octal := len(digits) > 1 && digits[0] == '0' && isDigit(digits[1])
	if digits == "" || octal || strings.Trim(digits, "0123456789.eE+-") != "" {
		return 0, errQuantity
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, errQuantity
	}
	return v, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// parseDuration reads Go's durations and days before them: 30s, 1h30m, 7d, 1d12h. Signs are refused.
func parseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if i := strings.IndexByte(s, 'd'); i > 0 {
		n, err := strconv.ParseUint(s[:i], 10, 16)
		if err != nil {
			return 0, errQuantity
		}
		days, s = time.Duration(n)*24*time.Hour, s[i+1:]
		if s == "" {
			return days, nil
		}
	}
	if s == "" || s == "0" || !isDigit(s[0]) && s[0] != '.' {
		return 0, errQuantity
	}
	rest, err := time.ParseDuration(s)
	if err != nil {
		return 0, errQuantity
	}
	return days + rest, nil
}

// formatDuration writes a duration as a rule file does: 90s stays 1m30s, whole hours lose their zeros, 48h is 2d.
func formatDuration(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{ // longer suffixes first
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseSize reads bytes: a plain number, or one with kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024).
func parseSize(s string) (float64, error) {
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			v, err := parseNumber(strings.TrimSpace(number))
			return v * u.bytes, err
		}
	}
	return parseNumber(s)
}

// parseMilliseconds reads a duration as milliseconds; a plain number is milliseconds.
func parseMilliseconds(s string) (float64, error) {
	if v, err := parseNumber(s); err == nil {
		return v, nil
	}
	d, err := parseDuration(s)
	return float64(d) / float64(time.Millisecond), err
}
