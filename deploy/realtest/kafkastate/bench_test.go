package kafkastate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	store "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

const chunkSize = 128 << 10

// chunks are 100 MB of bases, as dense as an engine's.
func chunks() []state.Chunk {
	all := make([]state.Chunk, 100_000_000/chunkSize)
	for i := range all {
		all[i] = state.Chunk{Lane: i * 64 / len(all), Base: true, Data: statetest.Dense(uint64(i), chunkSize)}
	}
	return all
}

func commitAll(b testing.TB, s *store.Store, number uint64, all []state.Chunk) {
	for _, c := range all {
		must(b, s.Stage(b.Context(), c))
	}
	m := state.Manifest{Number: number, Lanes: 64}
	for lane := range 64 {
		m.Bases = append(m.Bases, lane)
	}
	must(b, s.Commit(b.Context(), m))
}

func BenchmarkCommit100MB(b *testing.B) {
	s, all, number := open(b, unused(b)+fmt.Sprint(rand.Uint64())), chunks(), uint64(0)
	b.SetBytes(100_000_000)
	for b.Loop() {
		number++
		commitAll(b, s, number, all)
	}
}

// BenchmarkOpenAndLoad100MB takes a partition over whose log has the valid 100 MB and as much that is obsolete.
func BenchmarkOpenAndLoad100MB(b *testing.B) {
	topic := unused(b) + fmt.Sprint(rand.Uint64())
	s, all := open(b, topic), chunks()
	commitAll(b, s, 1, all)
	commitAll(b, s, 2, all)
	b.SetBytes(100_000_000)
	var opened, loaded time.Duration
	for b.Loop() {
		begun := time.Now()
		s = open(b, topic)
		opened += time.Since(begun)
		begun = time.Now()
		n := 0
		_, _, err := state.Read(b.Context(), s, func(c state.Chunk) error { n += len(c.Data); return nil })
		must(b, err)
		if n < 99_000_000 {
			b.Fatalf("loaded %d bytes", n)
		}
		loaded += time.Since(begun)
	}
	b.ReportMetric(opened.Seconds()/float64(b.N), "s/open")
	b.ReportMetric(loaded.Seconds()/float64(b.N), "s/load")
}

func BenchmarkAppend(b *testing.B) {
	for _, staging := range []bool{false, true} {
		b.Run(fmt.Sprintf("staging=%v", staging), func(b *testing.B) {
			s := open(b, unused(b)+fmt.Sprint(rand.Uint64()))
			stop := make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				all := chunks()
				for number := uint64(1); staging; number++ {
					for range 20 { // 2.5 MB every 100 ms
						select {
						case <-stop:
							return
						default:
							s.Stage(b.Context(), all[0])
						}
					}
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						s.Commit(b.Context(), state.Manifest{Number: number, Lanes: 64, Bases: []int{0}})
					}
				}
			}()
			var times []time.Duration
			data := statetest.Dense(1, 2000)
			for b.Loop() {
				begun := time.Now()
				must(b, s.Append(b.Context(), []state.Entry{{Sequence: s.Last() + 1, Data: data}}))
				times = append(times, time.Since(begun))
			}
			close(stop)
			<-done
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
		})
	}
}
