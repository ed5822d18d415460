package accesslog

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// BenchmarkFormats measures a record of each format, found by content.
func BenchmarkFormats(b *testing.B) {
	files, err := fs.Glob(Samples(), "*/*")
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range files {
		record, err := fs.ReadFile(Samples(), file)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.ReplaceAll(file, "/", "_"), func(b *testing.B) {
			var mem arena.Arena
			d := newTestDecoder()
			events := d.Decode(record, &mem, nil)
			if len(events) == 0 {
				b.Skip("no events")
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; n%200 == 0 {
					mem.Reset()
				}
				events = d.Decode(record, &mem, events[:0])
			}
			reportPerEvent(b, events, len(record))
		})
	}
}

func reportPerEvent(b *testing.B, events []event.Event, bytes int) {
	perEvent := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(events))
	b.ReportMetric(perEvent, "ns/event")
	b.ReportMetric(float64(bytes)/float64(len(events)), "B/event")
}
