package keyed

import (
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/ingest"
)

// benchEvents decodes n lines of the steady traffic of 100,000 clients, and returns them with the JSON.
func benchEvents(tb testing.TB, n int) (events []event.Event, json []byte) {
	g, err := traffic.NewSteady(traffic.SteadyConfig{Clients: 100_000, Seed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	d := ingest.NewDecoder(ingest.Options{})
	d.Begin(event.Partition{Topic: "raw"})
	for i := range n {
		before := len(json)
		json, _ = g.Append(json, event.Time(1_790_000_000_000+i/100))
		d.Add(int64(i), json[before:])
	}
	b, _ := d.Take()
	return b.Events, json
}

// benchSizes are events in one record: a batch of the source spread over twelve partitions, and a larger one.
var benchSizes = map[string]int{"100": 100, "1000": 1000}

func BenchmarkEncode(b *testing.B) {
	for name, n := range benchSizes {
		events, json := benchEvents(b, n)
		b.Run(name, func(b *testing.B) {
			e, h := NewEncoder(false), header()
			var value []byte
			for b.Loop() {
				e.Begin()
				for i := range events {
					e.Add(&events[i], 1)
				}
				value, _ = e.Append(value[:0], &h)
			}
			per := float64(n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/per, "ns/event")
			b.ReportMetric(float64(len(json))/per, "json-B/event")
			b.ReportMetric(float64(len(value))/per, "B/event")
			z, _ := zstd.NewWriter(nil)
			b.ReportMetric(float64(len(z.EncodeAll(value, nil)))/per, "zstd-B/event")
			b.ReportMetric(float64(len(z.EncodeAll(json, nil)))/per, "json-zstd-B/event")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, n := range benchSizes {
		events, _ := benchEvents(b, n)
		b.Run(name, func(b *testing.B) {
			value := encode(b, NewEncoder(false), header(), events)
			d := NewDecoder(Options{})
			b.ReportAllocs()
			for b.Loop() {
				run, err := d.Decode(0, value)
				if err != nil {
					b.Fatal(err)
				}
				run.Batch.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
		})
	}
}
