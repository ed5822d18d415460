package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// Options of OpenTopic.
type Options struct {
	Connection connection.Config
	Topic      string // of the state

	// Partitions is the number of partitions of the topic that is keyed by entity.
	Partitions int

	// ReplicationFactor is that of a topic that is made; 0 leaves it to the broker.
	ReplicationFactor int

	// TransactionTimeout bounds one transaction, and with it the time for which a dead process that nobody follows holds
	// back readers of its partition; 0: 15 s. It must not exceed the broker's transaction.max.timeout.ms.
	TransactionTimeout time.Duration

	Log        *slog.Logger          // nil: none
	Registerer prometheus.Registerer // nil: none
}

// Topic is a compacted topic that holds the state of each partition of a keyed topic. Any goroutine may use it.
type Topic struct {
	options Options
	cluster *connection.Cluster
	client  *kgo.Client // reads, and stages chunks for all partitions
	metrics *metrics
	seed    uint64
}

// OpenTopic makes the topic if there is none, checks it, and reads or draws its seed. It waits until the cluster answers or
// ctx ends. It returns state.ErrVersion if another version of gatewatch wrote the topic in a format of its own.
func OpenTopic(ctx context.Context, o Options) (*Topic, error) {
	o = o.withDefaults()
	cluster, err := connection.New(o.Connection)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(cluster.KgoOptions(), producing(o.Topic)...)...)
	if err != nil {
		return nil, fmt.Errorf("set up a Kafka client: %w", err)
	}
	t := &Topic{options: o, cluster: cluster, client: client, metrics: metrics}
	if err := t.open(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("open state in Kafka topic %s: %w", o.Topic, err)
	}
	return t, nil
}

func (o Options) withDefaults() Options {
	if o.TransactionTimeout == 0 {
		o.TransactionTimeout = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	o.Log = o.Log.With("topic", o.Topic)
	return o
}

// producing is what all producers here have in common.
func producing(topic string) []kgo.Opt {
	return []kgo.Opt{
		kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(minMessageBytes - 1024),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(1 << 20), // bytes are bounded by each store
		kgo.UnknownTopicRetries(-1),     // a new leader may not know the topic yet
		kgo.RetryTimeout(5 * time.Second),
		kgo.RetryBackoffFn(pause),
		kgo.MetadataMinAge(100 * time.Millisecond), // how soon a new leader is asked for
		kgo.ConcurrentTransactionsBackoff(2 * time.Millisecond),
	}
}

// pause is the time before the nth repetition of a request.
func pause(n int) time.Duration { return min(time.Second, 10*time.Millisecond<<min(n, 10)) }

func (t *Topic) open(ctx context.Context) error {
	trouble := newTrouble(t.options.Log)
	if err := trouble.retry(ctx, starting, t.check); err != nil {
		return err
	}
	return trouble.retry(ctx, starting, t.findSeed)
}

// Close releases the topic. The stores must be closed before.
func (t *Topic) Close() { t.client.Close() }

func (t *Topic) log(partition int32) *partitionLog {
	return &partitionLog{client: t.client, topic: t.options.Topic, partition: partition}
}

// minMessageBytes is the least that a topic must allow for a batch of records.
const minMessageBytes = 1 << 20

// settings of a topic that is made. Only closed segments are compacted, and reading a partition reads the rest too, so
// segments are small. Whoever opens a partition reads all of it at once, within the time that removals are kept for.
var settings = map[string]string{
	"cleanup.policy":            "compact",
	"min.cleanable.dirty.ratio": "0.2",
	"min.compaction.lag.ms":     "0",
	"segment.bytes":             strconv.Itoa(64 << 20),
	"segment.ms":                strconv.Itoa(int(time.Hour / time.Millisecond)),
	"delete.retention.ms":       strconv.Itoa(int(time.Hour / time.Millisecond)),
	"max.message.bytes":         strconv.Itoa(2 * minMessageBytes),
}

// check sees that the topic is as it must be, and makes it if it is not there.
func (t *Topic) check(ctx context.Context) error {
	topic, err := describeTopic(ctx, t.client, t.options.Topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err := t.create(ctx); err != nil {
			return err
		}
		topic, err = describeTopic(ctx, t.client, t.options.Topic)
	}
	if err != nil {
		return err
	}
	if n := len(topic.Partitions); n != t.options.Partitions {
		return unfit("it has %d partitions, but the topic whose state it is to hold has %d. Give state: another topic (gatewatch makes it), "+
			"or delete this one if nothing in it is needed", n, t.options.Partitions)
	}
	for _, p := range topic.Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil && !errors.Is(err, kerr.ReplicaNotAvailable) {
			return fmt.Errorf("partition %d: %w", p.Partition, err)
		}
	}
	return t.checkSettings(ctx)
}

