package clickhouse

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which ClickHouse takes the alerts.
type Config struct {
	Addresses   []string      `yaml:"addresses"` // host:port of the native protocol; the first that answers is used
	Database    string        `yaml:"database"`
	Username    string        `yaml:"username"`
	Password    string        `yaml:"password"`
	Migrate     bool          `yaml:"migrate"` // create the database, tables and views, and bring them up to date
	DialTimeout time.Duration `yaml:"dial_timeout"`
	TLS         TLS           `yaml:"tls"`
}

// TLS says how the connection is encrypted.
type TLS struct {
	Enabled            bool   `yaml:"enabled"`
	CAFile             string `yaml:"ca_file"`   // PEM; empty: the system's
	CertFile           string `yaml:"cert_file"` // PEM, read again for each connection; empty: no client certificate
	KeyFile            string `yaml:"key_file"`
	ServerName         string `yaml:"server_name"` // empty: the host of the address
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// LogValue keeps secrets out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String keeps secrets out of messages.
func (c Config) String() string {
	return fmt.Sprintf("{%v %s %s}", c.Addresses, c.Database, c.Username)
}

// GoString keeps secrets out of messages.
func (c Config) GoString() string { return c.String() }

// DefaultConfig returns a local server without TLS.
func DefaultConfig() Config {
	return Config{
		Addresses: []string{"127.0.0.1:9000"}, Database: "gatewatch", Username: "default", Migrate: true,
		DialTimeout: 10 * time.Second,
	}
}

// DefaultQueue returns how alerts are best handed to ClickHouse: rarely and many at once, because every insert makes a part
// on disk.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchAlerts, c.BatchBytes, c.BatchDelay = 5000, 16<<20, time.Second
	return c
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New("addresses is empty"))
	}
	for _, a := range c.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("address %q is not host:port", a))
		}
	}
	if !identifier.MatchString(c.Database) {
		errs = append(errs, fmt.Errorf("database %q must be letters, digits and _", c.Database))
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, fmt.Errorf("dial_timeout is %v, must be positive", c.DialTimeout))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("tls.cert_file and tls.key_file need each other"))
	}
	return errors.Join(errs...)
}

// load reads the files that t names. It returns nil when TLS is off.
func (t TLS) load() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	config, err := post.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName}.Load()
	if err != nil {
		return nil, err
	}
	config.InsecureSkipVerify = t.InsecureSkipVerify
	return config, nil
}
