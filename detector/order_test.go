package detector

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

const orderRules = `
rules:
  - {id: ids, title: t, detect: distinct, by: client_id, count: path.id, window: 10s, limit: 8}
  - {id: flood, title: t, detect: rate, by: client_id, window: 5s, limit: 12}
  - {id: places, title: t, detect: simultaneous, by: client_id, across: country, window: 20s, alternations: 4}
  - {id: travel, title: t, detect: travel, by: [client_id, source_ip]}
`

// TestInterleavingDoesNotMatter delivers the same three partitions, with late, leaping and duplicate times in them, cut and
// interleaved at random. The alerts, their order included, must always be the same.
func TestInterleavingDoesNotMatter(t *testing.T) {
	inputs := make([][]event.Event, 3)
	for i := range inputs {
		inputs[i] = disorderly(uint64(i), 4000)
	}
	var want []*alert.Alert
	for seed := range uint64(12) {
		got := interleave(t, seed, inputs)
		if seed == 0 {
			if want = got; len(want) < 50 {
				t.Fatalf("only %d alerts: the test is too easy", len(want))
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("interleaving %d gives other alerts (-first +this):\n%.3000s", seed, diff)
		}
	}
}

func disorderly(seed uint64, n int) []event.Event {
	r := rand.New(rand.NewPCG(seed, 3))
	names := []string{"London", "Paris", "Tokyo"}
	at := event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	events := make([]event.Event, n)
	for i := range events {
		at += event.Time(r.IntN(120))
		t := at - event.Time(r.IntN(1500))
		switch r.IntN(300) {
		case 0:
			t -= event.Time(r.IntN(30_000)) // late
		case 1:
			t += 3600_000 // wrong clock
		}
		place := places[names[r.IntN(len(names))]]
		events[i] = event.Event{
			Time: t, Offset: int64(i), ClientID: fmt.Sprint("client-", r.IntN(12)), Method: "GET", Route: "/users/{id}",
			Path: fmt.Sprint("/users/", r.IntN(40)), Status: 200, SourceIP: place.ip, IPText: place.ip.String(), Geo: place.geo,
		}
	}
	return events
}

func interleave(t *testing.T, seed uint64, inputs [][]event.Event) (alerts []*alert.Alert) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	e := New(parseRules(t, []byte(orderRules)), Options{Disorder: 2 * time.Second, Lanes: 1 << r.IntN(7), Workers: 1 + r.IntN(4), Seed: seed})
	next := make([]int, len(inputs))
	for i := range inputs {
		e.Assign(event.Partition{Topic: "t", ID: int32(i)})
	}
	for {
		var open []int
		for i := range inputs {
			if next[i] < len(inputs[i]) {
				open = append(open, i)
			}
		}
		if len(open) == 0 {
			return append(alerts, e.Flush()...)
		}
		i := open[r.IntN(len(open))]
		from := next[i]
		next[i] = min(from+1+r.IntN(300), len(inputs[i]))
		b := &event.Batch{Partition: event.Partition{Topic: "t", ID: int32(i)}, First: int64(from), Next: int64(next[i]), Events: inputs[i][from:next[i]]}
		e.Push(e.NewPreparer().Prepare(b))
		if r.IntN(3) > 0 {
			alerts = append(alerts, e.Advance()...)
		}
	}
}
