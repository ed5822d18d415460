package pagerduty

import (
	"errors"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which PagerDuty service is told of which alerts.
type Config struct {
	post.Config  `yaml:",inline"` // url: https://events.eu.pagerduty.com for accounts in Europe
	sinks.Filter `yaml:",inline"`

	RoutingKey string `yaml:"routing_key"` // the integration key of a service, Events API v2
}

// DefaultConfig returns a configuration that lacks the key.
func DefaultConfig() Config {
	c := Config{Config: post.DefaultConfig(), Filter: sinks.Filter{
		MinSeverity: alert.High, States: []alert.State{alert.Open, alert.Update, alert.Closed},
	}}
	c.URL, c.Gzip = "https://events.pagerduty.com", false
	return c
}

// DefaultQueue returns small batches: records are sent one by one, and the timeout is that of a batch.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchAlerts = 50
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate(), c.Filter.Validate()}
	if c.RoutingKey == "" {
		errs = append(errs, errors.New("routing_key is missing"))
	}
	return errors.Join(errs...)
}
