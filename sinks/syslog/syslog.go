// Package syslog sends alerts and blind spots as syslog messages of RFC 5424, over TLS (RFC 5425), TCP (RFC 6587) or UDP (RFC 5426),
// each message a JSON object or CEF.
//
// Syslog has no answers. Over TLS and TCP each batch has a connection of its own, which is closed for writing at its end; a receiver
// that closes in turn has read everything before. Only then the batch counts as delivered. What was cut off is sent again, and a
// receiver tells what it knows already by id and version in the structured data.
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// Sink sends to one receiver.
type Sink struct {
	config   Config
	tls      *tls.Config
	facility int
	hostname string
}

// New returns a sink for a valid configuration. It reads certificates but does not connect: the receiver may come later.
func New(c Config) (*Sink, error) {
	s := &Sink{config: c, facility: slices.Index(facilities, c.Facility), hostname: c.hostname()}
	if c.Transport != TLS {
		return s, nil
	}
	var err error
	if s.tls, err = c.TLS.Load(); err != nil {
		return nil, fmt.Errorf("set up syslog sink: %w", err)
	}
	if s.tls.ServerName == "" {
		s.tls.ServerName, _, _ = net.SplitHostPort(c.Address)
	}
	return s, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "syslog" }

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	messages, refused := encode(batch, s.alertMessage)
	return s.deliver(ctx, messages, refused)
}

// DeliverBlindSpots implements [sinks.BlindSpotSink].
func (s *Sink) DeliverBlindSpots(ctx context.Context, batch []*alert.BlindSpot) error {
	messages, refused := encode(batch, s.blindSpotMessage)
	return s.deliver(ctx, messages, refused)
}

func encode[T any](batch []T, message func(T) ([]byte, error)) (messages [][]byte, refused []sinks.Refusal) {
	for i, v := range batch {
		m, err := message(v)
		if err != nil {
			refused = append(refused, sinks.Refusal{Index: i, Err: err})
			continue
		}
		messages = append(messages, m)
	}
	return messages, refused
}

func (s *Sink) deliver(ctx context.Context, messages [][]byte, refused []sinks.Refusal) error {
	if len(messages) > 0 {
		ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
		defer cancel()
		if err := s.send(ctx, messages); err != nil {
			return fmt.Errorf("send to syslog at %s over %s: %w", s.config.Address, s.config.Transport, err)
		}
	}
	return sinks.Refuse(refused)
}

func (s *Sink) send(ctx context.Context, messages [][]byte) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // whatever waits ends
	defer stop()
	if s.config.Transport == UDP {
		for _, m := range messages {
			if _, err := conn.Write(m); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := conn.Write(s.frame(messages)); err != nil {
		return err
	}
	return s.confirm(ctx, conn)
}

func (s *Sink) dial(ctx context.Context) (net.Conn, error) {
	switch s.config.Transport {
	case UDP:
		return (&net.Dialer{}).DialContext(ctx, "udp", s.config.Address)
	case TCP:
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.config.Address)
	}
	return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.config.Address)
}

func (s *Sink) frame(messages [][]byte) []byte {
	var b []byte
	for _, m := range messages {
		if s.config.Framing == Newline {
			b = append(append(b, m...), '\n')
			continue
		}
		b = append(strconv.AppendInt(b, int64(len(m)), 10), ' ')
		b = append(b, m...)
	}
	return b
}

// errUnconfirmed says that the receiver did not close the connection.
var errUnconfirmed = errors.New("the receiver has not confirmed the end of the batch by closing the connection; if it never does, set confirm: false")

// confirm says that nothing more comes and waits until the receiver closes.
func (s *Sink) confirm(ctx context.Context, conn net.Conn) error {
	closer, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the connection cannot be closed for writing")
	}
	if err := closer.CloseWrite(); err != nil {
		return err
	}
	if !s.config.Confirm {
		return nil
	}
	_, err := io.Copy(io.Discard, conn)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) { // the latter: closed without a word of TLS
		return taken(ctx, socket(conn))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errUnconfirmed
	}
	return err
}

func socket(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error { return nil }
