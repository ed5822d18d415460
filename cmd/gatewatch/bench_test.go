package main

import (
	"fmt"
	"io"
	"testing"

	"github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/ingest/geo"
)

// BenchmarkShippedRules measures decoding, matching and applying with the shipped rules, one core, as gatewatch bench does.
func BenchmarkShippedRules(b *testing.B) {
	for _, clients := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d_clients", clients), func(b *testing.B) {
			set, err := loadRules(nil)
			if err != nil {
				b.Fatal(err)
			}
			databases, err := geo.OpenBytes(geoip.Databases(), geo.Options{})
			if err != nil {
				b.Fatal(err)
			}
			decoding := newDecoding(defaultConfig().Ingest.Config, databases, nil)
			decoding.use(set)
			var r benchResult
			for b.Loop() {
				f := benchFlags{clients: clients, events: 1_000_000, density: 200_000}
				if err := benchEngine(b.Context(), f, set, decoding, &r, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(r.DecodeNS, "decode-ns/event")
			b.ReportMetric(r.MatchNS, "match-ns/event")
			b.ReportMetric(r.ApplyNS, "apply-ns/event")
			b.ReportMetric(r.BytesPerClient, "B/client")
			b.ReportMetric(0, "ns/op") // of two million events: says nothing
		})
	}
}
