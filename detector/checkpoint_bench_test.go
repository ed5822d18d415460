package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// populated returns an engine that knows so many clients: each a token and an address, every thousandth a client_id. A call
// to go on has n clients make a call each.
func populated(b *testing.B, clients, workers int) (e *Engine, goOn func(n int)) {
	b.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(benchRules)})
	if err != nil {
		b.Fatal(err)
	}
	e = New(set, Options{Disorder: 2 * time.Second, Lanes: 64, Workers: workers, Seed: 1})
	preparer := e.NewPreparer()
	at := event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	const batch = 1024
	events := benchEvents(batch, 1<<24)
	offset, client := int64(0), 0
	call := func() {
		for i := range events {
			c := client % clients
			client++
			events[i].Time, events[i].Offset = at+event.Time(i/100), offset+int64(i)
			events[i].ClientID, events[i].TokenID, events[i].Subject = fmt.Sprint("client-", c%1000), fmt.Sprint("tok_", c), fmt.Sprint("user-", c)
			events[i].IPText = fmt.Sprint("ip-", c)
			events[i].Geo = places[[]string{"London", "Paris", "Tokyo", "New-York"}[c%4]].geo
		}
		at += 10
		e.Push(preparer.Prepare(&event.Batch{First: offset, Next: offset + batch, Events: events}))
		offset += batch
		e.CaughtUp(event.Partition{}, at+3000) // so that everything is applied at once
		e.Advance()
	}
	goOn = func(n int) {
		for ; n > 0; n -= batch {
			call()
		}
	}
	goOn(2 * clients)
	return e, goOn
}

// BenchmarkCheckpoint makes checkpoints of everything there is and of what a twentieth of the clients have changed.
func BenchmarkCheckpoint(b *testing.B) {
	for _, clients := range []int{100_000, 1_000_000} {
		for _, part := range []int{1, 20} {
			b.Run(fmt.Sprintf("%d_clients/every_%d", clients, part), func(b *testing.B) { benchmarkCheckpoint(b, clients, part) })
		}
	}
}

func benchmarkCheckpoint(b *testing.B, clients, part int) {
	e, goOn := populated(b, clients, 1)
	e.Cut()
	e.saveAll()
	collectChunks(b, e)
	var cut, step time.Duration
	bytes, entities := 0, 0
	for _, l := range e.lanes {
		for g := range l.tables {
			entities += l.tables[g].used
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		goOn(clients / part)
		b.StartTimer()
		start := time.Now()
		e.Cut()
		cut = max(cut, time.Since(start))
		for finished := false; !finished; {
			start := time.Now()
			var chunks []Chunk
			var err error
			if chunks, finished, err = e.Save(8192); err != nil {
				b.Fatal(err)
			}
			step = max(step, time.Since(start))
			for _, c := range chunks {
				bytes += len(c.Data)
			}
		}
	}
	b.ReportMetric(float64(cut.Microseconds())/1000, "ms/cut-max")
	b.ReportMetric(float64(step.Microseconds())/1000, "ms/step-max")
	b.ReportMetric(float64(bytes)/float64(b.N)/1e6, "MB/checkpoint")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(entities/part), "ns/entity")
}

func collectChunks(b *testing.B, e *Engine) (all []Chunk) {
	for {
		chunks, finished, err := e.Save(1 << 20)
		if err != nil {
			b.Fatal(err)
		}
		if all = append(all, chunks...); finished {
			return all
		}
	}
}

// BenchmarkRestore restores an engine with all cores.
func BenchmarkRestore(b *testing.B) {
	for _, clients := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%d_clients", clients), func(b *testing.B) {
			e, _ := populated(b, clients, 1)
			cut := e.Cut()
			chunks := collectChunks(b, e)
			set, o := e.Rules(), e.options
			e = nil
			b.ReportAllocs()
			for b.Loop() {
				r, err := Restore(set, o, cut.Meta)
				if err != nil {
					b.Fatal(err)
				}
				for _, c := range chunks {
					if err := r.Add(c); err != nil {
						b.Fatal(err)
					}
				}
				if e, _, err = r.Finish(); err != nil {
					b.Fatal(err)
				}
			}
			_ = e
		})
	}
}
