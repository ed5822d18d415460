// Package connection sets connections to a Kafka cluster up: addresses, TLS, SASL. The Kafka source and everything that
// produces to Kafka share it. The package is a leaf: it imports nothing of gatewatch.
package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// Cluster makes connections to one Kafka cluster. It is immutable; any goroutine may use it.
type Cluster struct {
	config    Config
	tls       *tls.Config
	mechanism sasl.Mechanism
}

// New reads the files that a valid configuration names. It does not connect.
func New(c Config) (*Cluster, error) {
	tlsConfig, err := c.TLS.load()
	if err != nil {
		return nil, fmt.Errorf("set up TLS to Kafka: %w", err)
	}
	mechanism, err := c.SASL.mechanism()
	if err != nil {
		return nil, fmt.Errorf("set up SASL to Kafka: %w", err)
	}
	return &Cluster{config: c, tls: tlsConfig, mechanism: mechanism}, nil
}

// Addr is where the cluster is looked for: all configured brokers.
func (c *Cluster) Addr() net.Addr { return kafka.TCP(c.config.Brokers...) }

// Brokers are the configured addresses.
func (c *Cluster) Brokers() []string { return c.config.Brokers }

// Transport returns a new pool of connections, for kafka.Client and kafka.Writer. Its owner closes it with
// CloseIdleConnections.
func (c *Cluster) Transport() *kafka.Transport {
	dialer := &net.Dialer{Timeout: c.config.DialTimeout}
	return &kafka.Transport{
		Dial: dialer.DialContext, DialTimeout: c.config.DialTimeout, ClientID: c.config.ClientID, TLS: c.tls, SASL: c.mechanism,
	}
}

// Dialer returns a new dialer for single connections.
func (c *Cluster) Dialer() *kafka.Dialer {
	return &kafka.Dialer{
		DialFunc: c.dialBounded, Timeout: c.config.DialTimeout, ClientID: c.config.ClientID, SASLMechanism: c.mechanism,
	}
}

// dialBounded makes the timeout of kafka.Dialer hold for SASL too, during which it sets no deadline: closing the connection
// is what ends it. The context that it passes is cancelled when it is done, which must not close anything.
func (c *Cluster) dialBounded(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			raw.Close()
		}
	})
	return raw, nil
}

// Dial returns a connection to one broker over which Kafka requests can be sent, and the versions of them that the broker
// understands. It ends early with ctx, which has no meaning for the connection afterwards.
func (c *Cluster) Dial(ctx context.Context, address string) (net.Conn, []kafka.ApiVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.DialTimeout)
	defer cancel()
	raw, err := c.dial(ctx, "tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to broker: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	versions, err := c.greet(ctx, raw, address)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		raw.Close()
		return nil, nil, fmt.Errorf("connect to broker %s: %w", address, err)
	}
	return raw, versions, nil
}

// greet authenticates on raw and asks for versions. The kafka.Conn that does so is given up: with no request under way, it
// holds no byte of the connection back.
func (c *Cluster) greet(ctx context.Context, raw net.Conn, address string) ([]kafka.ApiVersion, error) {
	dialer := c.Dialer()
	dialer.DialFunc = func(context.Context, string, string) (net.Conn, error) { return raw, nil }
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	versions, err := conn.ApiVersions()
	if err != nil {
		return nil, err
	}
	return versions, raw.SetDeadline(time.Time{})
}

// dial opens a connection and encrypts it if the configuration says so.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: c.config.DialTimeout}).DialContext(ctx, network, address)
	if err != nil || c.tls == nil {
		return raw, err
	}
	config := c.tls.Clone()
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			raw.Close()
			return nil, err
		}
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("open TLS to broker %s: %w", address, err)
	}
	return secure, nil
}

func (t TLS) load() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	config := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile == "" {
		return config, nil
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate() }
	_, err := t.certificate()
	return config, err
}

func (t TLS) certificate() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read cert_file and key_file: %w", err)
	}
	return &pair, nil
}
