package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/privacy"
	"github.com/gatewatch/gatewatch/ingest/revocation"
)

// Config says how records are decoded. It is the YAML form.
type Config struct {
	Format         string        `yaml:"format"`           // auto: found by content, for each record
	MaxFuture      time.Duration `yaml:"max_future"`       // an event further ahead of the clock is rejected
	MaxRecordBytes int           `yaml:"max_record_bytes"` // a larger record is rejected
	PrivacyKey     string        `yaml:"privacy_key"`      // secret: key of the pseudonyms; empty: a key that everybody knows
	Pseudonymise   []string      `yaml:"pseudonymise"`     // beside token_id: subject, session_id, source_ip

	Revocation revocation.Config `yaml:"revocation"` // lists of revoked tokens
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Format:         accesslog.Auto,
		MaxFuture:      accesslog.DefaultMaxFuture,
		MaxRecordBytes: accesslog.DefaultMaxRecordBytes,
		Pseudonymise:   []string{},
		Revocation:     revocation.DefaultConfig(),
	}
}

var pseudonymisable = []string{"subject", "session_id", "source_ip"}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if !slices.Contains(accesslog.Formats(), c.Format) {
		return fmt.Errorf("format: %q is none of %s", c.Format, strings.Join(accesslog.Formats(), ", "))
	}
	if c.MaxFuture <= 0 {
		return fmt.Errorf("max_future: %v is not positive", c.MaxFuture)
	}
	if c.MaxRecordBytes < 1<<10 || c.MaxRecordBytes > 64<<20 {
		return fmt.Errorf("max_record_bytes: %d is not between 1 KiB and 64 MiB", c.MaxRecordBytes)
	}
	for _, name := range c.Pseudonymise {
		if !slices.Contains(pseudonymisable, name) {
			return fmt.Errorf("pseudonymise: %q is none of %s", name, strings.Join(pseudonymisable, ", "))
		}
	}
	if err := c.Revocation.Validate(); err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	return nil
}

// ValueSeed derives a number from the key of the pseudonyms, 0 from none: whoever has the same configuration counts alike.
func (c Config) ValueSeed() uint64 {
	if c.PrivacyKey == "" {
		return 0
	}
	mac := hmac.New(sha256.New, []byte(c.PrivacyKey))
	mac.Write([]byte("gatewatch values"))
	return binary.LittleEndian.Uint64(mac.Sum(nil))
}

// Options returns the options that c stands for; query parameters, databases and metrics are for the caller to add.
func (c Config) Options() Options {
	return Options{
		Format:         c.Format,
		MaxFuture:      c.MaxFuture,
		MaxRecordBytes: c.MaxRecordBytes,
		Privacy: privacy.Options{
			Key:       []byte(c.PrivacyKey),
			Subject:   slices.Contains(c.Pseudonymise, "subject"),
			SessionID: slices.Contains(c.Pseudonymise, "session_id"),
			SourceIP:  slices.Contains(c.Pseudonymise, "source_ip"),
		},
	}
}
