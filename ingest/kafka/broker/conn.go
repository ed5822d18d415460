// Package broker talks to one Kafka broker: which brokers lead a topic's partitions, where partitions begin and end, and
// above all the records of a partition.
//
// Why it reads fetch responses itself, over connections that kafka-go has set up, instead of using kafka-go's readers:
// BenchmarkClients compares them. With records of 400 bytes from a real broker, a record takes this much of a core:
// kafka.Reader 1.7 µs, kafka.Client.Fetch 0.8 µs, kafka.Conn.ReadBatch 0.4 µs, this package 0.2 µs, half of which is the
// kernel's copying. kafka-go also hands transaction markers and aborted records out as if they were data. Compression, TLS,
// SASL and all other requests are kafka-go's.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Dialer opens authenticated connections; *connection.Cluster is one.
type Dialer interface {
	Dial(ctx context.Context, address string) (net.Conn, []kafka.ApiVersion, error)
}

// Options bound what a connection does.
type Options struct {
	ClientID string

	// Timeout is how long the broker may take for an answer, beyond the time that a fetch is meant to wait.
	Timeout time.Duration

	// MaxResponse bounds, in bytes, how much of one response is held in memory, and how much the decompression of one batch
	// of records may give. What is beyond is skipped and reported.
	MaxResponse int
}

// Conn is a connection to one broker. One goroutine owns it; only Close may be called from others.
type Conn struct {
	raw     net.Conn
	api     *protocol.Conn // on raw, for everything but fetches
	version int16          // of fetches
	id      int32          // of the last fetch
	options Options

	response Response
	buf      []byte // of response
	inflate  inflater
}

// Open connects to the broker at address.
func Open(ctx context.Context, d Dialer, address string, o Options) (*Conn, error) {
	raw, versions, err := d.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &Conn{raw: raw, api: protocol.NewConn(raw, o.ClientID), version: -1, options: o, inflate: inflater{limit: o.MaxResponse}}
	chosen := make(map[protocol.ApiKey]int16, len(versions))
	for _, v := range versions {
		key := protocol.ApiKey(v.ApiKey)
		chosen[key] = key.SelectVersion(v.MinVersion, v.MaxVersion)
		if key == protocol.Fetch && v.MaxVersion >= minFetch {
			c.version = min(maxFetch, v.MaxVersion)
		}
	}
	c.api.SetVersions(chosen)
	if c.version < 0 {
		raw.Close()
		return nil, fmt.Errorf("connect to broker %s: it is older than Kafka 0.11", address)
	}
	return c, nil
}

// Close ends the connection and whatever waits for it.
func (c *Conn) Close() error { return c.raw.Close() }

// ask sends a request and returns its answer.
func (c *Conn) ask(request protocol.Message) (protocol.Message, error) {
	if err := c.raw.SetDeadline(time.Now().Add(c.options.Timeout)); err != nil {
		return nil, err
	}
	return c.api.RoundTrip(request)
}

var errProtocol = errors.New("the broker's answer makes no sense")

func kafkaError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}
