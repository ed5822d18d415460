package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/kafka"
)

func TestCompression(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		produce(t, c, topic, 1, 1000*i, 1000, kgo.ProducerBatchCompression(codec))
	}
	p := start(t, config(c), newRecorder())
	p.untilValues(t, 1000*len(codecs))
	p.end(t)
	p.check(t, 1000*len(codecs))
}

// The marker of a transaction takes an offset, and what was aborted takes some too: both must be got past, unseen.
func TestTransactions(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(topic))
	must(t, err)
	defer client.Close()
	want := map[string]bool{}
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		must(t, client.BeginTransaction())
		for j := range 10 {
			value := fmt.Sprint(i, "-", j)
			want[value] = bool(end)
			must(t, client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
		}
		must(t, client.EndTransaction(t.Context(), end))
	}
	p := start(t, config(c), newRecorder())
	partition := event.Partition{Topic: topic}
	p.until(t, "the end of the partition", func() bool { return p.next[partition] == 44 })
	p.end(t)
	p.check(t, 20)
	for value, committed := range want {
		if came := p.values[value] == 1; came != committed {
			t.Errorf("record %s: came %v, committed %v", value, came, committed)
		}
	}
	if len(p.rejected) > 0 {
		t.Errorf("rejected: %v", p.rejected)
	}
}

// Batches of records that do not fit the memory they may take, as they are or unpacked, are got past and reported.
func TestGiantsAreSkipped(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "10000000"}))
	produce(t, c, topic, 1, 0, 10)
	giant := &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte("x"), 1_000_000)}
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression()} {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(5_000_000))
		must(t, err)
		must(t, client.ProduceSync(t.Context(), giant).FirstErr())
		client.Close()
	}
	produce(t, c, topic, 1, 10, 10)
	conf := config(c)
	conf.FetchBytes, conf.MaxFetchBytes = 4<<10, 16<<10
	p := start(t, conf, newRecorder())
	p.untilValues(t, 20)
	p.end(t)
	p.check(t, 20)
	if len(p.rejected) != 2 {
		t.Fatalf("rejected: %+v", p.rejected)
	}
	for i, r := range p.rejected {
		if r.Reason != ingest.TooLarge || r.Offset != int64(10+i) || r.Partition.Topic != topic || r.Size == 0 {
			t.Errorf("rejected: %+v", r)
		}
	}
}

func TestDeletedRecordsAreCounted(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	produce(t, c, topic, 1, 0, 10)
	r := newRecorder()
	p := start(t, config(c), r)
	p.untilValues(t, 10)
	must(t, p.Commit(t.Context(), p.positions()))
	p.end(t)
	produce(t, c, topic, 1, 10, 90)
	must(t, c.DeleteRecords(topic, 0, 50))

	registry := prometheus.NewRegistry()
	s, err := kafka.New(kafka.Options{
		Config: config(c), NewDecoder: func() kafka.Decoder { return &plain{} }, Registerer: registry, Log: slog.New(slog.NewTextHandler(p.log, nil)),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r = newRecorder()
	done := make(chan error)
	go func() { done <- s.Run(ctx, tolerant{r}) }()
	r.untilValues(t, 50)
	r.until(t, "the end", func() bool { return len(r.caughtUp) == 1 })
	const metrics = `
# HELP gatewatch_kafka_lag_records Records not read yet.
# TYPE gatewatch_kafka_lag_records gauge
gatewatch_kafka_lag_records{partition="0",topic="telemetry"} 0
# HELP gatewatch_kafka_offset_gap_records_total Records that were deleted before they were read.
# TYPE gatewatch_kafka_offset_gap_records_total counter
gatewatch_kafka_offset_gap_records_total{partition="0",topic="telemetry"} 40
# HELP gatewatch_kafka_offset_resets_total Times that reading began again at the earliest record because the wanted one was gone.
# TYPE gatewatch_kafka_offset_resets_total counter
gatewatch_kafka_offset_resets_total 1
# HELP gatewatch_kafka_records_total Records read.
# TYPE gatewatch_kafka_records_total counter
gatewatch_kafka_records_total{partition="0",topic="telemetry"} 50
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(metrics), "gatewatch_kafka_lag_records",
		"gatewatch_kafka_offset_gap_records_total", "gatewatch_kafka_offset_resets_total", "gatewatch_kafka_records_total"); err != nil {
		t.Error(err)
	}
	cancel()
	must(t, <-done)
	r.check(t, 50)
	if n := p.log.count("deleted before they were read"); n != 1 {
		t.Errorf("logged %d times that records are gone", n)
	}
}

// tolerant allows for a gap at the beginning.
type tolerant struct{ *recorder }

func (r tolerant) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	any := map[event.Partition]int64{}
	for p := range next {
		any[p] = -1
	}
	return r.recorder.Assigned(ctx, any)
}

func TestPoisonHarmsOnlyItself(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	must(t, err)
	defer client.Close()
	good := func(id int) string {
		return fmt.Sprintf(`{"time":"2026-11-22T10:00:00Z","client_id":"c","method":"GET","path":"/","status":200,"request_id":"%d"}`, id)
	}
	for i, value := range []string{good(0), "{", "", good(3), "\xff\xfe", strings.Repeat("[", 100_000), `{"time":1}`, good(7)} {
		record := kgo.StringRecord(value)
		if i == 2 {
			record.Value = nil
		}
		must(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	r := newRecorder()
	s, err := kafka.New(kafka.Options{Config: config(c), NewDecoder: func() kafka.Decoder { return ingest.NewDecoder(ingest.Options{}) }})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, cloning{r}) }()
	r.until(t, "everything", func() bool { return r.next[event.Partition{Topic: topic}] == 8 })
	cancel()
	must(t, <-done)
	r.check(t, 3)
	offsets := ""
	for _, x := range r.rejected {
		offsets += fmt.Sprint(x.Offset, " ")
	}
	if offsets != "1 2 4 5 6 " {
		t.Errorf("rejected offsets %s: %+v", offsets, r.rejected)
	}
}

// What a mapping takes from keys and headers comes with each record.
func TestKeysAndHeadersBecomeFields(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	must(t, err)
	defer client.Close()
	for i := range 5 {
		must(t, client.ProduceSync(t.Context(), &kgo.Record{
			Key: []byte(fmt.Sprint(i)), Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("y")}, {Key: "tenant", Value: []byte(fmt.Sprint("t", i))}},
			Value: []byte(`{"time":"2026-11-22T10:00:00Z","method":"GET","path":"/","status":200}`),
		}).FirstErr())
	}
	options := ingest.Options{Format: "canonical", Mapping: accesslog.Mapping{"request_id": {{Path: "$key"}}, "client_id": {{Path: "$header.tenant"}}}}
	r := newRecorder()
	s, err := kafka.New(kafka.Options{Config: config(c), NewDecoder: func() kafka.Decoder { return ingest.NewDecoder(options) }})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, cloning{r}) }()
	r.until(t, "everything", func() bool { return r.next[event.Partition{Topic: topic}] == 5 })
	cancel()
	must(t, <-done)
	r.check(t, 5)
	for i := range 5 {
		if r.values[fmt.Sprint(i)] != 1 {
			t.Errorf("no event has the key %d: %v", i, r.values)
		}
	}
}

// cloning keeps strings beyond the life of their batch.
type cloning struct{ *recorder }

func (r cloning) Receive(ctx context.Context, b *event.Batch, rejected []ingest.Rejected) error {
	for i := range b.Events {
		b.Events[i].RequestID = strings.Clone(b.Events[i].RequestID)
	}
	return r.recorder.Receive(ctx, b, rejected)
}
