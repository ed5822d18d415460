package sinks

import (
	"context"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// discard takes everything.
type discard struct{}

func (discard) Name() string                                  { return "discard" }
func (discard) Deliver(context.Context, []*alert.Alert) error { return nil }
func (discard) Close(context.Context) error                   { return nil }

// One alert with ten events of evidence through a queue with one sink that costs nothing.
func BenchmarkQueue(b *testing.B) {
	q, err := NewQueue(Options{Destinations: []Destination{{Sink: discard{}, Config: DefaultConfig()}}, DeadLetters: &graveyard{}})
	if err != nil {
		b.Fatal(err)
	}
	feed := q.Attach(nil)
	batch := make([]*alert.Alert, 500)
	for i := range batch {
		batch[i] = &alert.Alert{
			ID: alert.NewID("r", alert.Entity{ID: "e"}, alert.Time(i)), Version: 1,
			Evidence: make([]alert.Evidence, alert.MaxEvidence),
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := feed.Enqueue(b.Context(), Alerts(batch[n:n+1])); err != nil {
			b.Fatal(err)
		}
		n = (n + 1) % len(batch)
	}
	if err := q.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
