package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case Plain:
		return strict{plain.Mechanism{Username: s.Username, Password: s.Password}}, nil
	}
	algorithm := scram.SHA256
	if s.Mechanism == ScramSHA512 {
		algorithm = scram.SHA512
	}
	m, err := scram.Mechanism(algorithm, s.Username, s.Password)
	if err != nil {
		return nil, errors.New("username or password cannot be used with SCRAM") // the cause may quote them
	}
	return strict{m}, nil
}

// strict marks the errors of a mechanism, such as a proof that the broker finds wrong, as what they are.
type strict struct{ sasl.Mechanism }

func (m strict) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	session, first, err := m.Mechanism.Start(ctx)
	return strictSession{session}, first, err
}

type strictSession struct{ sasl.StateMachine }

func (s strictSession) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	done, response, err := s.StateMachine.Next(ctx, challenge)
	if err != nil {
		err = fmt.Errorf("%w: %w", kafka.SASLAuthenticationFailed, err)
	}
	return done, response, err
}

// Advice says what to do about an error of a connection that repeating will not repair: credentials or certificates that
// one side does not accept. It is "" for every other error.
//
// A broker that dies during authentication looks like one that refuses, so a caller should see the error more than once
// before it gives up.
func Advice(err error) string {
	switch {
	case errors.Is(err, kafka.SASLAuthenticationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check sasl.username and sasl.password"
	case errors.Is(err, kafka.UnsupportedSASLMechanism), errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "check sasl.mechanism: the broker does not offer it on this port"
	case errors.Is(err, kafka.IllegalSASLState), errors.Is(err, kerr.IllegalSaslState):
		return "the broker's port expects no SASL or another order: check sasl and the port"
	case is[x509.UnknownAuthorityError](err):
		return "check tls.ca_file: the broker's certificate is not signed by an authority in it"
	case is[x509.HostnameError](err):
		return "check tls.server_name: the broker's certificate is for another name"
	case is[x509.CertificateInvalidError](err):
		return "the broker's certificate is not valid"
	case is[tls.RecordHeaderError](err):
		return "the broker's port does not speak TLS: check tls.enabled and the port"
	case isAlert(err):
		return "the broker does not accept the TLS connection: check tls.cert_file and tls.key_file"
	}
	return ""
}

// isAlert reports whether the other side ended TLS and said why. crypto/tls marks that by the name of the operation alone.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
