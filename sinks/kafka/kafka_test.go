package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	"github.com/gatewatch/gatewatch/sinks/ocsf/ocsftest"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/goccy/go-yaml"
	kafka "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const (
	topic     = "alerts"
	blindness = "alerts-blind-spots"
)

// broker is a Kafka cluster in this process that can be broken.
type broker struct {
	*kfake.Cluster
	state  atomic.Int32
	reader []kgo.Opt // how records are read back
}

const (
	up = iota
	down
	hanging
)

func newBroker(t *testing.T, opts ...kfake.Opt) *broker {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	must(t, err)
	t.Cleanup(c.Close)
	b := &broker{Cluster: c}
	c.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		switch b.state.Load() {
		case down:
			return nil, errors.New("down"), true
		case hanging:
			return nil, nil, true
		}
		return nil, nil, false
	})
	return b
}

func (b *broker) become(state int32) func(*testing.T) func() {
	return func(*testing.T) func() {
		b.state.Store(state)
		return func() { b.state.Store(up) }
	}
}

// config is that of a sink to the broker.
func (b *broker) config() Config {
	c := DefaultConfig()
	c.Brokers, c.Topic = b.ListenAddrs(), topic
	return c
}

func open(t *testing.T, c Config) *Sink {
	t.Helper()
	must(t, c.Validate())
	s, err := New(c)
	must(t, err)
	s.client.Transport.(*kafka.Transport).MetadataTTL = 300 * time.Millisecond // what is repaired shows at once
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// records reads a topic from the beginning to its present end with another client.
func (b *broker) records(t *testing.T, topic string) (all []*kgo.Record) {
	t.Helper()
	want := int64(0)
	for _, p := range b.PartitionInfos(topic) {
		want += p.HighWatermark
	}
	client, err := kgo.NewClient(append(b.reader, kgo.SeedBrokers(b.ListenAddrs()...), kgo.ConsumeTopics(topic))...)
	must(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for int64(len(all)) < want {
		fetches := client.PollFetches(ctx)
		must(t, fetches.Err())
		all = append(all, fetches.Records()...)
	}
	return all
}

func (b *broker) alerts(t *testing.T) (all []*alert.Alert) {
	t.Helper()
	for _, r := range b.records(t, topic) {
		var a alert.Alert
		must(t, json.Unmarshal(r.Value, &a))
		all = append(all, &a)
	}
	return all
}

// findings returns the alerts that findings stand for.
func (b *broker) findings(t *testing.T) (all []*alert.Alert) {
	t.Helper()
	for _, r := range b.records(t, topic) {
		a, err := ocsftest.Read(r.Value)
		must(t, err)
		if string(r.Key) != a.ID || string(r.Headers[1].Value) != "ocsf.detection_finding/1.8.0" {
			t.Errorf("record with key %s and headers %v", r.Key, r.Headers)
		}
		all = append(all, a)
	}
	return all
}

func (b *broker) blindSpots(t *testing.T) (all []*alert.BlindSpot) {
	t.Helper()
	for _, r := range b.records(t, blindness) {
		var spot alert.BlindSpot
		must(t, json.Unmarshal(r.Value, &spot))
		if string(r.Key) != spot.ID || string(r.Headers[1].Value) != "gatewatch.blind_spot/1" {
			t.Errorf("record with key %s and headers %v", r.Key, r.Headers)
		}
		all = append(all, &spot)
	}
	return all
}

func TestConformance(t *testing.T) {
	for name, partitions := range map[string]int32{"one partition": 1, "five partitions": 5} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				b := newBroker(t, kfake.SeedTopics(partitions, topic, blindness))
				return sinktest.Target{
					Open:     func(t *testing.T) sinks.Sink { return open(t, b.config()) },
					Received: b.alerts, BlindSpots: b.blindSpots,
					Down: b.become(down),
					Hang: b.become(hanging),
				}
			})
		})
	}
}

func TestConformanceOfFindings(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		b := newBroker(t, kfake.SeedTopics(2, topic, blindness))
		c := b.config()
		c.Format = ocsf.OCSF
		return sinktest.Target{
			Open:     func(t *testing.T) sinks.Sink { return open(t, c) },
			Received: b.findings, BlindSpots: b.blindSpots,
			Down: b.become(down),
			Hang: b.become(hanging),
		}
	})
}

// With credentials, which must show nowhere.
func TestConformanceWithSASL(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Target {
		b := secured(t)
		return sinktest.Target{
			Open:     func(t *testing.T) sinks.Sink { return open(t, withPassword(b.config(), "correct-horse")) },
			Received: b.alerts, BlindSpots: b.blindSpots,
			Down:    b.become(down),
			Hang:    b.become(hanging),
			Secrets: []string{"correct-horse"},
		}
	})
}

