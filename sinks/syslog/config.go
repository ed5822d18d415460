package syslog

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says which syslog receiver takes the alerts, and in which form.
type Config struct {
	Address   string   `yaml:"address"`   // host:port; 6514 is usual for TLS, 514 without
	Transport string   `yaml:"transport"` // tls, tcp or udp
	TLS       post.TLS `yaml:"tls"`

	Format   string `yaml:"format"`   // json or cef: what the message is
	Framing  string `yaml:"framing"`  // over TLS and TCP: octet_counting or newline
	Facility string `yaml:"facility"` // local0 to local7, authpriv, audit, …
	Hostname string `yaml:"hostname"` // that the messages come from; empty: this machine's
	AppName  string `yaml:"app_name"`

	// Confirm waits, after each batch, until the receiver has read to the end and closes the connection: syslog has no other
	// answer. Without it, what was in the network when a receiver died is lost.
	Confirm bool `yaml:"confirm"`

	// MaxMessageBytes is what the receiver takes at most; longer alerts lose evidence, then what they relate to and details. Over
	// UDP a message is a datagram, of at most 65,507 bytes.
	MaxMessageBytes int           `yaml:"max_message_bytes"`
	Timeout         time.Duration `yaml:"timeout"` // of a batch
}

// The values of Config.Transport, Format and Framing.
const (
	TLS           = "tls"
	TCP           = "tcp"
	UDP           = "udp"
	JSON          = "json"
	CEF           = "cef"
	OctetCounting = "octet_counting"
	Newline       = "newline"
)

// facilities are the codes of RFC 5424, section 6.2.1.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// DefaultConfig returns a configuration that lacks the address only.
func DefaultConfig() Config {
	return Config{
		Transport: TLS, Format: JSON, Framing: OctetCounting, Facility: "local0", AppName: "gatewatch", Confirm: true,
		MaxMessageBytes: 8192, Timeout: 10 * time.Second,
	}
}

const (
	minMessage = 480    // bytes that every receiver must take: RFC 5424, section 6.1
	maxUDP     = 65_507 // bytes that fit into a datagram over IPv4
)

// Validate reports everything that is wrong with c. It reads no files.
func (c Config) Validate() error {
	var errs []error
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		errs = append(errs, fmt.Errorf("address: %q is not host:port", c.Address))
	}
	for _, o := range []struct {
		name, value string
		valid       []string
	}{
		{"transport", c.Transport, []string{TLS, TCP, UDP}}, {"format", c.Format, []string{JSON, CEF}},
		{"framing", c.Framing, []string{OctetCounting, Newline}}, {"facility", c.Facility, facilities},
	} {
		if !slices.Contains(o.valid, o.value) {
			errs = append(errs, fmt.Errorf("%s is %q, must be one of %s", o.name, o.value, strings.Join(o.valid, ", ")))
		}
	}
	if c.Transport != TLS && c.TLS != (post.TLS{}) {
		errs = append(errs, errors.New("tls: options are given but transport is not tls"))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("tls: cert_file and key_file need each other"))
	}
	for name, text := range map[string]string{"hostname": c.Hostname, "app_name": c.AppName} {
		if limit := nameLimits[name]; len(text) > limit || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			errs = append(errs, fmt.Errorf("%s must be at most %d printable ASCII characters without spaces", name, limit))
		}
	}
	if c.MaxMessageBytes < minMessage || c.MaxMessageBytes > 1<<20 {
		errs = append(errs, fmt.Errorf("max_message_bytes is %d, must be between %d and 1 MiB", c.MaxMessageBytes, minMessage))
	}
	if c.Transport == UDP && c.MaxMessageBytes > maxUDP {
		errs = append(errs, fmt.Errorf("max_message_bytes is %d, a datagram takes at most %d", c.MaxMessageBytes, maxUDP))
	}
	if c.Timeout < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("timeout is %v, must be at least 100ms", c.Timeout))
	}
	return errors.Join(errs...)
}

var nameLimits = map[string]int{"hostname": 255, "app_name": 48}

func (c Config) hostname() string {
	name := c.Hostname
	if name == "" {
		name, _ = os.Hostname() // "-" says that it is not known
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "-"
	}
	return name
}
