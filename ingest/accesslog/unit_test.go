package accesslog

import (
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

func TestTimesInUnits(t *testing.T) {
	const noon = event.Time(1795348800000) // 2026-11-22T12:00:00Z
	for _, c := range []struct {
		text string
		unit unit
		want event.Time // 0: none
	}{
		{"1795348800", unitSecond, noon}, {"1795348800.25", unitSecond, noon + 250}, {"1795348800.0009", unitSecond, noon}, {"1.7953488e9", unitSecond, noon},
		{"1795348800000", unitMilli, noon}, {"1795348800000.7", unitMilli, noon}, {"1795348800000250", unitMicro, noon}, {"1795348800001250", unitMicro, noon + 1},
		{"1795348800000999999", unitNano, noon}, {"1795348800001000000", unitNano, noon + 1}, {"2026-11-22T13:00:00.5+01:00", unitNano, noon + 500},
		{"99999999999999999999", unitNano, maxEpoch}, {"1e400", unitSecond, maxEpoch}, {"-1.5", unitSecond, -1500}, {"-1e400", unitSecond, 0},
		{"22/Nov/2026:12:00:00 +0000", unitCLF, noon}, {"22/Nov/2026:13:00:00 +0100", unitCLF, noon}, {"22/Nov/2026:12:00:00.123", unitCLF, noon + 123},
		{"22/Nov/2026:12:00:00", unitCLF, noon}, {"22/nov/2026:12:00:00 +0000", unitCLF, 0}, {"31/Nov/2026:12:00:00 +0000", unitCLF, 0}, {"22/Nov/2026:12:00:00 UTC", unitCLF, 0},
		{"22/Nov/2026:12:00:00+0000", unitCLF, 0}, {"1795348800", unitCLF, 0}, {"22/Nov/2999:12:00:00 +0000", unitCLF, 32500267200000},
		{"2026/11/22 - 12:00:00", unitGin, noon}, {"2026/11/22 12:00:00", unitGin, 0}, {"2026/13/22 - 12:00:00", unitGin, 0},
		{"", unitSecond, 0}, {"x", unitMilli, 0}, {"1.", unitSecond, 0}, {"01", unitSecond, 0}, {"2026-11-22T12:00:00", unitNano, 0},
	} {
		got, ok := parseTimeIn([]byte(c.text), c.unit)
		if ok != (c.want != 0) || ok && got != c.want {
			t.Errorf("%s in unit %d: %d %v, want %d", c.text, c.unit, got, ok, c.want)
		}
	}
}

func TestDurationsAndSizesInUnits(t *testing.T) {
	for _, c := range []struct {
		source, value string
		duration      float64
		size          int64
	}{
		{"duration_ms: {path: x, unit: s}", "0.1", 100, 0},
		{"duration_ms: {path: x, unit: s}", "-1", 0, 0},
		{"duration_ms: {path: x, unit: us}", `"1500"`, 1.5, 0},
		{"duration_ms: {path: x, unit: ns}", "564849", 0.564849, 0},
		{"duration_ms: {path: x, unit: text}", `"1m2.5s"`, 62500, 0},
		{"duration_ms: {path: x, unit: text}", `"4.5µs"`, 0.0045, 0},
		{"duration_ms: {path: x, since: y, unit: s}", `"1795341600.5","y":1795341600.25`, 250, 0},
		{"duration_ms: {path: x, since: y}", `"2026-11-22T10:00:01.5Z","y":"2026-11-22T12:00:01+02:00"`, 500, 0},
		{"duration_ms: {path: x, since: y}", `"2026-11-22T10:00:01Z","y":"2026-11-22T10:00:02Z"`, 0, 0},
		{"response_bytes: {path: x, unit: kb}", "1.5", 0, 1500},
		{"response_bytes: {path: x, unit: kib}", `"2"`, 0, 2048},
		{"response_bytes: {path: x, unit: bytes}", "7", 0, 7},
	} {
		var mem arena.Arena
		d := New(Options{Now: testNow, Format: Canonical, Mapping: mappingOf(t, c.source)})
		record := `{"time":"2026-11-22T10:00:00Z","method":"GET","path":"/","status":200,"client_id":"c","x":` + c.value + "}"
		events := d.Decode([]byte(record), &mem, nil)
		if len(events) != 1 || events[0].DurationMS != c.duration || events[0].ResponseSize != c.size {
			t.Errorf("%s of %s: %+v, want %v and %d", c.source, c.value, events, c.duration, c.size)
		}
	}
}