func (t *Topic) create(ctx context.Context) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.options.Topic, int32(t.options.Partitions), int16(t.options.ReplicationFactor)
	if topic.ReplicationFactor == 0 {
		topic.ReplicationFactor = -1
	}
	for name, value := range settings {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, kmsg.StringPtr(value)
		topic.Configs = append(topic.Configs, config)
	}
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis = 10_000
	r.Topics = append(r.Topics, topic)
	response, err := r.RequestWith(ctx, t.client)
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	for _, made := range response.Topics {
		err := kerr.ErrorForCode(made.ErrorCode)
		if err == nil {
			t.options.Log.Info("made the topic for the state", "partitions", t.options.Partitions)
		} else if !errors.Is(err, kerr.TopicAlreadyExists) { // another instance was faster
			return fmt.Errorf("create topic: %w: %s", err, deref(made.ErrorMessage))
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// checkSettings refuses a topic that would forget state or not take it.
func (t *Topic) checkSettings(ctx context.Context) error {
	config, err := describeConfig(ctx, t.client, t.options.Topic)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.options.Log.Warn("cannot see the topic's settings; it must have cleanup.policy=compact", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	policy := strings.Split(strings.ReplaceAll(config["cleanup.policy"], " ", ""), ",")
	if !slices.Equal(policy, []string{"compact"}) {
		return unfit("its cleanup.policy is %q, so that it would lose state or grow for ever. Set it: "+
			"kafka-configs --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact", config["cleanup.policy"], t.options.Topic)
	}
	if n, err := strconv.Atoi(config["max.message.bytes"]); err == nil && n < minMessageBytes {
		return unfit("its max.message.bytes is %d, which is too little. Set it: "+
			"kafka-configs --alter --entity-type topics --entity-name %s --add-config max.message.bytes=%d", n, t.options.Topic, 2*minMessageBytes)
	}
	return nil
}

// errUnfit marks what repeating does not repair.
var errUnfit = errors.New("the topic cannot be used")

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnfit, fmt.Sprintf(format, args...))
}

func describeTopic(ctx context.Context, client *kgo.Client, name string) (kmsg.MetadataResponseTopic, error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(name)
	r := kmsg.NewPtrMetadataRequest()
	r.Topics = append(r.Topics, topic)
	response, err := r.RequestWith(ctx, client)
	if err == nil && len(response.Topics) != 1 {
		err = fmt.Errorf("the broker described %d topics", len(response.Topics))
	}
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		return kmsg.MetadataResponseTopic{}, fmt.Errorf("describe topic: %w", err)
	}
	return response.Topics[0], nil
}

func describeConfig(ctx context.Context, client *kgo.Client, name string) (map[string]string, error) {
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
	r := kmsg.NewPtrDescribeConfigsRequest()
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(ctx, client)
	if err == nil && len(response.Resources) != 1 {
		err = fmt.Errorf("the broker described %d resources", len(response.Resources))
	}
	if err == nil {
		err = kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("describe settings: %w", err)
	}
	config := map[string]string{}
	for _, c := range response.Resources[0].Configs {
		config[c.Name] = deref(c.Value)
	}
	return config, nil
}
