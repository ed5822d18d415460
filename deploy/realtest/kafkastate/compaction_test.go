package kafkastate

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	store "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// The broker compacts the partition while it is in use, and what is left says the same.
func TestCompaction(t *testing.T) {
	topic := unused(t)
	s := open(t, topic)
	configure(t, topic, map[string]string{
		"segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "1", "segment.ms": "500",
	})
	k, err := inspect(limited(t), s)
	must(t, err)
	steps := func(n int) {
		for range n {
			must(t, k.checkpointStep(limited(t), s))
			must(t, k.outboxStep(limited(t), s))
		}
	}
	steps(120)
	ctx := limited(t)
	for most, now := int64(0), size(t, ctx, topic); now > most/2; now = size(t, ctx, topic) {
		most = max(most, now)
		steps(1) // an append is what closes a segment
		select {
		case <-ctx.Done():
			t.Fatalf("not compacted: %d bytes at most, %d now", most, now)
		case <-time.After(100 * time.Millisecond):
		}
	}
	must(t, s.Close())
	for range 2 {
		s = open(t, topic)
		got, err := inspect(limited(t), s)
		must(t, err)
		if got.checkpoint != k.checkpoint || got.last != k.last || got.settled != k.settled || got.trimmed != k.trimmed {
			t.Fatalf("written were %+v, found %+v", k, got)
		}
		steps(10)
	}
}

func client(t *testing.T) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker.Plain()))
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func configure(t *testing.T, topic string, config map[string]string) {
	t.Helper()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for name, value := range config {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, kmsg.StringPtr(value)
		resource.Configs = append(resource.Configs, c)
	}
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(limited(t), client(t))
	must(t, err)
	if e := response.Resources[0]; e.ErrorCode != 0 {
		t.Fatalf("configure %s: error %d %v", topic, e.ErrorCode, *e.ErrorMessage)
	}
}

// size returns the bytes that the broker keeps of partition 1.
func size(t *testing.T, ctx context.Context, topic string) int64 {
	t.Helper()
	response, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(ctx, client(t))
	must(t, err)
	for _, dir := range response.Dirs {
		for _, described := range dir.Topics {
			for _, p := range described.Partitions {
				if described.Topic == topic && p.Partition == 1 {
					return p.Size
				}
			}
		}
	}
	t.Fatal("the broker does not know the partition")
	return 0
}

// TLS and SASL are those of the source.
func TestSecured(t *testing.T) {
	o := options(broker.SASLOverTLS(), unused(t))
	o.Connection.TLS = connection.TLS{Enabled: true, CAFile: broker.CAFile()}
	for _, mechanism := range []string{connection.Plain, connection.ScramSHA256, connection.ScramSHA512} {
		o.Connection.SASL = connection.SASL{Mechanism: mechanism, Username: realtest.User, Password: realtest.Password}
		topic, err := store.OpenTopic(limited(t), o)
		must(t, err)
		s, err := topic.Open(limited(t), 0)
		must(t, err)
		must(t, s.Append(limited(t), []state.Entry{entry(s.Last() + 1)}))
		must(t, s.Close())
		topic.Close()
	}
	o.Connection.SASL.Password = "wrong"
	if topic, err := store.OpenTopic(limited(t), o); err == nil {
		topic.Close()
		t.Error("a wrong password was accepted")
	} else if connection.Advice(err) == "" {
		t.Errorf("no advice for %v", err)
	}
}
