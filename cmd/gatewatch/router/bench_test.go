//go:build unix

package router

import (
	"math/bits"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/fixtures/traffic"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/pack"
)

// packedBatches decodes n events of the steady traffic of 100,000 clients in batches of the source.
func packedBatches(tb testing.TB, n int) (all []*event.Batch) {
	g, err := traffic.NewSteady(traffic.SteadyConfig{Clients: 100_000, Seed: 1})
	must(tb, err)
	d := ingest.NewDecoder(ingest.Options{})
	d.Begin(partition0)
	var line []byte
	for i := range n {
		line, _ = g.Append(line[:0], event.Time(1_790_000_000_000+i/100))
		d.Add(int64(i), line)
		if events, _ := d.Len(); events == 1024 || i == n-1 {
			b, _ := d.Take()
			b.Release = nil
			all = append(all, b)
		}
	}
	return all
}

func shipped(tb testing.TB) *rules.Set {
	files, err := rules.ReadFS(pack.Files())
	must(tb, err)
	set, err := rules.Parse(files...)
	must(tb, err)
	return set
}

// BenchmarkSplit is the cost of finding out where an event goes; an operation is an event.
func BenchmarkSplit(b *testing.B) {
	in, batches := benchInput(b)
	copies, kinds, n := 0, 0, 0
	for b.Loop() {
		batch := batches[n/1024%len(batches)]
		if n%1024 == 0 {
			in.split(batch)
			for k := range in.outputs {
				for _, c := range in.outputs[k].copies {
					copies, kinds = copies+1, kinds+bits.OnesCount64(c.kinds)
				}
			}
		}
		n++
	}
	b.ReportMetric(float64(copies)/float64(n), "copies/event")
	b.ReportMetric(float64(kinds)/float64(n), "kinds/event")
}

// BenchmarkRoute is everything behind the decoder, with a broker in this process that is part of the cost; an operation is an
// event, cpu-ns/op is what it costs this process.
func BenchmarkRoute(b *testing.B) {
	in, batches := benchInput(b)
	start, next := cpu(b), int64(0)
	b.ReportAllocs()
	for n := 0; n < b.N; n += 1024 {
		batch := *batches[n/1024%len(batches)]
		shift := next - batch.First
		batch.Events = append([]event.Event(nil), batch.Events...)
		for i := range batch.Events {
			batch.Events[i].Offset += shift
		}
		batch.First, batch.Next = next, batch.Next+shift
		next = batch.Next
		must(b, in.receive(b.Context(), &batch))
	}
	must(b, in.finish(b.Context()))
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}

func benchInput(b *testing.B) (*input, []*event.Batch) {
	c := newCluster(b, kfake.NumBrokers(1), kfake.SeedTopics(12, rawTopic))
	o := options(b, c)
	o.Config.Partitions, o.Rules = 12, shipped(b)
	r, err := New(o)
	must(b, err)
	b.Cleanup(r.Close)
	must(b, r.Open(b.Context()))
	must(b, r.Assigned(b.Context(), map[event.Partition]int64{partition0: 0}))
	in := r.input(partition0)
	in.refresh()
	return in, packedBatches(b, 100*1024)
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
