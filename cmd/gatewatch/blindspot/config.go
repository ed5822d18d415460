package blindspot

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section blind_spots of the configuration.
type Config struct {
	Lag   time.Duration `yaml:"lag"`   // telemetry that is read later than this is a blind spot
	Quiet time.Duration `yaml:"quiet"` // a blind spot ends when its cause was away for so long
}

// DefaultConfig returns one minute and half a minute.
func DefaultConfig() Config { return Config{Lag: time.Minute, Quiet: DefaultOptions().Quiet} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	within := func(name string, value, low, high time.Duration) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s is %v, must be between %v and %v", name, value, low, high))
		}
	}
	within("lag", c.Lag, time.Second, 24*time.Hour)
	within("quiet", c.Quiet, time.Second, time.Hour)
	return errors.Join(errs...)
}

// Options returns the options of a recorder.
func (c Config) Options(m *Metrics) Options {
	o := DefaultOptions()
	o.Quiet, o.Metrics = c.Quiet, m
	return o
}
