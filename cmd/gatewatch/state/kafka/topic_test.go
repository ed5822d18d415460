package kafka

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// create makes topic "state" with other settings.
func (f *fake) create(t *testing.T, partitions int32, config map[string]string) {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "state", partitions, 1
	for name, value := range config {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(value)
		topic.Configs = append(topic.Configs, c)
	}
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Topics = append(r.Topics, topic)
	response, err := r.RequestWith(t.Context(), f.client(t))
	must(t, err)
	if code := response.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("create topic: error %d", code)
	}
}

func (f *fake) client(t *testing.T) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

// put writes a record past the package.
func (f *fake) put(t *testing.T, partition int32, key, value string) {
	t.Helper()
	r := &kgo.Record{Topic: "state", Partition: partition, Key: []byte(key), Value: []byte(value)}
	must(t, f.client(t).ProduceSync(t.Context(), r).FirstErr())
}

func TestUnfitTopics(t *testing.T) {
	compact := map[string]string{"cleanup.policy": "compact"}
	for name, c := range map[string]struct {
		partitions int32
		config     map[string]string
		want       string
	}{
		"partitions": {4, compact, "has 4 partitions, but the topic whose state it is to hold has 3"},
		"deleting":   {3, nil, "--add-config cleanup.policy=compact"},
		"both":       {3, map[string]string{"cleanup.policy": "compact,delete"}, `cleanup.policy is "compact,delete"`},
		"small":      {3, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "1000"}, "max.message.bytes is 1000"},
		"fit":        {3, compact, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.create(t, c.partitions, c.config)
			topic, err := OpenTopic(limited(t), f.options())
			if err == nil {
				topic.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestMadeTopicIsCompacted(t *testing.T) {
	f := newFake(t)
	f.topic(t)
	config, err := describeConfig(limited(t), f.client(t), "state")
	must(t, err)
	for name, want := range settings {
		if config[name] != want {
			t.Errorf("%s is %q, want %q", name, config[name], want)
		}
	}
}

// All who open a topic at once get one seed, and those of another topic another.
func TestSeedRace(t *testing.T) {
	f := newFake(t)
	seeds := make([]uint64, 6)
	var all sync.WaitGroup
	for i := range seeds {
		all.Go(func() {
			topic, err := OpenTopic(limited(t), f.options())
			if err != nil {
				t.Error(err)
				return
			}
			seeds[i] = topic.seed
			topic.Close()
		})
	}
	all.Wait()
	for _, s := range append(seeds, f.topic(t).seed) {
		if s != seeds[0] {
			t.Fatalf("seeds %x", seeds)
		}
	}
	if newFake(t).topic(t).seed == seeds[0] {
		t.Error("two topics have one seed")
	}
}

func TestOtherFormats(t *testing.T) {
	f := newFake(t)
	f.create(t, 3, map[string]string{"cleanup.policy": "compact"})
	f.put(t, 0, "seed", `{"format":"2","seed":1}`)
	if _, err := OpenTopic(limited(t), f.options()); !errors.Is(err, state.ErrVersion) {
		t.Errorf("a topic of format 2: %v", err)
	}
	f = newFake(t)
	must(t, f.open(t).Close())
	f.put(t, 1, "format", "2")
	if _, err := f.topic(t).Open(limited(t), 1); !errors.Is(err, state.ErrVersion) {
		t.Errorf("a partition of format 2: %v", err)
	}
	if _, err := f.topic(t).Open(limited(t), 3); err == nil {
		t.Error("a partition that does not exist was opened")
	}
}

func TestDamage(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	must(t, s.Stage(t.Context(), state.Chunk{Base: true, Data: []byte("a")}))
	must(t, s.Commit(t.Context(), state.Manifest{Number: 1, Lanes: 1, Bases: []int{0}}))
	valid, _ := s.index.sort(s.index.manifest)
	f.put(t, 1, string(valid[0].id.key()), "\x01\x00\x01b")
	_, _, err := state.Read(limited(t), f.open(t), func(state.Chunk) error { return nil })
	if !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("a chunk that was changed: %v", err)
	}
	f.put(t, 1, "manifest/0", "\x01\x01\xff")
	if _, err := f.topic(t).Open(limited(t), 1); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("a manifest that was changed: %v", err)
	}
}

// A cluster that does not answer is waited for until the context ends.
func TestAbsentBroker(t *testing.T) {
	f := newFake(t)
	o := f.options()
	o.Connection.Brokers = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithCancel(limited(t))
	o.Log = nil
	ended := make(chan error)
	go func() {
		_, err := OpenTopic(ctx, o)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	f := newFake(t)
	o := f.options()
	o.Registerer = prometheus.NewRegistry()
	topic, err := OpenTopic(limited(t), o)
	must(t, err)
	defer topic.Close()
	if _, err := OpenTopic(limited(t), o); err == nil || !strings.Contains(err.Error(), "register metrics") {
		t.Error(err)
	}
}
