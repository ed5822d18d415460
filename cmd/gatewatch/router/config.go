package router

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says what the keyed topic is and how it is written. It is the YAML form.
type Config struct {
	Topic string `yaml:"topic"` // empty: there is none
	Group string `yaml:"group"` // consumer group of the routers

	// Partitions and ReplicationFactor are those of the topic when it is missing and has to be made; 0 partitions: it is never
	// made; 0 replicas: the default of the cluster.
	Partitions        int `yaml:"partitions"`
	ReplicationFactor int `yaml:"replication_factor"`

	Compression string        `yaml:"compression"`  // none, lz4, zstd
	Linger      time.Duration `yaml:"linger"`       // how long a record may wait for company
	MarkEvery   time.Duration `yaml:"mark_every"`   // how soon a partition hears that it got nothing
	CommitEvery time.Duration `yaml:"commit_every"` // how often positions are committed
	MaxBytes    int           `yaml:"max_bytes"`    // of records that are not acknowledged; then reading waits
}

// DefaultConfig names no topic.
func DefaultConfig() Config {
	return Config{
		Group: "gatewatch-route", Partitions: 12, Compression: "lz4", Linger: 10 * time.Millisecond, MarkEvery: 50 * time.Millisecond,
		CommitEvery: time.Second, MaxBytes: 64 << 20,
	}
}

var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// Validate reports everything that is wrong with c. Having no topic is right.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Group == "" {
		wrong("group is missing")
	}
	if c.Partitions < 0 || c.Partitions > maxPartitions {
		wrong("partitions is %d, must be between 0 and %d", c.Partitions, maxPartitions)
	}
	if c.ReplicationFactor < 0 || c.ReplicationFactor > 100 {
		wrong("replication_factor is %d, must be between 0 and 100", c.ReplicationFactor)
	}
	if _, ok := compressions[c.Compression]; !ok {
		wrong("compression is %q, must be none, lz4 or zstd", c.Compression)
	}
	if c.Linger < 0 || c.Linger > time.Second {
		wrong("linger is %s, must be between 0s and 1s", c.Linger)
	}
	if c.MarkEvery < time.Millisecond || c.MarkEvery > time.Second {
		wrong("mark_every is %s, must be between 1ms and 1s: readers wait for it", c.MarkEvery)
	}
	if c.CommitEvery < time.Millisecond || c.CommitEvery > time.Minute {
		wrong("commit_every is %s, must be between 1ms and 1m", c.CommitEvery)
	}
	if c.MaxBytes < 1<<20 {
		wrong("max_bytes is %d, must be at least 1 MiB", c.MaxBytes)
	}
	return errors.Join(errs...)
}

// maxPartitions bounds what is kept for each raw partition.
const maxPartitions = 4096
