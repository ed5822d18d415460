package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/event"
	world "github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
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

func newTestDecoder(tb testing.TB, opts Options) *Decoder {
	opts.Now = now
	if opts.Geo == nil {
		opts.Geo = worldDatabases(tb)
	}
	d := NewDecoder(opts)
	d.Begin(event.Partition{Topic: "calls", ID: 3})
	return d
}

func TestDecoder(t *testing.T) {
	d := newTestDecoder(t, Options{})
	if b, rejected := d.Take(); b != nil || rejected != nil {
		t.Errorf("nothing added, but taken %v %v", b, rejected)
	}
	value := []byte(line)
	d.Add(10, value)
	clear(value) // the caller uses it again
	d.Add(11, []byte("["+line+","+line+"]"))
	d.Add(15, []byte(`{"status":"abc"}`))
	if events, bytes := d.Len(); events != 3 || bytes != 3*len(line)+3+16 {
		t.Errorf("Len() = %d, %d", events, bytes)
	}
	b, rejected := d.Take()
	if b.Partition != (event.Partition{Topic: "calls", ID: 3}) || b.First != 10 || b.Next != 16 || len(b.Events) != 3 {
		t.Fatalf("batch %+v", b)
	}
	for i, want := range []struct {
		offset int64
		index  int32
	}{{10, 0}, {11, 0}, {11, 1}} {
		if e := b.Events[i]; e.Offset != want.offset || e.Index != want.index {
			t.Errorf("event %d is %d of record %d", i, e.Index, e.Offset)
		}
	}
	e := b.Events[2]
	if e.Route != "/users/{id}/profile" || e.Geo == nil || e.Geo.City != "London" || e.IPText != "11.0.3.142" || len(e.TokenID) != 36 || e.ClientID != "mobile-app" {
		t.Errorf("event %+v", e)
	}
	want := Rejected{
		Partition: event.Partition{Topic: "calls", ID: 3}, Offset: 15, Reason: MissingField, Detail: "time is missing", Size: 16,
		Excerpt: `{"status":"xxx"}`,
	}
	if len(rejected) != 1 || rejected[0] != want {
		t.Errorf("rejected %+v, want %+v", rejected, want)
	}
	if events, bytes := d.Len(); events != 0 || bytes != 0 {
		t.Errorf("Len() after Take = %d, %d", events, bytes)
	}
}

func TestBatchWithoutEventsTellsThatItsRecordsAreDone(t *testing.T) {
	d := newTestDecoder(t, Options{})
	d.Add(7, []byte("?"))
	if b, rejected := d.Take(); b == nil || b.First != 7 || b.Next != 8 || len(b.Events) != 0 || len(rejected) != 1 {
		t.Errorf("batch %+v, rejected %+v", b, rejected)
	}
}

func TestBeginDropsWhatWasNotTaken(t *testing.T) {
	d := newTestDecoder(t, Options{})
	d.Add(1, []byte(line))
	d.Add(2, []byte("?"))
	d.Begin(event.Partition{Topic: "other"})
	d.Add(5, []byte(line))
	if b, rejected := d.Take(); b.Partition.Topic != "other" || b.First != 5 || len(b.Events) != 1 || len(rejected) != 0 {
		t.Errorf("batch %+v, rejected %+v", b, rejected)
	}
}

func TestRouteOfTheLogStays(t *testing.T) {
	d := newTestDecoder(t, Options{})
	d.Add(1, []byte(strings.Replace(line, `"method"`, `"route":"/u/:name/*","method"`, 1)))
	if b, _ := d.Take(); b.Events[0].Route != "/u/:name/*" {
		t.Errorf("route %s", b.Events[0].Route)
	}
}

