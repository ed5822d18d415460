package datadog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which Datadog organisation takes the alerts.
type Config struct {
	post.Config `yaml:",inline"` // url: in place of the intake of the site, for a proxy of one's own

	Site       string   `yaml:"site"` // datadoghq.com, datadoghq.eu, us3.datadoghq.com, …
	APIKey     string   `yaml:"api_key"`
	Service    string   `yaml:"service"`
	Hostname   string   `yaml:"hostname"` // empty: none
	Tags       []string `yaml:"tags"`     // env:prod
	BlindSpots bool     `yaml:"blind_spots"`
}

// DefaultConfig returns a configuration that lacks the key.
func DefaultConfig() Config {
	return Config{Config: post.DefaultConfig(), Site: "datadoghq.com", Service: "gatewatch", Tags: []string{}, BlindSpots: true}
}

// DefaultQueue returns batches that fill a request.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchAlerts = format.MaxItems
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.address().Validate()}
	if c.URL == "" && (c.Site == "" || strings.ContainsAny(c.Site, "/:@?# ")) {
		errs = append(errs, fmt.Errorf("site %q must be a name such as datadoghq.com", c.Site))
	}
	if c.APIKey == "" {
		errs = append(errs, errors.New("api_key is missing"))
	}
	if i := slices.IndexFunc(c.Tags, func(t string) bool { return t == "" || strings.ContainsAny(t, ", ") }); i >= 0 {
		errs = append(errs, fmt.Errorf("tag %q must be one word, such as env:prod", c.Tags[i]))
	}
	return errors.Join(errs...)
}

// address fills in the intake of the site.
func (c Config) address() post.Config {
	if c.URL == "" {
		c.URL = "https://http-intake.logs." + c.Site
	}
	return c.Config
}
