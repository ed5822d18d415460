package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// stateConfig says where what gatewatch knows is kept. `state: LOCATION` is short for the long form.
type stateConfig struct {
	// Location is a folder, taken from the folder of the configuration, or kafka://TOPIC or kafka://HOST:PORT,…/TOPIC.
	Location string        `yaml:"location"`
	Interval time.Duration `yaml:"interval"` // between checkpoints, when they are quick

	// Replication is the replication factor of a topic that is made; 0: the broker's default.
	Replication int `yaml:"replication_factor"`
}

// defaultState is the folder beside the configuration.
const defaultState = "gatewatch-state"

const stateScheme = "kafka://"

// UnmarshalYAML reads the short or the long form.
func (c *stateConfig) UnmarshalYAML(unmarshal func(any) error) error {
	var short string
	if err := unmarshal(&short); err == nil {
		c.Location = short
		return nil
	}
	type long stateConfig
	return unmarshal((*long)(c))
}

func (c stateConfig) validate() error {
	var errs []error
	if c.Interval < 10*time.Millisecond || c.Interval > time.Hour {
		errs = append(errs, fmt.Errorf("interval is %v, must be between 10ms and 1h", c.Interval))
	}
	if c.Replication < 0 {
		errs = append(errs, fmt.Errorf("replication_factor is %d, must not be negative", c.Replication))
	}
	switch scheme, _, found := strings.Cut(c.Location, "://"); {
	case c.Location == "":
		errs = append(errs, errors.New("location is empty; name a folder or kafka://TOPIC"))
	case found && scheme != "kafka":
		errs = append(errs, fmt.Errorf("location is %q; write a folder, kafka://TOPIC or kafka://HOST:PORT/TOPIC", c.Location))
	case c.shared():
		if _, topic := c.topic(connection.Config{}); topic == "" || strings.Contains(topic, "/") {
			errs = append(errs, fmt.Errorf("location is %q, which names no topic; write kafka://TOPIC or kafka://HOST:PORT/TOPIC", c.Location))
		}
	}
	return errors.Join(errs...)
}

// shared reports whether several instances share the state.
func (c stateConfig) shared() bool { return strings.HasPrefix(c.Location, stateScheme) }

// topic returns where the state's topic is; source is where the telemetry comes from.
func (c stateConfig) topic(source connection.Config) (connection.Config, string) {
	rest := strings.TrimPrefix(c.Location, stateScheme)
	brokers, topic, found := strings.Cut(rest, "/")
	switch {
	case !found:
		return source, rest
	case brokers != "":
		source.Brokers = strings.Split(brokers, ",")
	}
	return source, topic
}

// folder returns where the state is; dir is the folder of the configuration.
func (c stateConfig) folder(dir string) string {
	if filepath.IsAbs(c.Location) {
		return c.Location
	}
	return filepath.Join(dir, c.Location)
}
