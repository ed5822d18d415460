package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

var mechanisms = []string{connection.Plain, connection.ScramSHA256, connection.ScramSHA512}

func encrypted() connection.TLS { return connection.TLS{Enabled: true, CAFile: broker.CAFile()} }

func withCertificate() connection.TLS {
	tls := encrypted()
	tls.CertFile, tls.KeyFile = broker.ClientCertificate()
	return tls
}

func as(mechanism string) connection.SASL {
	return connection.SASL{Mechanism: mechanism, Username: realtest.User, Password: realtest.Password}
}

// TestAccess reads a topic in every way that a cluster may want to be spoken to.
func TestAccess(t *testing.T) {
	ctx := limited(t)
	topic := newTopic(t, ctx)
	produce(t, ctx, topic, 0, 0, 120)
	type access struct {
		name, address string
		tls           connection.TLS
		sasl          connection.SASL
	}
	cases := []access{
		{"TLS", broker.TLS(), encrypted(), connection.SASL{}},
		{"mutual TLS", broker.MutualTLS(), withCertificate(), connection.SASL{}},
	}
	for _, m := range mechanisms {
		cases = append(cases, access{m, broker.SASL(), connection.TLS{}, as(m)}, access{m + " over TLS", broker.SASLOverTLS(), encrypted(), as(m)})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := run(t, ctx, secured(config(t, topic), c.address, c.tls, c.sasl))
			p.untilRequests(t, ctx, 120)
			must(t, p.Commit(ctx, p.positions()))
			p.end(t)
			p.check(t, false)
		})
	}
}

// TestRefused ends with one error that says what to do, and does not betray the password.
func TestRefused(t *testing.T) {
	topic := newTopic(t, limited(t))
	const wrong = "not-the-password"
	type refusal struct {
		name, address string
		tls           connection.TLS
		sasl          connection.SASL
		advice        string
	}
	cases := []refusal{
		{"unknown authority", broker.TLS(), connection.TLS{Enabled: true}, connection.SASL{}, "tls.ca_file"},
		{"other name", broker.TLS(), connection.TLS{Enabled: true, CAFile: broker.CAFile(), ServerName: "example.org"}, connection.SASL{}, "tls.server_name"},
		{"no certificate", broker.MutualTLS(), encrypted(), connection.SASL{}, "tls.cert_file"},
	}
	for _, m := range mechanisms {
		sasl := connection.SASL{Mechanism: m, Username: realtest.User, Password: wrong}
		cases = append(cases, refusal{"wrong password, " + m, broker.SASL(), connection.TLS{}, sasl, "sasl.password"})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			p := run(t, ctx, secured(config(t, topic), c.address, c.tls, c.sasl))
			err := <-p.done
			if err == nil || !strings.Contains(err.Error(), c.advice) || !strings.Contains(err.Error(), c.address) {
				t.Errorf("%v; want the address %s and advice on %s", err, c.address, c.advice)
			}
			if strings.Contains(fmt.Sprint(err, p.log), wrong) {
				t.Errorf("the password was shown: %v\n%s", err, p.log)
			}
		})
	}
}
