package connection

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Config says how a Kafka cluster is reached.
type Config struct {
	// Brokers are host:port addresses to start from; the rest of the cluster is learned from any of them.
	Brokers []string `yaml:"brokers"`

	// ClientID names this program in the broker's logs and quotas.
	ClientID string `yaml:"client_id"`

	TLS  TLS  `yaml:"tls"`
	SASL SASL `yaml:"sasl"`

	// DialTimeout bounds the set-up of one connection, TLS and SASL included.
	DialTimeout time.Duration `yaml:"dial_timeout"`
}

// TLS says how connections are encrypted. Brokers are always verified unless InsecureSkipVerify is set.
type TLS struct {
	Enabled bool `yaml:"enabled"`

	// CAFile holds the PEM certificates of the authorities to trust; empty: those of the system.
	CAFile string `yaml:"ca_file"`

	// CertFile and KeyFile hold the PEM certificate and key of this client. They are read again for each connection, so that
	// a renewed certificate needs no restart.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`

	// ServerName is the name that the brokers' certificates must have; empty: that of the address.
	ServerName string `yaml:"server_name"`

	// InsecureSkipVerify accepts any certificate. It is for tests: anybody in between can read and change everything.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// SASL says who we are.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // empty (none), PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username  string `yaml:"username"`
	Password  string `yaml:"password"`
}

// The values of SASL.Mechanism.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// LogValue keeps the password out of logs.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String keeps the password out of messages.
func (s SASL) String() string { return fmt.Sprintf("{%s %s}", s.Mechanism, s.Username) }

// GoString keeps the password out of messages.
func (s SASL) GoString() string { return s.String() }

// DefaultConfig reaches a broker on this machine, without TLS and SASL.
func DefaultConfig() Config {
	return Config{Brokers: []string{"localhost:9092"}, ClientID: "gatewatch", DialTimeout: 10 * time.Second}
}

// Validate reports everything that is wrong with c. It reads no files.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers is empty, want at least one host:port"))
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("brokers: %q is not host:port", b))
		}
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, fmt.Errorf("dial_timeout is %s, must be positive", c.DialTimeout))
	}
	return errors.Join(append(errs, c.TLS.validate(), c.SASL.validate())...)
}

func (t TLS) validate() error {
	var errs []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, errors.New("tls: cert_file and key_file must be given together"))
	}
	if !t.Enabled && t != (TLS{}) {
		errs = append(errs, errors.New("tls: options are given but enabled is false"))
	}
	return errors.Join(errs...)
}

func (s SASL) validate() error {
	var errs []error
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password != "" {
			errs = append(errs, errors.New("sasl: username or password is given but no mechanism"))
		}
		return errors.Join(errs...)
	case Plain, ScramSHA256, ScramSHA512:
	default:
		names := strings.Join([]string{Plain, ScramSHA256, ScramSHA512}, ", ")
		errs = append(errs, fmt.Errorf("sasl: mechanism is %q, must be one of %s", s.Mechanism, names))
	}
	if s.Username == "" {
		errs = append(errs, errors.New("sasl: username is missing"))
	}
	if s.Password == "" {
		errs = append(errs, errors.New("sasl: password is missing"))
	}
	return errors.Join(errs...)
}
