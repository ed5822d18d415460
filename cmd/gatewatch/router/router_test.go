package router

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/keyed"
)

// journal writes raw records and remembers what should come of them.
type journal struct {
	client *kgo.Client
	want   map[copyOf]bool
	n      int
	offset [3]int64
}

func newJournal(t *testing.T, c *kfake.Cluster) *journal {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(rawTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(client.Close)
	return &journal{client: client, want: map[copyOf]bool{}}
}

// write writes n records, each of one to three calls, and some of none.
func (j *journal) write(t *testing.T, n int) {
	t.Helper()
	d := ingest.NewDecoder(ingest.Options{})
	entities := detector.NewEntities(parse(t, testRules))
	var records []*kgo.Record
	for range n {
		j.n++
		p := int32(j.n % 3)
		value := calls(j.n)
		records = append(records, &kgo.Record{Partition: p, Value: value})
		d.Begin(event.Partition{Topic: rawTopic, ID: p})
		d.Add(j.offset[p], value)
		j.offset[p]++
		b, _ := d.Take()
		for i := range b.Events {
			e := &b.Events[i]
			entities.Of(e, func(kind int, _ string) { j.want[copyOf{p, e.Offset, e.Index, entities.Kinds()[kind]}] = true })
		}
		b.Release()
	}
	must(t, j.client.ProduceSync(t.Context(), records...).FirstErr())
}

func calls(n int) []byte {
	if n%50 == 0 {
		return []byte("bad")
	}
	var all []string
	for i := range 1 + n%3 {
		all = append(all, fmt.Sprintf(`{"time":%d,"client_id":"client-%d","subject":"user-%d","token_id":"token-%d","method":"%s","path":"/users/%d","status":200,"source_ip":"11.0.0.%d"}`,
			1_790_000_000_000+n*10+i, n%17, n%23, n%5, []string{"GET", "POST"}[n%2], n, n%250))
	}
	return []byte("[" + strings.Join(all, ",") + "]")
}

// TestNothingIsLostOrDoubled kills a router, and has another one write what it still held after it was overtaken: before its
// successor has written the same again, or after.
func TestNothingIsLostOrDoubled(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late=", late), func(t *testing.T) {
			c := newCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(3, rawTopic))
			j := newJournal(t, c)
			zombie, successor := start(t, c), start(t, c)
			r := consume(t, c)
			all := func() bool { return len(r.copies) >= len(j.want) }
			owns(t, zombie, successor)
			j.write(t, 150)
			r.until(t, "what both wrote", all)

			zombie.net.shut()
			j.write(t, 600)
			waitFor(t, "the zombie to hold something", func() bool { return zombie.client.BufferedProduceRecords() > 3 })
			zombie.orphan()
			if late {
				r.until(t, "what the successor writes again", all)
			}
			zombie.net.open()
			waitFor(t, "the zombie to write", func() bool { return zombie.client.BufferedProduceRecords() == 0 })
			j.write(t, 60)
			r.until(t, "all", all)

			j.write(t, 600)
			successor.kill()
			j.write(t, 60)
			start(t, c)
			r.until(t, "what was under way at the kill", all)
			r.until(t, "all partitions to be done", func() bool { return len(r.caughtUp) == 12 })
			r.check(t, j.want)
			t.Logf("%d copies; %d records left out, %d events had come before", len(r.copies), r.left, r.again)
		})
	}
}

// owns waits until each instance has a partition.
func owns(t *testing.T, all ...*instance) {
	t.Helper()
	for _, in := range all {
		waitFor(t, "a partition", func() bool {
			in.mu.Lock()
			defer in.mu.Unlock()
			return len(in.owned) > 0
		})
	}
}

// waitFor polls what cannot tell when it changes.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("waiting for ", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// After SIGTERM nothing is written a second time: everything is committed.
func TestEndsWithEverythingCommitted(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(3, rawTopic))
	j := newJournal(t, c)
	a := start(t, c)
	r := consume(t, c)
	j.write(t, 100)
	r.until(t, "something", func() bool { return len(r.copies) > 0 })
	j.write(t, 100)
	r.until(t, "all", func() bool { return len(r.copies) >= len(j.want) })
	a.end()
	start(t, c)
	j.write(t, 50)
	r.until(t, "all", func() bool { return len(r.copies) >= len(j.want) })
	r.check(t, j.want)
	if r.again > 0 || r.left > 0 {
		t.Errorf("%d events came twice, %d records did not fit", r.again, r.left)
	}
}

// direct is a router without a source.
func direct(t *testing.T, change func(*Options)) (*Router, *kfake.Cluster) {
	t.Helper()
	c := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, rawTopic))
	o := options(t, c)
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	must(t, err)
	t.Cleanup(r.Close)
	must(t, r.Open(t.Context()))
	return r, c
}

var partition0 = event.Partition{Topic: rawTopic}

