package sinks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// watcher is a sink that takes blind spots too.
type watcher struct {
	deliveries [][]string
	refuse     bool // blind spots
}

func (w *watcher) Name() string                { return "watcher" }
func (w *watcher) Close(context.Context) error { return nil }

func (w *watcher) Deliver(_ context.Context, batch []*alert.Alert) error {
	kind := []string{"alerts"}
	for _, a := range batch {
		kind = append(kind, a.ID)
	}
	w.deliveries = append(w.deliveries, kind)
	return nil
}

func (w *watcher) DeliverBlindSpots(_ context.Context, batch []*alert.BlindSpot) error {
	if w.refuse {
		return sinks.RefuseAll(len(batch), errors.New("no such table"))
	}
	kind := []string{"blind spots"}
	for _, b := range batch {
		if b.EmittedAt == nil {
			return errors.New("no time of delivery")
		}
		kind = append(kind, b.ID)
	}
	w.deliveries = append(w.deliveries, kind)
	return nil
}

func blindSpot(id string) sinks.Record {
	return sinks.Record{BlindSpot: &alert.BlindSpot{Schema: 1, ID: id, Version: 1, Cause: alert.Lag}}
}

func mixed() []sinks.Record {
	return []sinks.Record{record("a", 1), record("b", 1), blindSpot("x"), blindSpot("y"), record("c", 1), blindSpot("z")}
}

func TestBlindSpotsGoToSinksThatTakeThem(t *testing.T) {
	for name, outbox := range map[string]sinks.Outbox{"with an outbox": sinktest.NewOutbox(), "in memory": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, k := &watcher{}, &taker{name: "k"}
				q := newQueue(t, sinks.Options{}, w, k)
				f, given := q.Attach(outbox), mixed()
				through := enqueue(t, f, given)
				must(t, f.Drain(t.Context()))
				expect(t, "deliveries", w.deliveries, [][]string{
					{"alerts", "a", "b"}, {"blind spots", "x", "y"}, {"alerts", "c"}, {"blind spots", "z"},
				})
				expect(t, "the other's alerts", [][]int{k.numbers("a"), k.numbers("b"), k.numbers("c"), k.numbers("x")}, [][]int{{1}, {1}, {1}, nil})
				expect(t, "acknowledged", f.Acknowledged(), through)
				expect(t, "the shared record", given[2].BlindSpot.EmittedAt, (*alert.Time)(nil))
				if outbox != nil {
					expect(t, "settled", outbox.Settled(), map[string]uint64{"watcher": through, "k": through})
				}
				must(t, q.Close(t.Context()))
			})
		})
	}
}

func TestRefusedBlindSpotsHoldNoAlertUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dead := &watcher{refuse: true}, &buried{}
		q := newQueue(t, sinks.Options{DeadLetters: dead}, w)
		f := q.Attach(sinktest.NewOutbox())
		enqueue(t, f, mixed())
		must(t, f.Drain(t.Context()))
		expect(t, "deliveries", w.deliveries, [][]string{{"alerts", "a", "b"}, {"alerts", "c"}})
		var letters []string
		for _, l := range dead.letters {
			letters = append(letters, l.BlindSpot.ID+": "+l.Reason)
		}
		expect(t, "dead letters", letters, []string{"x: no such table", "y: no such table", "z: no such table"})
		must(t, q.Close(t.Context()))
	})
}
