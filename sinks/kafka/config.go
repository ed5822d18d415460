package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
	"github.com/gatewatch/gatewatch/sinks/ocsf"
	kafka "github.com/segmentio/kafka-go"
)

// Config says which topic of which cluster takes the alerts.
type Config struct {
	connection.Config `yaml:",inline"`

	Topic string `yaml:"topic"`

	// BlindSpotsTopic takes the blind spots; "": the name of Topic and -blind-spots; "-": they are not produced.
	BlindSpotsTopic string `yaml:"blind_spots_topic"`

	// Format is that of the alerts. Blind spots are always in gatewatch's own.
	Format ocsf.Format `yaml:"format"` // json: gatewatch's own; ocsf: Detection Findings

	// Partitions of a topic when it is missing and has to be created, with the replication of the cluster's default; 0:
	// it is never created.
	Partitions int `yaml:"partitions"`

	// MaxBatchBytes bounds one request to a partition, before compression. It should not exceed max.message.bytes of the
	// topic. An alert that is larger is refused.
	MaxBatchBytes int `yaml:"max_batch_bytes"`

	Compression string `yaml:"compression"` // none, gzip, snappy, lz4, zstd
}

var compressions = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// DefaultConfig fits the defaults of Apache Kafka.
func DefaultConfig() Config {
	return Config{
		Config: connection.DefaultConfig(), Topic: "gatewatch-alerts", Format: ocsf.JSON, MaxBatchBytes: 1_000_000, Compression: "zstd",
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Topic == "" {
		errs = append(errs, errors.New("topic is missing"))
	}
	if c.Topic != "" && c.BlindSpotsTopic == c.Topic {
		errs = append(errs, errors.New("blind_spots_topic must not be the topic of the alerts"))
	}
	errs = append(errs, c.Format.Validate())
	if c.Partitions < 0 {
		errs = append(errs, fmt.Errorf("partitions is %d, must not be negative", c.Partitions))
	}
	if c.MaxBatchBytes < 1 {
		errs = append(errs, fmt.Errorf("max_batch_bytes is %d, must be at least 1", c.MaxBatchBytes))
	}
	if _, ok := compressions[c.Compression]; !ok {
		var names []string
		for name := range compressions {
			names = append(names, name)
		}
		slices.Sort(names)
		errs = append(errs, fmt.Errorf("compression is %q, must be one of %s", c.Compression, strings.Join(names, ", ")))
	}
	return errors.Join(errs...)
}

// blindSpotsTopic returns the topic of blind spots, "" for none.
func (c Config) blindSpotsTopic() string {
	switch c.BlindSpotsTopic {
	case "-":
		return ""
	case "":
		return c.Topic + "-blind-spots"
	}
	return c.BlindSpotsTopic
}
