package revocation

import (
	"fmt"
	"slices"
)

// Bounds on lists.
const (
	MaxFiles          = 8
	DefaultMaxEntries = 1_000_000
	mostEntries       = 50_000_000
)

// Config names the lists. It is the YAML form.
type Config struct {
	Files      []string `yaml:"files"`       // in any order
	MaxEntries int      `yaml:"max_entries"` // tokens in all of them; about 50 bytes each
}

// DefaultConfig names no list: no token is known to be revoked.
func DefaultConfig() Config { return Config{Files: []string{}, MaxEntries: DefaultMaxEntries} }

// Validate says what is wrong with c. That the files are there is checked when they are opened.
func (c Config) Validate() error {
	if len(c.Files) > MaxFiles {
		return fmt.Errorf("files: %d files, the limit is %d", len(c.Files), MaxFiles)
	}
	for i, path := range c.Files {
		if path == "" {
			return fmt.Errorf("files: file name %d is empty", i+1)
		}
		if slices.Contains(c.Files[:i], path) {
			return fmt.Errorf("files: %s is named twice", path)
		}
	}
	if c.MaxEntries < 1 || c.MaxEntries > mostEntries {
		return fmt.Errorf("max_entries: %d is not between 1 and %d", c.MaxEntries, mostEntries)
	}
	return nil
}
