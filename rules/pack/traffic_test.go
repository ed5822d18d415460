package pack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/privacy"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// TestSyntheticTraffic runs the shipped rules over generated traffic: every kind of misuse must be found, and nothing else.
func TestSyntheticTraffic(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		config := traffic.DefaultConfig()
		config.Seed = seed
		if seed > 1 {
			// All episodes in an hour rather than in ten minutes, so that none of them is compressed.
			config.Duration, config.Rate, config.Clients = time.Hour, 20, 2000
		}
		generator, err := traffic.New(config)
		if err != nil {
			t.Fatal(err)
		}
		alerts := detect(t, generator)
		judge(t, seed, alerts, generator.Labels())
	}
}

func detect(t *testing.T, g *traffic.Generator) []*alert.Alert {
	t.Helper()
	set, err := rules.LoadFS(pack.Files())
	if err != nil {
		t.Fatal(err)
	}
	databases, err := geo.OpenBytes(geoip.Databases(), geo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decoder := ingest.NewDecoder(ingest.Options{Geo: databases, Now: func() time.Time { return g.End() }})
	engine := detector.New(set, detector.DefaultOptions())
	preparer := engine.NewPreparer()
	decoder.Begin(event.Partition{Topic: "traffic"})
	var alerts []*alert.Alert
	push := func() {
		batch, rejected := decoder.Take()
		for _, r := range rejected {
			t.Fatalf("rejected: %v", r)
		}
		engine.Push(preparer.Prepare(batch))
		alerts = append(alerts, engine.Advance()...)
	}
	offset := int64(0)
	var line []byte
	for r := range g.All() {
		line = traffic.AppendJSON(line[:0], r)
		decoder.Add(offset, line)
		if offset++; offset%1000 == 0 {
			push()
		}
	}
	push()
	return append(alerts, engine.Flush()...)
}

// judge compares the alerts with the truth.
func judge(t *testing.T, seed uint64, alerts []*alert.Alert, labels []traffic.Label) {
	t.Helper()
	found := make([]bool, len(labels))
	for _, a := range alerts {
		justified := false
		accused := "somebody ordinary"
		for i := range labels {
			switch l := &labels[i]; {
			case !l.Matches(a, shown):
			case l.Misuse:
				justified, found[i] = true, true
			default:
				accused = l.Kind
			}
		}
		if !justified && a.State == alert.Open {
			t.Errorf("seed %d: %s accuses %s: %s", seed, a.Rule.ID, accused, a.Summary)
		}
	}
	for i, l := range labels {
		if l.Misuse && !found[i] {
			t.Errorf("seed %d: %s by %s %s was not found", seed, l.Kind, l.Entity.Kind, l.Entity.ID)
		}
	}
}

// shown writes a token as gatewatch does.
func shown(field, value string) string {
	if field != "token_id" {
		return value
	}
	mac := hmac.New(sha256.New, []byte(privacy.DefaultKey))
	mac.Write([]byte(value))
	return "tok_" + hex.EncodeToString(mac.Sum(nil))[:32]
}
