package chronicle

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which Google SecOps instance takes the alerts, and as whom gatewatch signs in.
type Config struct {
	post.Config `yaml:",inline"` // url: in place of the endpoint of the location

	Project   string `yaml:"project"`
	Location  string `yaml:"location"` // us, eu, europe-west3, …
	Instance  string `yaml:"instance"` // the customer id
	LogType   string `yaml:"log_type"`
	Forwarder string `yaml:"forwarder"` // id of a forwarder; empty: none
	Namespace string `yaml:"namespace"` // environment namespace; empty: none

	CredentialsFile string        `yaml:"credentials_file"` // JSON key of a service account
	ThrottlePause   time.Duration `yaml:"throttle_pause"`   // after 429 without Retry-After
	BlindSpots      bool          `yaml:"blind_spots"`
}

// DefaultConfig returns a configuration that lacks project, instance and key. Google asks to wait five minutes after 429.
func DefaultConfig() Config {
	return Config{
		Config: post.DefaultConfig(), Location: "us", LogType: "GATEWATCH", ThrottlePause: 5 * time.Minute, BlindSpots: true,
	}
}

// DefaultQueue returns batches that fill a request.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchBytes = 2 << 20
	return c
}

// word is what becomes part of a path; a project can have a domain before it.
var word = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.address().Validate()}
	need := func(option, value, example string) {
		if !word.MatchString(value) {
			errs = append(errs, fmt.Errorf("%s %q must be letters, digits, '.', ':', '_' and '-', such as %s", option, value, example))
		}
	}
	need("project", c.Project, "my-secops-project")
	need("location", c.Location, "us")
	need("instance", c.Instance, "00000000-0000-0000-0000-000000000000")
	need("log_type", c.LogType, "GATEWATCH")
	if c.Forwarder != "" {
		need("forwarder", c.Forwarder, "00000000-0000-0000-0000-000000000000")
	}
	if c.CredentialsFile == "" {
		errs = append(errs, errors.New("credentials_file is missing"))
	}
	if c.ThrottlePause < 0 {
		errs = append(errs, fmt.Errorf("throttle_pause is %v, must not be negative", c.ThrottlePause))
	}
	return errors.Join(errs...)
}

// address fills in the endpoint of the location.
func (c Config) address() post.Config {
	if c.URL == "" {
		c.URL = "https://chronicle." + c.Location + ".rep.googleapis.com"
	}
	return c.Config
}

// instance is the resource name of the instance.
func (c Config) instance() string {
	return "projects/" + c.Project + "/locations/" + c.Location + "/instances/" + c.Instance
}
