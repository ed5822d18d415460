//go:build unix

package kafka_test

import (
	"context"
	"io"
	"math"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	source "github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/broker"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// BenchmarkClients compares ways to read the records of one partition. An operation is a record; cpu-ns/op is what it costs
// this process. Without settings the broker is in this process, serves records of 400 bytes and is part of the cost. With
// GATEWATCH_BENCH_KAFKA=host:port and GATEWATCH_BENCH_RECORDS=n a real broker is read again and again, whose topic
// gatewatch-bench has n records in partition 0.
func BenchmarkClients(b *testing.B) {
	address, records := benchmarkBroker(b)
	const topic = "gatewatch-bench"
	b.Run("kafka.Reader", func(b *testing.B) {
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{address}, Topic: topic, MaxBytes: 1 << 20, QueueCapacity: 1000})
		defer r.Close()
		defer reportCPU(b)()
		for b.Loop() {
			m, err := r.ReadMessage(b.Context())
			must(b, err)
			if m.Offset == records-1 {
				must(b, r.SetOffset(0))
			}
		}
	})
	b.Run("kafka.Client", func(b *testing.B) {
		c := kafka.Client{Addr: kafka.TCP(address)}
		buf := make([]byte, 1<<12)
		offset, batch := int64(0), kafka.NewRecordReader()
		defer reportCPU(b)()
		for b.Loop() {
			record, err := batch.ReadRecord()
			for err == io.EOF {
				var response *kafka.FetchResponse
				response, err = c.Fetch(b.Context(), &kafka.FetchRequest{
					Topic: topic, Offset: offset % records, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second,
				})
				must(b, err)
				batch = response.Records
				record, err = batch.ReadRecord()
			}
			must(b, err)
			_, err = record.Value.Read(buf)
			must(b, err)
			must(b, record.Value.Close())
			offset = record.Offset + 1
		}
	})
	b.Run("kafka.Conn", func(b *testing.B) {
		c, err := kafka.DialLeader(b.Context(), "tcp", address, topic, 0)
		must(b, err)
		defer c.Close()
		buf := make([]byte, 1<<12)
		_, err = c.Seek(0, io.SeekStart)
		must(b, err)
		batch := c.ReadBatch(1, 1<<20)
		defer reportCPU(b)()
		for b.Loop() {
			_, err := batch.Read(buf)
			for err == io.EOF {
				must(b, batch.Close())
				if batch.Offset() == records {
					_, err = c.Seek(0, io.SeekStart)
					must(b, err)
				}
				batch = c.ReadBatch(1, 1<<20)
				_, err = batch.Read(buf)
			}
			must(b, err)
		}
	})
	b.Run("broker.Conn", func(b *testing.B) {
		config := connection.DefaultConfig()
		config.Brokers = []string{address}
		cluster, err := connection.New(config)
		must(b, err)
		c, err := broker.Open(b.Context(), cluster, address, broker.Options{Timeout: 10 * time.Second, MaxResponse: 64 << 20})
		must(b, err)
		defer c.Close()
		f := broker.Fetch{Topic: topic, MaxBytes: 1 << 20, MaxWait: time.Second}
		defer reportCPU(b)()
		for n := 0; n < b.N; {
			response, err := c.Fetch(f)
			must(b, err)
			for range response.Records() {
				n++
			}
			f.Offset = response.Next % records
		}
	})
}

func benchmarkBroker(b *testing.B) (address string, records int64) {
	if address = os.Getenv("GATEWATCH_BENCH_KAFKA"); address != "" {
		records, err := strconv.ParseInt(os.Getenv("GATEWATCH_BENCH_RECORDS"), 10, 64)
		must(b, err)
		return address, records
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "gatewatch-bench"),
		kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 400, Records: 500}))
	must(b, err)
	b.Cleanup(c.Close)
	return c.ListenAddrs()[0], math.MaxInt64
}

func reportCPU(b *testing.B) (report func()) {
	b.ReportAllocs()
	b.SetBytes(400)
	start := cpu(b)
	return func() { b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op") }
}

// cpu returns the time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSource reads records of 400 bytes from four partitions of a broker in this process, whose work is part of the
// cost, into a decoder that does next to nothing. An operation is a record.
func BenchmarkSource(b *testing.B) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic),
		kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 400, Records: 500}))
	must(b, err)
	defer c.Close()
	r := &counter{want: int64(b.N), done: make(chan struct{})}
	s, err := source.New(source.Options{Config: config(c), NewDecoder: func() source.Decoder { return &idle{} }})
	must(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	defer reportCPU(b)()
	go func() { ended <- s.Run(ctx, r) }()
	<-r.done
	b.StopTimer()
	cancel()
	must(b, <-ended)
}

// counter is a receiver that counts events.
type counter struct {
	want int64
	n    atomic.Int64
	done chan struct{}
	once sync.Once
}

func (c *counter) Assigned(context.Context, map[event.Partition]int64) error { return nil }

func (c *counter) Receive(_ context.Context, b *event.Batch, _ []ingest.Rejected) error {
	if c.n.Add(b.Next-b.First) >= c.want {
		c.once.Do(func() { close(c.done) })
	}
	return nil
}

func (c *counter) CaughtUp(event.Partition, time.Time)      {}
func (c *counter) Revoked(context.Context, event.Partition) {}

// idle is a decoder that counts records as events and makes none.
type idle struct {
	batch   event.Batch
	records int
	bytes   int
}

func (d *idle) Begin(p event.Partition)   { d.batch.Partition = p }
func (d *idle) Add(_ int64, value []byte) { d.records, d.bytes = d.records+1, d.bytes+len(value) }
func (d *idle) Len() (events, bytes int)  { return d.records, d.bytes }
func (d *idle) Take() (*event.Batch, []ingest.Rejected) {
	d.records, d.bytes = 0, 0
	b := d.batch
	return &b, nil
}
