package opensearch

import (
	"log/slog"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

type noLetters struct{ t *testing.T }

// Bury implements [sinks.DeadLetters].
func (n noLetters) Bury(letters []sinks.Letter) error {
	n.t.Errorf("dead letters: %s", letters[0].Reason)
	return nil
}

// A node that dies in the middle of deliveries and comes back has everything, each version once. It runs before the others, whose
// indices would make the node slow to come back.
func TestKilledInTheMiddle(t *testing.T) {
	c, config := streams(), sinks.DefaultConfig()
	config.BatchAlerts, config.BatchDelay, config.RetryMin, config.RetryMax = 20, 0, 10*time.Millisecond, 100*time.Millisecond
	q, err := sinks.NewQueue(sinks.Options{
		Destinations: []sinks.Destination{{Sink: open(t, c, node.Address()), Config: config}},
		DeadLetters:  noLetters{t}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	const n = 600
	var batch []*alert.Alert
	for i := range n {
		batch = append(batch, sinktest.Alert(i, 1))
	}
	feed := q.Attach(nil)
	_, err = feed.Enqueue(t.Context(), sinks.Alerts(batch))
	must(t, err)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for feed.Acknowledged() < n/10 {
		<-tick.C
	}
	must(t, node.Kill())
	if got := feed.Acknowledged(); got == n {
		t.Fatal("all was delivered before the node died")
	}
	must(t, node.Start())
	must(t, q.Close(t.Context()))
	seen := map[string]int{}
	for _, a := range alerts(t, c.Index, everything) {
		seen[sinktest.Key(a)]++
	}
	if len(seen) != n {
		t.Errorf("%d different alerts arrived, want %d", len(seen), n)
	}
	for key, times := range seen {
		if times > 1 {
			t.Errorf("%s is there %d times", key, times)
		}
	}
}
