package disk

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

const (
	benchChunk  = 128 << 10
	benchChunks = 200 << 20 / benchChunk
)

// chunks are 200 MB in 64 lanes.
func benchData() []state.Chunk {
	all := make([]state.Chunk, benchChunks)
	for i := range all {
		all[i] = state.Chunk{Lane: i * 64 / benchChunks, Base: true, Data: statetest.Dense(uint64(i), benchChunk)}
	}
	return all
}

func allLanes() (lanes []int) {
	for i := range 64 {
		lanes = append(lanes, i)
	}
	return lanes
}

// BenchmarkCheckpoint200MB stages and commits; cpu-ms counts the work of all goroutines and of the kernel.
func BenchmarkCheckpoint200MB(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	defer s.Close()
	data := benchData()
	b.SetBytes(benchChunks * benchChunk)
	number, before := uint64(0), cpu()
	for b.Loop() {
		for _, c := range data {
			if err := s.Stage(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
		number++
		if err := s.Commit(b.Context(), statetest.Manifest(number, 64, allLanes()...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(s.db.Metrics().DiskSpaceUsage())/(benchChunks*benchChunk), "of-size")
}

func BenchmarkLoad200MB(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	defer s.Close()
	for _, c := range benchData() {
		if err := s.Stage(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Commit(b.Context(), statetest.Manifest(1, 64, allLanes()...)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchChunks * benchChunk)
	before := cpu()
	for b.Loop() {
		if _, _, err := state.Read(b.Context(), s, func(state.Chunk) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkDeltas writes 50 MB of deltas at a time, with bases in turn, over 400 MB of state: what a busy service does.
func BenchmarkDeltas50MB(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	defer s.Close()
	data := benchData()[:400]
	stage := func(c state.Chunk) {
		if err := s.Stage(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 3200 {
		stage(state.Chunk{Lane: i / 50, Base: true, Data: data[i%400].Data})
	}
	if err := s.Commit(b.Context(), statetest.Manifest(1, 64, allLanes()...)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(400 * benchChunk)
	number, before, written := uint64(1), cpu(), s.metrics.seen
	for b.Loop() {
		number++
		bases := []int{int(number*2) % 64, int(number*2+1) % 64}
		for i, c := range data {
			lane := i * 64 / 400
			stage(state.Chunk{Lane: lane, Base: lane == bases[0] || lane == bases[1], Data: c.Data})
		}
		if err := s.Commit(b.Context(), statetest.Manifest(number, 64, bases...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(s.metrics.seen-written)/float64(b.N)/(400*benchChunk), "written/staged")
}

// BenchmarkAppend is one alert made durable, alone and while 200 MB are staged.
func BenchmarkAppend(b *testing.B) {
	for _, staging := range []bool{false, true} {
		b.Run(fmt.Sprintf("staging=%v", staging), func(b *testing.B) {
			s := mustOpen(b, Options{Dir: b.TempDir()})
			defer s.Close()
			stop, stopped := make(chan struct{}), make(chan struct{})
			if staging {
				go stageUntil(b, s, stop, stopped)
			} else {
				close(stopped)
			}
			alert, sequence, worst := statetest.Dense(1, 2000), uint64(0), time.Duration(0)
			for b.Loop() {
				sequence++
				began := time.Now()
				if err := s.Append(b.Context(), []state.Entry{{Sequence: sequence, Data: alert}}); err != nil {
					b.Fatal(err)
				}
				worst = max(worst, time.Since(began))
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
			close(stop)
			<-stopped
		})
	}
}

func stageUntil(b *testing.B, s *Store, stop, stopped chan struct{}) {
	defer close(stopped)
	data := benchData()
	for number := uint64(1); ; number++ {
		for _, c := range data {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Stage(b.Context(), c); err != nil {
				b.Error(err)
				return
			}
		}
		if err := s.Commit(b.Context(), statetest.Manifest(number, 64, allLanes()...)); err != nil {
			b.Error(err)
			return
		}
	}
}

// cpu is the time that the process has used, in user mode and in the kernel.
func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
