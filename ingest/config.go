package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/privacy"
	"github.com/gatewatch/gatewatch/ingest/revocation"
)

// Config says how records are decoded. It is the YAML form.
type Config struct {
	Format           string            `yaml:"format"`             // auto: found by content, for each record
	MaxFuture        time.Duration     `yaml:"max_future"`         // an event further ahead of the clock is rejected
	MaxRecordBytes   int               `yaml:"max_record_bytes"`   // a larger record is rejected
	MaxUnpackedBytes int               `yaml:"max_unpacked_bytes"` // a compressed record that becomes larger is rejected
	Mapping          accesslog.Mapping `yaml:"mapping"`            // where values stand, before those of format
	TrustedProxies   []string          `yaml:"trusted_proxies"`    // networks whose X-Forwarded-For counts
	ReadJWT          bool              `yaml:"read_jwt"`           // the gateway verifies tokens: claims of logged ones count, of requests that succeeded
	PrivacyKey       string            `yaml:"privacy_key"`        // secret: key of the pseudonyms; empty: a key that everybody knows
	Pseudonymise     []string          `yaml:"pseudonymise"`       // beside token_id: subject, session_id, source_ip

	Revocation revocation.Config `yaml:"revocation"` // lists of revoked tokens
}

// LogValue keeps the key out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String keeps the key out of messages.
func (c Config) String() string { return "{" + c.Format + "}" }

// GoString keeps the key out of messages.
func (c Config) GoString() string { return c.String() }

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Format:           accesslog.Auto,
		MaxFuture:        accesslog.DefaultMaxFuture,
		MaxRecordBytes:   accesslog.DefaultMaxRecordBytes,
		MaxUnpackedBytes: accesslog.DefaultMaxUnpackedBytes,
		Mapping:          accesslog.Mapping{},
		TrustedProxies:   []string{},
		Pseudonymise:     []string{},
		Revocation:       revocation.DefaultConfig(),
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
	if c.MaxUnpackedBytes < c.MaxRecordBytes || c.MaxUnpackedBytes > 1<<30 {
		return fmt.Errorf("max_unpacked_bytes: %d is not between max_record_bytes and 1 GiB", c.MaxUnpackedBytes)
	}
	if err := c.validateMapping(); err != nil {
		return err
	}
	if _, err := c.trustedProxies(); err != nil {
		return err
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

// validateMapping reports everything that is wrong with the mapping, one mistake a line.
func (c Config) validateMapping() error {
	if len(c.Mapping) == 0 {
		if c.Format == accesslog.Mapped {
			return fmt.Errorf("mapping: is empty, but format is %s", accesslog.Mapped)
		}
		return nil
	}
	if c.Format == accesslog.Auto {
		return fmt.Errorf("mapping: needs a format: name the one it adds to, or %s", accesslog.Mapped)
	}
	var errs []error
	if err := c.Mapping.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			errs = append(errs, errors.New("mapping."+line))
		}
	}
	errs = append(errs, c.secretPaths()...)
	if c.Format == accesslog.Mapped {
		for _, alternatives := range [][]string{{"time"}, {"method", "request_line"}, {"path", "request_line"}, {"status"}} {
			if !slices.ContainsFunc(alternatives, func(name string) bool { return len(c.Mapping[name]) > 0 }) {
				errs = append(errs, fmt.Errorf("mapping.%s: is missing; every event has one", strings.Join(alternatives, " or ")))
			}
		}
	}
	return errors.Join(errs...)
}

// secretPaths reports fields that would show what the name of a path says is a secret: only tokens and what is made a
// pseudonym may come from there.
func (c Config) secretPaths() (errs []error) {
	for _, field := range slices.Sorted(maps.Keys(c.Mapping)) {
		if field == "token_id" || field == "authorization" || slices.Contains(c.Pseudonymise, field) || privacy.Secret(field) {
			continue
		}
		for _, s := range c.Mapping[field] {
			for _, name := range s.Names() {
				if privacy.Secret(name) {
					errs = append(errs, fmt.Errorf("mapping.%s: %q is named like a secret, and this field is shown: map it to token_id, of which only a keyed hash is kept", field, name))
				}
			}
		}
	}
	return errs
}

// trustedProxies reads networks and single addresses.
func (c Config) trustedProxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); single == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %q is no network such as 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
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
	proxies, _ := c.trustedProxies() // c is valid
	return Options{
		MaxUnpackedBytes: c.MaxUnpackedBytes,
		Mapping:          c.Mapping,
		TrustedProxies:   proxies,
		ReadJWT:          c.ReadJWT,
		Format:           c.Format,
		MaxFuture:        c.MaxFuture,
		MaxRecordBytes:   c.MaxRecordBytes,
		Privacy: privacy.Options{
			Key:       []byte(c.PrivacyKey),
			Subject:   slices.Contains(c.Pseudonymise, "subject"),
			SessionID: slices.Contains(c.Pseudonymise, "session_id"),
			SourceIP:  slices.Contains(c.Pseudonymise, "source_ip"),
		},
	}
}
