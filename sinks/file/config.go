package file

import (
	"errors"
	"fmt"
)

// Config says where alerts are written and when a file is done.
type Config struct {
	Path    string `yaml:"path"`
	Sync    string `yaml:"sync"`     // batch: a delivery ends on disk; never: the operating system decides
	MaxSize int64  `yaml:"max_size"` // bytes after which a new file begins; 0: never
	Keep    int    `yaml:"keep"`     // how many full files are kept, older ones are deleted; 0: all
}

// The values of Config.Sync.
const (
	SyncBatch = "batch"
	SyncNever = "never"
)

// DefaultConfig returns a configuration that lacks the path only.
func DefaultConfig() Config { return Config{Sync: SyncBatch, MaxSize: 256 << 20} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path is missing"))
	}
	if c.Sync != SyncBatch && c.Sync != SyncNever {
		errs = append(errs, fmt.Errorf("sync is %q, must be %q or %q", c.Sync, SyncBatch, SyncNever))
	}
	if c.MaxSize < 0 {
		errs = append(errs, fmt.Errorf("max_size is %d, must not be negative", c.MaxSize))
	}
	if c.Keep < 0 {
		errs = append(errs, fmt.Errorf("keep is %d, must not be negative", c.Keep))
	}
	return errors.Join(errs...)
}