func TestMemoryIsUsedAgainOnlyAfterRelease(t *testing.T) {
	d := newTestDecoder(t, Options{})
	seen := map[*event.Batch]bool{}
	var held []*event.Batch
	for i := range 50 {
		d.Add(int64(i), []byte(strings.ReplaceAll(line, "mobile-app", fmt.Sprintf("client-%d", i))))
		b, _ := d.Take()
		if seen[b] {
			t.Fatal("a batch was handed out that nobody had released")
		}
		seen[b] = true
		held = append(held, b)
	}
	for i, b := range held {
		if want := fmt.Sprintf("client-%d", i); b.Events[0].ClientID != want {
			t.Errorf("client %s, want %s", b.Events[0].ClientID, want)
		}
	}
	for _, b := range held {
		b.Release()
		b.Release() // once too often does no harm
	}
	again := 0
	for i := range 50 {
		d.Add(int64(i), []byte(line))
		if b, _ := d.Take(); seen[b] {
			again++
			seen[b] = false
		}
	}
	if again != maxFree {
		t.Errorf("%d batches were used again, want %d", again, maxFree)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := newTestDecoder(t, Options{Metrics: NewMetrics(registry)})
	d.Add(1, []byte(line))
	d.Add(2, []byte("["+strings.Repeat("{},", 1999)+"{}]"))
	d.Add(3, []byte(strings.Replace(line, `12.3`, `"soon"`, 1)))
	d.Take()
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		for _, m := range f.Metric {
			series++
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			if v := m.Counter.GetValue(); v != 0 {
				got[name] = v
			}
		}
	}
	want := map[string]float64{
		"gatewatch_decode_records_total": 3, "gatewatch_decode_events_total": 2, "gatewatch_decode_bytes_total": float64(2*len(line) + 2 + 6001),
		"gatewatch_decode_rejected_total missing_field": 2000, "gatewatch_decode_ignored_fields_total duration_ms": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := 4 + len(Reasons()) + len(accesslog.Fields()); series != want {
		t.Errorf("%d series, want %d from the start", series, want)
	}
}

// TestNoTokenComesOut puts a token in every place of records, good and bad.
func TestNoTokenComesOut(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N-XgL0n3I9PlFUP0THsR8U"
	var records []string
	for _, secret := range []string{token, "Bearer " + token, "opaque-7Hq2Zx91LmWq"} {
		object := map[string]any{}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		object["token_id"] = secret
		for _, name := range append(accesslog.Fields(), "unknown") {
			for _, value := range []any{
				secret, "/a/" + secret + "/b?q=" + secret, []string{secret}, map[string]any{secret: secret, "a": secret, "authorization": secret},
				map[string]any{"deep": []any{secret}},
			} {
				changed := maps.Clone(object)
				changed[name] = value
				b, _ := json.Marshal(changed)
				escaped := strings.ReplaceAll(strings.ReplaceAll(string(b), "eyJ", `\u0065yJ`), "opaque", `op\u0061que`)
				records = append(records, string(b), escaped, string(b[:len(b)-1]), string(b[1:]), "["+string(b)+",{"+escaped+"]", string(b)+secret)
			}
			changed := maps.Clone(object)
			changed[secret] = changed[name]
			delete(changed, name)
			b, _ := json.Marshal(changed)
			records = append(records, string(b))
		}
		records = append(records, secret, `"`+secret+`"`, "GET /"+secret)
	}
	d := newTestDecoder(t, Options{Query: accesslog.NewQueryNames("q")})
	for i, record := range records {
		d.Add(int64(i), []byte(record))
		b, rejected := d.Take()
		if len(b.Events)+len(rejected) == 0 {
			t.Errorf("nothing came of %s", record)
		}
		out := fmt.Sprintf("%+v %+v", b.Events, rejected)
		for _, part := range []string{"eyJ", "dozjgNryP4J3jVmNHl0w5N", "7Hq2Zx91LmWq"} {
			if strings.Contains(out, part) {
				t.Fatalf("%s\nof the token came out of\n%s\nas\n%s", part, record, out)
			}
		}
		b.Release()
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"format":           func(c *Config) { c.Format = "xml" },
		"max_future":       func(c *Config) { c.MaxFuture = 0 },
		"max_record_bytes": func(c *Config) { c.MaxRecordBytes = 1 },
		"pseudonymise":     func(c *Config) { c.Pseudonymise = []string{"subject", "path"} },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := DefaultConfig()
	c.Pseudonymise = []string{"subject", "session_id", "source_ip"}
	d := newTestDecoder(t, c.Options())
	d.Add(1, []byte(line))
	b, _ := d.Take()
	e := b.Events[0]
	if e.Subject[:4] != "sub_" || e.SessionID[:4] != "ses_" || e.IPText[:3] != "ip_" || !e.SourceIP.IsValid() || e.Geo.City != "London" {
		t.Errorf("event %+v", e)
	}
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	d := newTestDecoder(t, Options{})
	value := []byte(line)
	run := func() {
		for i := range 500 {
			d.Add(int64(i), value)
		}
		b, _ := d.Take()
		b.Release()
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 1 {
		t.Errorf("%v allocations for a batch of 500 events", n)
	}
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
