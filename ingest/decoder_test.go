package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	world "github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/ingest/geo"
)

const line = `{"time":"2026-11-22T10:00:00.123Z","environment":"prod","api":"orders-v1","client_id":"mobile-app","subject":"user-123",` +
	`"token_id":"0b9c6a1e-6f0a-4c55-9d3a-2f6f4b1a7e11","session_id":"s-9","source_ip":"11.0.3.142","method":"GET","path":"/users/42/profile",` +
	`"status":200,"duration_ms":12.3,"request_bytes":0,"response_bytes":512,` +
	`"user_agent":"okhttp/4.12.0","scopes":["profile.read"],"request_id":"r-1f","attributes":{"tier":"gold"}}`

func now() time.Time { return time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC) }

func worldDatabases(tb testing.TB) *geo.Databases {
	db, err := geo.OpenBytes(world.Databases(), geo.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func BenchmarkDecoder(b *testing.B) {
	var lines [][]byte
	for i := range 1000 {
		lines = append(lines, fmt.Appendf(nil, `{"time":"2026-11-22T10:00:%02d.123Z","environment":"prod","api":"orders-v1","client_id":"client-%d","subject":"user-%d",`+
			`"token_id":"0b9c6a1e-6f0a-4c55-9d3a-2f6f4b1a7e%02d","session_id":"s-%d","source_ip":"11.0.3.%d","method":"GET","path":"/users/%d/profile",`+
			`"status":200,"duration_ms":%d.3,"request_bytes":0,"response_bytes":512,`+
			`"user_agent":"okhttp/4.12.0","scopes":["profile.read"],"request_id":"r-%x"}`, i%5, i%50, i, i%100, i, i%250, i*7, i%40, i*12345))
	}
	d := NewDecoder(Options{Geo: worldDatabases(b), Now: now})
	d.Begin(event.Partition{Topic: "t"})
	b.SetBytes(int64(len(lines[0])))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.Add(int64(n), lines[n%1000])
		if n++; n%1000 == 0 {
			batch, rejected := d.Take()
			if len(batch.Events) != 1000 || len(rejected) != 0 {
				b.Fatal(len(batch.Events), rejected)
			}
			batch.Release()
		}
	}
}
