package post

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says how an HTTP destination is reached.
type Config struct {
	URL string `yaml:"url"`

	// Plaintext allows http:// to another machine than this: credentials and alerts then cross the network readable.
	Plaintext bool `yaml:"plaintext"`

	// Proxy is http://host:port or https://host:port, with user:password@ if it wants that; "": what HTTPS_PROXY, HTTP_PROXY
	// and NO_PROXY of the environment say; "-": none.
	Proxy string `yaml:"proxy"`

	Gzip        bool          `yaml:"gzip"`
	DialTimeout time.Duration `yaml:"dial_timeout"` // of one connection, TLS included
	TLS         TLS           `yaml:"tls"`
}

// TLS says whom to trust and who gatewatch is. Certificates are always verified, and TLS is 1.2 at least.
type TLS struct {
	CAFile     string `yaml:"ca_file"`   // PEM; empty: the system's
	CertFile   string `yaml:"cert_file"` // PEM; empty: no client certificate
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"` // empty: the host of the address
}

// LogValue keeps secrets out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String keeps secrets out of messages, those of the configurations that embed this one too: it shows the host alone.
func (c Config) String() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "{}"
	}
	return "{" + u.Host + "}"
}

// GoString keeps secrets out of messages.
func (c Config) GoString() string { return c.String() }

// DefaultConfig returns a configuration that lacks the address only.
func DefaultConfig() Config { return Config{Gzip: true, DialTimeout: 10 * time.Second} }

// Validate reports everything that is wrong with c. Addresses can hold secrets, so that no error shows more of one than its
// host.
func (c Config) Validate() error {
	errs := []error{c.CheckURL("url", c.URL)}
	if _, err := c.proxy(); err != nil {
		errs = append(errs, err)
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, fmt.Errorf("dial_timeout is %v, must be positive", c.DialTimeout))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("tls.cert_file and tls.key_file need each other"))
	}
	return errors.Join(errs...)
}

// CheckURL reports what is wrong with the address that an option holds.
func (c Config) CheckURL(option, address string) error {
	if address == "" {
		return fmt.Errorf("%s is missing", option)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s must be https://host or https://host:port, with a path if there is one", option)
	case u.User != nil:
		return fmt.Errorf("%s must not hold a user or password: there are options for them", option)
	case u.Fragment != "":
		return fmt.Errorf("%s must not have a fragment (#…)", option)
	case u.Scheme == "http" && !c.Plaintext && !loopback(u.Hostname()):
		return fmt.Errorf("%s is http:// to %s, where everybody in between reads credentials and alerts: use https://, or set plaintext: true", option, u.Host)
	}
	return nil
}

// Behind returns what stands behind the host of the address, for destinations whose address is the secret.
func (c Config) Behind() []string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil
	}
	return []string{u.RawQuery, strings.TrimPrefix(u.EscapedPath(), "/")}
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// proxy returns how the transport finds its proxy.
func (c Config) proxy() (func(*http.Request) (*url.URL, error), error) {
	switch c.Proxy {
	case "":
		return http.ProxyFromEnvironment, nil
	case "-":
		return nil, nil
	}
	u, err := url.Parse(c.Proxy)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New(`proxy must be http://host:port or https://host:port, "-" for none, or empty for what the environment says`)
	}
	return http.ProxyURL(u), nil
}

// transport reads the files that c names. It speaks HTTP/1.1: requests come one after the other, and a connection of HTTP/2
// survives requests that time out, although it may be dead.
func (c Config) transport() (*http.Transport, error) {
	proxy, err := c.proxy()
	if err != nil {
		return nil, err
	}
	secure, err := c.TLS.Load()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: proxy, TLSClientConfig: secure, TLSHandshakeTimeout: c.DialTimeout,
		DialContext:         (&net.Dialer{Timeout: c.DialTimeout}).DialContext,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ExpectContinueTimeout: time.Second,
	}, nil
}

// Load reads the files that t names.
func (t TLS) Load() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		if _, err := t.certificate(nil); err != nil {
			return nil, err
		}
		config.GetClientCertificate = t.certificate
	}
	return config, nil
}

// certificate reads the client certificate, for each connection again: it may have been renewed.
func (t TLS) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	return &cert, nil
}
