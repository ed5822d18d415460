package sentinel

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which data collection rule takes the alerts, and as whom gatewatch signs in.
type Config struct {
	post.Config `yaml:",inline"` // url: the logs ingestion endpoint of the rule, or a data collection endpoint

	Rule             string `yaml:"rule"`               // immutable id of the data collection rule: dcr-…
	Stream           string `yaml:"stream"`             // of alerts
	BlindSpotsStream string `yaml:"blind_spots_stream"` // of blind spots; "-": none

	TenantID     string `yaml:"tenant_id"`
	ClientID     string `yaml:"client_id"` // of an application in Entra
	ClientSecret string `yaml:"client_secret"`
	LoginURL     string `yaml:"login_url"` // sovereign clouds have others, as they have another scope
	Scope        string `yaml:"scope"`
}

// DefaultConfig returns the names that deploy/sentinel makes; it lacks endpoint, rule and credentials.
func DefaultConfig() Config {
	return Config{
		Config: post.DefaultConfig(), Stream: "Custom-GatewatchAlerts_CL", BlindSpotsStream: "Custom-GatewatchBlindSpots_CL",
		LoginURL: "https://login.microsoftonline.com", Scope: "https://monitor.azure.com/.default",
	}
}

// DefaultQueue returns batches that fill a request or two.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchBytes = 2 << 20
	return c
}

// word is what becomes part of a path.
var word = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate(), c.CheckURL("login_url", c.LoginURL)}
	need := func(option, value, example string) {
		if !word.MatchString(value) {
			errs = append(errs, fmt.Errorf("%s %q must be letters, digits, '.', '_' and '-', such as %s", option, value, example))
		}
	}
	need("rule", c.Rule, "dcr-0123456789abcdef0123456789abcdef")
	need("stream", c.Stream, "Custom-GatewatchAlerts_CL")
	need("blind_spots_stream", c.BlindSpotsStream, "Custom-GatewatchBlindSpots_CL")
	need("tenant_id", c.TenantID, "00000000-0000-0000-0000-000000000000")
	need("client_id", c.ClientID, "00000000-0000-0000-0000-000000000000")
	if c.ClientSecret == "" {
		errs = append(errs, errors.New("client_secret is missing"))
	}
	if c.Scope == "" {
		errs = append(errs, errors.New("scope is missing"))
	}
	return errors.Join(errs...)
}
