package sinks

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds the queue of one sink and says how it delivers.
type Config struct {
	MaxAlerts int `yaml:"max_alerts"` // alerts waiting or under way; when full, detection waits
	MaxBytes  int `yaml:"max_bytes"`  // size of those as JSON

	BatchAlerts int           `yaml:"batch_alerts"` // most alerts in one delivery
	BatchBytes  int           `yaml:"batch_bytes"`  // most JSON in one delivery; one larger alert goes alone
	BatchDelay  time.Duration `yaml:"batch_delay"`  // how long an alert may wait for company

	Timeout  time.Duration `yaml:"timeout"`   // of one delivery
	RetryMin time.Duration `yaml:"retry_min"` // first wait after a failure
	RetryMax time.Duration `yaml:"retry_max"` // longest wait; there is no last attempt
}

// DefaultConfig returns bounds that hold an hour of a busy day and deliver almost at once.
func DefaultConfig() Config {
	return Config{
		MaxAlerts:   10_000,
		MaxBytes:    64 << 20,
		BatchAlerts: 500,
		BatchBytes:  4 << 20,
		BatchDelay:  50 * time.Millisecond,
		Timeout:     30 * time.Second,
		RetryMin:    250 * time.Millisecond,
		RetryMax:    time.Minute,
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	atLeast := func(name string, value, low int) {
		if value < low {
			errs = append(errs, fmt.Errorf("%s is %d, must be at least %d", name, value, low))
		}
	}
	atLeast("max_alerts", c.MaxAlerts, 1)
	atLeast("max_bytes", c.MaxBytes, 1)
	atLeast("batch_alerts", c.BatchAlerts, 1)
	atLeast("batch_bytes", c.BatchBytes, 1)
	if c.BatchDelay < 0 {
		errs = append(errs, fmt.Errorf("batch_delay is %v, must not be negative", c.BatchDelay))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout is %v, must be positive", c.Timeout))
	}
	if c.RetryMin <= 0 || c.RetryMax < c.RetryMin {
		errs = append(errs, fmt.Errorf("retry_min %v and retry_max %v must be positive and in this order", c.RetryMin, c.RetryMax))
	}
	return errors.Join(errs...)
}