func secured(t *testing.T) *broker {
	t.Helper()
	b := newBroker(t, kfake.SeedTopics(2, topic, blindness), kfake.EnableSASL(), kfake.Superuser("PLAIN", "gatewatch", "correct-horse"))
	b.reader = append(b.reader, kgo.SASL(plain.Auth{User: "gatewatch", Pass: "correct-horse"}.AsMechanism()))
	return b
}

func withPassword(c Config, password string) Config {
	c.SASL = connection.SASL{Mechanism: connection.Plain, Username: "gatewatch", Password: password}
	return c
}

func TestWrongPasswordMayBeRepaired(t *testing.T) {
	b := secured(t)
	s := open(t, withPassword(b.config(), "hunter2"))
	err := s.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), b.ListenAddrs()[0]) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error: %v", err)
	}
	if refused := (*sinks.RefusedError)(nil); errors.As(s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}), &refused) {
		t.Error("wrong credentials taken for wrong alerts")
	}
	must(t, s.Close(t.Context()))
}

// The broker of these tests hangs up on wrong credentials; a real one says so.
func TestErrorsCarryAdvice(t *testing.T) {
	err := advise(fmt.Errorf("metadata: %w", kafka.SASLAuthenticationFailed))
	if !errors.Is(err, kafka.SASLAuthenticationFailed) || !strings.Contains(err.Error(), "sasl.password") {
		t.Errorf("error: %v", err)
	}
	if err := advise(kafka.LeaderNotAvailable); err != kafka.LeaderNotAvailable {
		t.Errorf("advice on what passes by itself: %v", err)
	}
}

func TestRecord(t *testing.T) {
	b := newBroker(t, kfake.SeedTopics(3, topic))
	s := open(t, b.config())
	a := sinktest.Alert(1, 1)
	must(t, s.Deliver(t.Context(), []*alert.Alert{a}))
	r := b.records(t, topic)[0]
	if string(r.Key) != a.ID {
		t.Errorf("key %q, want %q", r.Key, a.ID)
	}
	if !r.Timestamp.Equal(a.EmittedAt.Std()) {
		t.Errorf("time %v, want %v", r.Timestamp, a.EmittedAt)
	}
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["content-type"] != "application/json" || headers["schema"] != "gatewatch.alert/1" {
		t.Errorf("headers %v", headers)
	}
	if want := kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(r, 3); r.Partition != int32(want) {
		t.Errorf("partition %d, want %d as the Java client chooses", r.Partition, want)
	}
}

func TestMissingTopic(t *testing.T) {
	b := newBroker(t)
	s := open(t, b.config())
	err := s.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), topic) || !strings.Contains(err.Error(), b.ListenAddrs()[0]) {
		t.Errorf("the error must name topic and broker: %v", err)
	}
	if refused := (*sinks.RefusedError)(nil); errors.As(s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}), &refused) {
		t.Error("a topic that may still come is no refusal")
	}
	c := b.config()
	c.Partitions = 4
	s = open(t, c)
	awaitNoError(t, func() error { return s.Check(t.Context()) })
	if n := len(b.PartitionInfos(topic)); n != 4 {
		t.Errorf("%d partitions, want 4", n)
	}
}

// awaitNoError repeats what needs the metadata of the cluster to spread.
func awaitNoError(t *testing.T, f func() error) {
	t.Helper()
	err := f()
	for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
		err = f()
	}
	must(t, err)
}

func TestLargeAlertIsRefusedAlone(t *testing.T) {
	b := newBroker(t, kfake.SeedTopics(2, topic))
	c := b.config()
	c.MaxBatchBytes = 4000
	s := open(t, c)
	large := sinktest.Alert(2, 1)
	large.Summary = strings.Repeat("x", 4000)
	err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), large, sinktest.Alert(3, 1), sinktest.Alert(4, 1)})
	refusedOnly(t, err, 1)
	if n := len(b.alerts(t)); n != 3 {
		t.Errorf("%d alerts arrived, want 3", n)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	b := newBroker(t, kfake.SeedTopics(1, topic))
	var sizes []int
	b.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		sizes = append(sizes, len(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records))
		return nil, nil, false
	})
	c := b.config()
	c.MaxBatchBytes, c.Compression = 5000, "none"
	var batch []*alert.Alert
	for n := range 20 {
		batch = append(batch, sinktest.Alert(n, 1))
	}
	must(t, open(t, c).Deliver(t.Context(), batch))
	if len(sizes) < 2 || slices.Max(sizes) > c.MaxBatchBytes || slices.Max(sizes) < c.MaxBatchBytes/2 {
		t.Errorf("sizes of requests: %v, limit %d", sizes, c.MaxBatchBytes)
	}
	if n := len(b.alerts(t)); n != len(batch) {
		t.Errorf("%d alerts arrived, want %d", n, len(batch))
	}
}

