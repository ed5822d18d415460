package slack

import (
	"errors"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which Slack channel is told of which alerts.
type Config struct {
	post.Config  `yaml:",inline"` // url: that of an incoming webhook, which is a secret
	sinks.Filter `yaml:",inline"`
}

// DefaultConfig returns a configuration that lacks the address.
func DefaultConfig() Config {
	c := Config{Config: post.DefaultConfig(), Filter: sinks.Filter{
		MinSeverity: alert.Medium, States: []alert.State{alert.Open, alert.Closed},
	}}
	c.Gzip = false
	return c
}

// DefaultQueue returns batches that become one message each, because Slack takes about one a second.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchAlerts, c.BatchDelay, c.RetryMin = maxAlerts, 2*time.Second, time.Second
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	return errors.Join(c.Config.Validate(), c.Filter.Validate())
}
