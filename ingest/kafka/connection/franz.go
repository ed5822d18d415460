package connection

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// KgoOptions make a kgo.Client reach the cluster as everything else here does: brokers, client id, TLS, SASL. The dial
// timeout bounds TCP and TLS; SASL is bounded as each request is, by kgo.RequestTimeoutOverhead.
func (c *Cluster) KgoOptions() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(c.config.Brokers...), kgo.Dialer(c.dialLimited)}
	if c.config.ClientID != "" {
		options = append(options, kgo.ClientID(c.config.ClientID))
	}
	if m := c.config.SASL.franz(); m != nil {
		options = append(options, kgo.SASL(m))
	}
	return options
}

func (c *Cluster) dialLimited(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.DialTimeout)
	defer cancel()
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	return conn, nil
}

// franz is the mechanism for kgo, nil if there is none.
func (s SASL) franz() sasl.Mechanism {
	switch s.Mechanism {
	case Plain:
		return plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism()
	case ScramSHA256:
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()
	case ScramSHA512:
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()
	}
	return nil
}
