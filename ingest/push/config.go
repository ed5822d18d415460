package push

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// Config says where gateways push their telemetry to, and who may. It is the YAML form.
type Config struct {
	Listen string `yaml:"listen"` // host:port; empty: nothing is received
	Topic  string `yaml:"topic"`  // that takes what is received; empty: the first one that is read
	Token  string `yaml:"token"`  // secret: senders show it as bearer token
	TLS    TLS    `yaml:"tls"`

	MaxBodyBytes     int64         `yaml:"max_body_bytes"`      // a larger request is refused
	MaxInFlightBytes int64         `yaml:"max_in_flight_bytes"` // of requests that are not in the topic yet; beyond, senders are told to come back
	Timeout          time.Duration `yaml:"timeout"`             // for a request to arrive, and for the topic to take it
}

// TLS says how the receiver shows who it is, and whose certificates senders must have.
type TLS struct {
	CertFile     string `yaml:"cert_file"` // PEM; read again for each connection
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"` // senders must show a certificate of these authorities
}

// LogValue keeps secrets out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String keeps secrets out of messages.
func (c Config) String() string { return fmt.Sprintf("{%s %s}", c.Listen, c.Topic) }

// GoString keeps secrets out of messages.
func (c Config) GoString() string { return c.String() }

// DefaultConfig receives nothing.
func DefaultConfig() Config {
	return Config{MaxBodyBytes: 4 << 20, MaxInFlightBytes: 64 << 20, Timeout: 10 * time.Second}
}

const minToken = 16

// Validate reports everything that is wrong with c. It reads no files.
func (c Config) Validate() error {
	if c.Listen == "" {
		if c.Token != "" || c.TLS != (TLS{}) || c.Topic != "" {
			return errors.New("listen is missing")
		}
		return nil
	}
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: %q is not host:port", c.Listen))
	}
	switch {
	case c.Token == "" && c.TLS.ClientCAFile == "":
		errs = append(errs, errors.New("token or tls.client_ca_file is needed: whoever may write telemetry decides what is seen"))
	case c.Token != "" && len(c.Token) < minToken:
		errs = append(errs, fmt.Errorf("token has %d characters, needs at least %d", len(c.Token), minToken))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("tls: cert_file and key_file must be given together"))
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		errs = append(errs, errors.New("tls: client_ca_file needs cert_file and key_file"))
	}
	if c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 256<<20 {
		errs = append(errs, fmt.Errorf("max_body_bytes is %d, must be between 1 KiB and 256 MiB", c.MaxBodyBytes))
	}
	if c.MaxInFlightBytes < c.MaxBodyBytes {
		errs = append(errs, fmt.Errorf("max_in_flight_bytes is %d, must be at least max_body_bytes", c.MaxInFlightBytes))
	}
	if c.Timeout < time.Second || c.Timeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("timeout is %v, must be between 1s and 5m", c.Timeout))
	}
	return errors.Join(errs...)
}

// load reads the files that t names. It returns nil when there are none.
func (t TLS) load() (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			return &pair, err
		},
	}
	if t.ClientCAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read client_ca_file: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca_file %s holds no PEM certificate", t.ClientCAFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
