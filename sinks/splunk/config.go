package splunk

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which HTTP Event Collector takes the alerts.
type Config struct {
	post.Config `yaml:",inline"` // url without a path: https://splunk.example.com:8088

	Token      string `yaml:"token"`
	Index      string `yaml:"index"` // empty: the token's default
	Host       string `yaml:"host"`  // of the events; empty: the collector's choice
	Source     string `yaml:"source"`
	SourceType string `yaml:"sourcetype"` // of alerts

	// BlindSpotsSourceType is that of blind spots; "-": they are not sent.
	BlindSpotsSourceType string `yaml:"blind_spots_sourcetype"`

	// Acknowledge waits until indexers have what was sent. The token must have indexer acknowledgement.
	Acknowledge bool          `yaml:"acknowledge"`
	AckInterval time.Duration `yaml:"ack_interval"` // between two questions
	AckTimeout  time.Duration `yaml:"ack_timeout"`  // what is not acknowledged by then is sent again
}

// DefaultConfig returns a configuration that lacks address and token.
func DefaultConfig() Config {
	return Config{
		Config: post.DefaultConfig(), Source: "gatewatch", SourceType: "gatewatch:alert",
		BlindSpotsSourceType: "gatewatch:blind_spot", AckInterval: time.Second, AckTimeout: 2 * time.Minute,
	}
}

// DefaultQueue returns a queue with time for acknowledgements.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.Timeout = 5 * time.Minute
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Token == "" {
		errs = append(errs, errors.New("token is missing"))
	}
	if c.SourceType == "" || c.BlindSpotsSourceType == "" {
		errs = append(errs, errors.New("sourcetype and blind_spots_sourcetype must not be empty"))
	}
	if c.AckInterval <= 0 || c.AckTimeout < c.AckInterval {
		errs = append(errs, fmt.Errorf("ack_interval %v and ack_timeout %v must be positive and in this order", c.AckInterval, c.AckTimeout))
	}
	return errors.Join(errs...)
}

// CheckQueue reports a queue that gives up before an acknowledgement may come: the same events would be sent without an end.
func (c Config) CheckQueue(q sinks.Config) error {
	if c.Acknowledge && q.Timeout <= c.AckTimeout {
		return fmt.Errorf("queue.timeout %v must be longer than ack_timeout %v", q.Timeout, c.AckTimeout)
	}
	return nil
}
