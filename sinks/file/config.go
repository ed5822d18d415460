package file

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gatewatch/gatewatch/sinks/ocsf"
)

// Config says where alerts are written and when a file is done.
type Config struct {
	Path string `yaml:"path"`

	// BlindSpotsPath is the file of blind spots; "": -blind-spots before the extension of Path; "-": they are not written.
	BlindSpotsPath string `yaml:"blind_spots_path"`

	// Format is that of the alerts. Blind spots are always in gatewatch's own.
	Format ocsf.Format `yaml:"format"` // json: gatewatch's own; ocsf: Detection Findings

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
func DefaultConfig() Config { return Config{Format: ocsf.JSON, Sync: SyncBatch, MaxSize: 256 << 20} }

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path is missing"))
	}
	if c.Path != "" && c.BlindSpotsPath == c.Path {
		errs = append(errs, errors.New("blind_spots_path must not be the path of the alerts"))
	}
	errs = append(errs, c.Format.Validate())
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

// blindSpotsPath returns the file of blind spots, "" for none.
func (c Config) blindSpotsPath() string {
	switch {
	case c.BlindSpotsPath == "-", c.BlindSpotsPath == "" && strings.HasPrefix(c.Path, "/dev/"):
		return ""
	case c.BlindSpotsPath == "":
		extension := filepath.Ext(c.Path)
		return strings.TrimSuffix(c.Path, extension) + "-blind-spots" + extension
	}
	return c.BlindSpotsPath
}
