package kafka_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// keyedRecorder is a receiver of a keyed topic that keeps the offsets of its runs, and stops at the last one.
type keyedRecorder struct {
	next     int64
	runs     []int64
	events   []string
	rejected []ingest.Rejected
	last     int64
	stop     context.CancelFunc
	gaps     bool
}

func (r *keyedRecorder) Assigned(_ context.Context, next map[event.Partition]int64) error {
	for p := range next {
		next[p] = 1 // the receiver knows better
	}
	r.next = 1
	return nil
}

func (r *keyedRecorder) Receive(_ context.Context, p *keyed.Portion) error {
	r.gaps = r.gaps || p.First != r.next || p.Partition != event.Partition{Topic: topic}
	r.next = p.Next
	for _, run := range p.Runs {
		r.runs = append(r.runs, run.Offset)
		for _, e := range run.Batch.Events {
			r.events = append(r.events, e.ClientID+e.IPText)
		}
		run.Batch.Release()
	}
	r.rejected = append(r.rejected, p.Rejected...)
	if p.Next > r.last {
		r.stop()
	}
	return nil
}

func (r *keyedRecorder) CaughtUp(event.Partition, time.Time)      {}
func (r *keyedRecorder) Revoked(context.Context, event.Partition) {}

func TestKeyedTopic(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	must(t, err)
	defer client.Close()
	e := keyed.NewEncoder(false)
	h := keyed.Header{Shape: keyed.Shape{Kinds: []string{"client_id"}, Inputs: []keyed.Input{{Topic: "raw", Partitions: 1}}, Partitions: 1},
		Partition: event.Partition{Topic: "raw"}, From: 1, Next: 2}
	for i := range 6 {
		e.Begin()
		if i != 4 { // a mark
			e.Add(&event.Event{Offset: 1, ClientID: "c"}, 1)
		}
		value, err := e.Append(nil, &h)
		must(t, err)
		if i == 2 {
			value = []byte("{}")
		}
		must(t, client.ProduceSync(t.Context(), &kgo.Record{Value: value}).FirstErr())
	}
	s, err := kafka.New(kafka.Options{Config: config(c), NewKeyed: func() *keyed.Decoder { return keyed.NewDecoder(keyed.Options{}) }})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := &keyedRecorder{last: 5, stop: cancel}
	must(t, s.RunKeyed(ctx, r))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatal("the last record did not come")
	}
	if !slices.Equal(r.runs, []int64{1, 3, 4, 5}) || len(r.events) != 3 || r.gaps {
		t.Errorf("runs %v, events %v, gaps: %v", r.runs, r.events, r.gaps)
	}
	if len(r.rejected) != 1 || r.rejected[0].Offset != 2 || r.rejected[0].Reason != ingest.UnknownForm {
		t.Errorf("rejected %+v", r.rejected)
	}
}