// A raw record that no broker takes, however it is packed, harms only itself.
func TestGiantIsADeadLetter(t *testing.T) {
	kept := &letters{}
	r, c := direct(t, func(o *Options) { o.DeadLetters = kept })
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 2_000_000)
	random.Read(noise)
	b := &event.Batch{Partition: partition0, First: 0, Next: 4}
	for i, agent := range []string{"small", "also small", string(noise), "behind"} {
		b.Events = append(b.Events, event.Event{
			Time: 1_790_000_000_000, Offset: int64(i), ClientID: "c", Method: "POST", Path: "/", Route: "/", Status: 200, UserAgent: agent,
		})
	}
	must(t, r.Assigned(t.Context(), map[event.Partition]int64{partition0: -1}))
	must(t, r.Receive(t.Context(), b, nil))
	reader := consume(t, c)
	reader.until(t, "the others", func() bool { return len(reader.copies) == 3 })
	if len(kept.all) != 1 || kept.all[0].Offset != 2 || kept.all[0].Reason != ingest.TooLarge {
		t.Errorf("dead letters %+v", kept.all)
	}
	waitFor(t, "acknowledgements", func() bool { return r.positions()[partition0] == 4 })
}

func TestChangedNumberOfPartitionsIsAnError(t *testing.T) {
	r, _ := direct(t, nil)
	must(t, r.look(t.Context()))
	request := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = keyedTopic, 5
	request.Topics = append(request.Topics, topic)
	_, err := request.RequestWith(t.Context(), r.client)
	must(t, err)
	if err := r.look(t.Context()); err == nil || !strings.Contains(err.Error(), "has 5 partitions and had 4") {
		t.Errorf("error %v", err)
	}
}

// Nothing of a partition can be committed before every partition of the keyed topic has acknowledged it.
func TestPositionsWaitForAllPartitions(t *testing.T) {
	net := newGate()
	r, _ := direct(t, func(o *Options) { o.Kgo = []kgo.Opt{kgo.Dialer(net.dial)} })
	must(t, r.Assigned(t.Context(), map[event.Partition]int64{partition0: 10}))
	net.shut()
	defer net.open()
	b := &event.Batch{Partition: partition0, First: 10, Next: 11, Events: []event.Event{{Time: 1_790_000_000_000, Offset: 10, ClientID: "c"}}}
	must(t, r.Receive(t.Context(), b, nil))
	if next := r.positions(); len(next) > 0 {
		t.Errorf("%v before anything was acknowledged", next)
	}
	net.open()
	waitFor(t, "acknowledgements", func() bool { return r.positions()[partition0] == 11 })
}

// A broker that is away must not fill the memory.
func TestReadingWaitsForTheBroker(t *testing.T) {
	net := newGate()
	r, _ := direct(t, func(o *Options) { o.Kgo, o.Config.MaxBytes = []kgo.Opt{kgo.Dialer(net.dial)}, 1<<20 })
	must(t, r.Assigned(t.Context(), map[event.Partition]int64{partition0: 0}))
	net.shut()
	defer net.open()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	batch := func(i int) *event.Batch {
		return &event.Batch{Partition: partition0, First: int64(i), Next: int64(i + 1), Events: []event.Event{{
			Time: 1_790_000_000_000, Offset: int64(i), ClientID: "c", UserAgent: strings.Repeat("x", 1000),
		}}}
	}
	i := 0
	for ; i < 10_000 && r.Receive(ctx, batch(i), nil) == nil; i++ {
	}
	if i < 500 || i > 1100 {
		t.Errorf("%d batches of a kilobyte were taken", i)
	}
	net.open()
	for ; i < 2000; i++ { // the one that failed comes again
		must(t, r.Receive(t.Context(), batch(i), nil))
	}
	must(t, r.input(partition0).finish(t.Context()))
	if next := r.positions()[partition0]; next != 2000 {
		t.Errorf("%d can be committed, want 2000", next)
	}
}

func TestReload(t *testing.T) {
	r, _ := direct(t, nil)
	must(t, r.Assigned(t.Context(), map[event.Partition]int64{partition0: 0}))
	inputs := r.plan.Load().shape.Inputs
	must(t, r.Reload(t.Context(), parse(t, `rules: [{id: a, title: t, detect: rate, by: source_ip, window: 1m, limit: 3}]`)))
	shape := r.plan.Load().shape
	if len(shape.Kinds) != 1 || shape.Kinds[0] != "source_ip" || len(inputs) != 1 || len(shape.Inputs) != 1 {
		t.Errorf("shape %+v", shape)
	}
}

func TestConfig(t *testing.T) {
	must(t, DefaultConfig().Validate())
	err := Config{Partitions: -1, ReplicationFactor: -1, Linger: -1}.Validate()
	for _, want := range []string{"group", "partitions", "replication_factor", "compression", "linger", "mark_every", "commit_every", "max_bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// More events than a record can have are told apart from what the reader would refuse.
func TestTooManyEventsAreADeadLetter(t *testing.T) {
	kept := &letters{}
	r, c := direct(t, func(o *Options) { o.DeadLetters = kept })
	b := &event.Batch{Partition: partition0, First: 0, Next: 2}
	for i := range int32(keyed.MaxEvents + 2) {
		b.Events = append(b.Events, event.Event{Time: 1_790_000_000_000, Index: i, ClientID: "c", Method: "POST", Path: "/", Route: "/"})
	}
	b.Events[len(b.Events)-1].Offset = 1
	must(t, r.Assigned(t.Context(), map[event.Partition]int64{partition0: -1}))
	must(t, r.Receive(t.Context(), b, nil))
	reader := consume(t, c)
	reader.until(t, "the other", func() bool { return len(reader.copies) == 1 })
	if len(kept.all) != 1 || kept.all[0].Offset != 0 {
		t.Errorf("dead letters %+v", kept.all)
	}
}
