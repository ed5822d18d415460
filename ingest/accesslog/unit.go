package accesslog

import "fmt"

// unit is how a number or a time is written.
type unit uint8

const (
	unitAuto   unit = iota // times: RFC 3339 or epoch by size; durations: milliseconds; sizes: bytes
	unitSecond             // also of epochs, like the next three
	unitMilli
	unitMicro
	unitNano
	unitCLF  // 26/Nov/2026:14:00:00 +0000, as in the common log format; without zone: UTC
	unitGin  // 2026/11/26 - 14:00:00, as gin writes; UTC
	unitText // 4.5ms, 1m2s: as Go writes durations
	unitKB   // 1,000 bytes
	unitKiB  // 1,024 bytes
)

var (
	timeUnits     = map[string]unit{"": unitAuto, "auto": unitAuto, "s": unitSecond, "ms": unitMilli, "us": unitMicro, "ns": unitNano, "clf": unitCLF, "gin": unitGin}
	durationUnits = map[string]unit{"": unitMilli, "s": unitSecond, "ms": unitMilli, "us": unitMicro, "ns": unitNano, "text": unitText}
	sizeUnits     = map[string]unit{"": unitAuto, "bytes": unitAuto, "kb": unitKB, "kib": unitKiB}
)

// unitOf returns the unit of a source of a field. Where the duration is the difference of two times, it is theirs.
func unitOf(name string, s Source) (unit, error) {
	units, known := map[string]unit{"": unitAuto}, "none"
	switch fieldOf(name) {
	case fieldTime, fieldIssuedAt, fieldExpiresAt:
		units, known = timeUnits, "auto, s, ms, us, ns, clf, gin"
	case fieldDuration:
		units, known = durationUnits, "s, ms, us, ns, text"
		if s.Since != "" {
			units, known = timeUnits, "auto, s, ms, us, ns, clf, gin"
		}
	case fieldRequestBytes, fieldResponseBytes:
		units, known = sizeUnits, "bytes, kb, kib"
	}
	u, ok := units[s.Unit]
	if !ok {
		return 0, fmt.Errorf("unit %q: known here are %s", s.Unit, known)
	}
	return u, nil
}

// factor is how many milliseconds, or bytes, one of the unit is.
func (u unit) factor() float64 {
	switch u {
	case unitSecond:
		return 1000
	case unitMicro:
		return 1e-3
	case unitNano:
		return 1e-6
	case unitKB:
		return 1000
	case unitKiB:
		return 1024
	}
	return 1
}