func refusedOnly(t *testing.T, err error, index int) {
	t.Helper()
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Refused) != 1 || partial.Refused[0].Index != index || len(partial.Retry) > 0 {
		t.Errorf("%#v, want a refusal of %d", err, index)
	}
}

func TestTopicOfBlindSpots(t *testing.T) {
	batch := []*alert.BlindSpot{sinktest.BlindSpot(1, 1), sinktest.BlindSpot(2, 1)}
	b := newBroker(t, kfake.SeedTopics(1, topic))
	c := b.config()
	c.BlindSpotsTopic = "-"
	must(t, open(t, c).DeliverBlindSpots(t.Context(), batch))

	c.BlindSpotsTopic = ""
	refused, ok := errors.AsType[*sinks.PartialError](open(t, c).DeliverBlindSpots(t.Context(), batch))
	if !ok || len(refused.Refused) != 2 || !strings.Contains(refused.Error(), "blind_spots_topic") {
		t.Errorf("without the topic: %v", refused)
	}

	c.Partitions = 3
	must(t, open(t, c).DeliverBlindSpots(t.Context(), batch))
	if n := len(b.PartitionInfos(blindness)); n != 3 {
		t.Errorf("%d partitions, want 3", n)
	}
	if n := len(b.blindSpots(t)); n != 2 {
		t.Errorf("%d blind spots, want 2", n)
	}
	c.BlindSpotsTopic = c.Topic
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "blind_spots_topic") {
		t.Errorf("one topic for both: %v", err)
	}
}

// The topic takes smaller messages than the sink was told.
func TestBrokerRefusesWhatIsTooLarge(t *testing.T) {
	b := newBroker(t)
	limit := "2000"
	must(t, b.CreateTopic(topic, 1, map[string]string{"max.message.bytes": limit}))
	c := b.config()
	c.Compression = "none"
	large := sinktest.Alert(2, 1)
	large.Summary = strings.Repeat("x", 4000)
	s := open(t, c)
	refusedOnly(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), large, sinktest.Alert(3, 1)}), 1)
	if n := len(b.alerts(t)); n != 2 {
		t.Errorf("%d alerts arrived, want 2", n)
	}
}

// One of three partitions fails once: only its alerts come again.
func TestPartitionThatFailsIsRetriedAlone(t *testing.T) {
	b := newBroker(t, kfake.SeedTopics(3, topic))
	failed := int32(-1)
	b.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		produce := req.(*kmsg.ProduceRequest)
		failed = produce.Topics[0].Partitions[0].Partition
		return refuseProduce(produce, kerr.NotEnoughReplicas), nil, true
	})
	s := open(t, b.config())
	var batch []*alert.Alert
	for n := range 30 {
		batch = append(batch, sinktest.Alert(n, 1))
	}
	err := s.Deliver(t.Context(), batch)
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Refused) > 0 || len(partial.Retry) == 0 || len(partial.Retry) == 30 {
		t.Fatalf("%#v, want some to retry", err)
	}
	var again []*alert.Alert
	for _, i := range partial.Retry {
		again = append(again, batch[i])
	}
	must(t, s.Deliver(t.Context(), again))
	seen := map[string]int{}
	for _, r := range b.records(t, topic) {
		seen[string(r.Key)]++
		if retried := contains(again, string(r.Key)); retried != (r.Partition == failed) {
			t.Errorf("alert %s in partition %d: retried is %v", r.Key, r.Partition, retried)
		}
	}
	for _, a := range batch {
		if seen[a.ID] != 1 {
			t.Errorf("alert %s arrived %d times", a.ID, seen[a.ID])
		}
	}
}

func contains(alerts []*alert.Alert, id string) bool {
	for _, a := range alerts {
		if a.ID == id {
			return true
		}
	}
	return false
}

func refuseProduce(req *kmsg.ProduceRequest, reason *kerr.Error) *kmsg.ProduceResponse {
	answer := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, reason.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}

func TestConfig(t *testing.T) {
	must(t, DefaultConfig().Validate())
	c := DefaultConfig()
	text := "brokers: [a:1, b:2]\nsasl: {mechanism: PLAIN, username: u, password: p}\ntopic: misuse\n"
	must(t, yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()))
	if len(c.Brokers) != 2 || c.SASL.Username != "u" || c.Topic != "misuse" || c.ClientID != DefaultConfig().ClientID {
		t.Errorf("decoded %+v", c)
	}
	err := Config{Partitions: -1, Format: "cef", Compression: "rar"}.Validate()
	for _, want := range []string{"brokers", "topic", "partitions", "max_batch_bytes", `"cef"`, `"rar"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
