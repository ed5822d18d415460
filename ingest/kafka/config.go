package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/kafka/broker"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// Config says what to read, as whom, and in which portions.
type Config struct {
	connection.Config `yaml:",inline"`

	Topics []string `yaml:"topics"`

	// KeyedBy is the fields by which the gateway keys the topics, if it does and several processes share them without
	// gatewatch route: [client_id].
	KeyedBy []string `yaml:"keyed_by"`

	// Group is the consumer group. All processes of a group share the partitions of the topics.
	Group string `yaml:"group"`

	// Start is where reading begins when the group has committed nothing yet: earliest, so that nothing is missed and the past
	// teaches what is normal, or latest. Partitions that appear while gatewatch runs are always read from their beginning.
	Start string `yaml:"start"`

	// SessionTimeout is how long a process may be silent before the group gives its partitions to others. The broker bounds it
	// (group.min.session.timeout.ms, group.max.session.timeout.ms).
	SessionTimeout time.Duration `yaml:"session_timeout"`

	// HeartbeatInterval is how often a process says that it lives, and how soon it learns that partitions move.
	HeartbeatInterval time.Duration `yaml:"heartbeat_interval"`

	// RevokeTimeout is how long handing a partition over may take: finishing what was read of it, delivering, committing.
	RevokeTimeout time.Duration `yaml:"revoke_timeout"`

	// TopicInterval is how often topics are looked at for new partitions, and for whether they exist.
	TopicInterval time.Duration `yaml:"topic_interval"`

	// RequestTimeout is how long a broker may take for an answer.
	RequestTimeout time.Duration `yaml:"request_timeout"`

	// FetchBytes is about how much one request brings of a partition.
	FetchBytes int `yaml:"fetch_bytes"`

	// FetchWait is how long a broker waits for records when there are none, before it says so.
	FetchWait time.Duration `yaml:"fetch_wait"`

	// MaxFetchBytes bounds what one batch of records may take in memory for a partition, compressed or not. Larger ones are
	// skipped and reported as rejected.
	MaxFetchBytes int `yaml:"max_fetch_bytes"`

	// BatchEvents and BatchBytes bound what is handed to the engine at once.
	BatchEvents int `yaml:"batch_events"`
	BatchBytes  int `yaml:"batch_bytes"`
}

// The values of Config.Start.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// DefaultConfig reads the topic gateway-access from a broker on this machine.
func DefaultConfig() Config {
	return Config{
		Config: connection.DefaultConfig(), Topics: []string{"gateway-access"}, KeyedBy: []string{}, Group: "gatewatch", Start: StartEarliest,
		SessionTimeout: 30 * time.Second, HeartbeatInterval: time.Second, RevokeTimeout: 10 * time.Second,
		TopicInterval: 5 * time.Second, RequestTimeout: 10 * time.Second,
		FetchBytes: 1 << 20, FetchWait: 100 * time.Millisecond, MaxFetchBytes: 64 << 20, BatchEvents: 1024, BatchBytes: 256 << 10,
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Topics) == 0 || slices.Contains(c.Topics, "") {
		wrong("topics must name at least one topic, and none can be empty")
	}
	for _, name := range c.KeyedBy {
		if _, ok := event.ParseField(name); !ok {
			wrong("keyed_by: %q is no field; see gatewatch rules schema for their names", name)
		}
	}
	if c.Group == "" {
		wrong("group is missing")
	}
	if c.Start != StartEarliest && c.Start != StartLatest {
		wrong("start is %q, must be %s or %s", c.Start, StartEarliest, StartLatest)
	}
	for name, d := range map[string]time.Duration{
		"session_timeout": c.SessionTimeout, "heartbeat_interval": c.HeartbeatInterval, "revoke_timeout": c.RevokeTimeout,
		"topic_interval": c.TopicInterval, "request_timeout": c.RequestTimeout, "fetch_wait": c.FetchWait,
	} {
		if d < time.Millisecond {
			wrong("%s is %s, must be at least 1ms", name, d)
		}
	}
	if c.HeartbeatInterval > c.SessionTimeout/3 {
		wrong("heartbeat_interval is %s, must be at most a third of session_timeout (%s)", c.HeartbeatInterval, c.SessionTimeout)
	}
	if c.RevokeTimeout >= c.SessionTimeout {
		wrong("revoke_timeout is %s, must be less than session_timeout (%s)", c.RevokeTimeout, c.SessionTimeout)
	}
	if c.FetchWait > 500*time.Millisecond {
		wrong("fetch_wait is %s, must be at most 500ms: the engine waits for word of idle partitions", c.FetchWait)
	}
	if c.FetchBytes < 1<<10 || c.MaxFetchBytes < c.FetchBytes || c.MaxFetchBytes > 1<<30 {
		wrong("fetch_bytes is %d, max_fetch_bytes is %d, must rise from 1 KiB to 1 GiB", c.FetchBytes, c.MaxFetchBytes)
	}
	if c.BatchEvents < 1 || c.BatchBytes < 1 {
		wrong("batch_events is %d, batch_bytes is %d, must be at least 1", c.BatchEvents, c.BatchBytes)
	}
	return errors.Join(errs...)
}

// ForgetsAfter is how long the group may take to notice that a member is dead, and to give its partitions to others.
func (c Config) ForgetsAfter() time.Duration { return 2*c.SessionTimeout + c.RequestTimeout }

func (c Config) broker() broker.Options {
	return broker.Options{ClientID: c.ClientID, Timeout: c.RequestTimeout, MaxResponse: c.MaxFetchBytes}
}
