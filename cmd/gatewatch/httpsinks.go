package main

import (
	"errors"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/chronicle"
	"github.com/gatewatch/gatewatch/sinks/datadog"
	"github.com/gatewatch/gatewatch/sinks/elastic"
	"github.com/gatewatch/gatewatch/sinks/pagerduty"
	"github.com/gatewatch/gatewatch/sinks/sentinel"
	"github.com/gatewatch/gatewatch/sinks/slack"
	"github.com/gatewatch/gatewatch/sinks/splunk"
	"github.com/gatewatch/gatewatch/sinks/webhook"
)

// httpSinksConfig holds the destinations that are reached over HTTP.
type httpSinksConfig struct {
	Splunk    httpSink[splunk.Config]    `yaml:"splunk"`
	Elastic   httpSink[elastic.Config]   `yaml:"elastic"`
	Datadog   httpSink[datadog.Config]   `yaml:"datadog"`
	Sentinel  httpSink[sentinel.Config]  `yaml:"sentinel"`
	Chronicle httpSink[chronicle.Config] `yaml:"chronicle"`
	Webhook   httpSink[webhook.Config]   `yaml:"webhook"`
	PagerDuty httpSink[pagerduty.Config] `yaml:"pagerduty"`
	Slack     httpSink[slack.Config]     `yaml:"slack"`
}

type httpSink[C any] struct {
	Config C            `yaml:",inline"`
	Queue  sinks.Config `yaml:"queue"`
}

func defaultHTTPSinks() httpSinksConfig {
	return httpSinksConfig{
		Splunk:    httpSink[splunk.Config]{splunk.DefaultConfig(), splunk.DefaultQueue()},
		Elastic:   httpSink[elastic.Config]{elastic.DefaultConfig(), elastic.DefaultQueue()},
		Datadog:   httpSink[datadog.Config]{datadog.DefaultConfig(), datadog.DefaultQueue()},
		Sentinel:  httpSink[sentinel.Config]{sentinel.DefaultConfig(), sentinel.DefaultQueue()},
		Chronicle: httpSink[chronicle.Config]{chronicle.DefaultConfig(), chronicle.DefaultQueue()},
		Webhook:   httpSink[webhook.Config]{webhook.DefaultConfig(), webhook.DefaultQueue()},
		PagerDuty: httpSink[pagerduty.Config]{pagerduty.DefaultConfig(), pagerduty.DefaultQueue()},
		Slack:     httpSink[slack.Config]{slack.DefaultConfig(), slack.DefaultQueue()},
	}
}

// httpDestination is one of them, as the file names it.
type httpDestination struct {
	name     string
	validate func() error
	open     func() (sinks.Sink, error)
	queue    sinks.Config
}

func (c *httpSinksConfig) destinations() []httpDestination {
	return []httpDestination{
		{"splunk", func() error {
			return errors.Join(c.Splunk.Config.Validate(), c.Splunk.Config.CheckQueue(c.Splunk.Queue))
		}, func() (sinks.Sink, error) { return splunk.New(c.Splunk.Config) }, c.Splunk.Queue},
		{"elastic", c.Elastic.Config.Validate, func() (sinks.Sink, error) { return elastic.New(c.Elastic.Config) }, c.Elastic.Queue},
		{"datadog", c.Datadog.Config.Validate, func() (sinks.Sink, error) { return datadog.New(c.Datadog.Config) }, c.Datadog.Queue},
		{"sentinel", c.Sentinel.Config.Validate, func() (sinks.Sink, error) { return sentinel.New(c.Sentinel.Config) }, c.Sentinel.Queue},
		{"chronicle", c.Chronicle.Config.Validate, func() (sinks.Sink, error) { return chronicle.New(c.Chronicle.Config) }, c.Chronicle.Queue},
		{"webhook", c.Webhook.Config.Validate, func() (sinks.Sink, error) { return webhook.New(c.Webhook.Config) }, c.Webhook.Queue},
		{"pagerduty", c.PagerDuty.Config.Validate, func() (sinks.Sink, error) { return pagerduty.New(c.PagerDuty.Config) }, c.PagerDuty.Queue},
		{"slack", c.Slack.Config.Validate, func() (sinks.Sink, error) { return slack.New(c.Slack.Config) }, c.Slack.Queue},
	}
}
