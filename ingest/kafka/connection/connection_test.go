package connection

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authority signs certificates and writes them to files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &authority{dir: t.TempDir(), key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	must(t, err)
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// sign makes name.pem and name.key, for the address 127.0.0.1 and the host name given.
func (a *authority) sign(t *testing.T, name, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host},
	}
	if host == "" {
		template.DNSNames, template.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	a.write(t, name+".pem", "CERTIFICATE", der)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	a.write(t, name+".key", "PRIVATE KEY", private)
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	must(t, err)
	return pair
}

// attempts are the four ways to reach a broker.
func attempts(ctx context.Context, c Config) map[string]error {
	errs := map[string]error{}
	cluster, err := New(c)
	if err != nil {
		return map[string]error{"new": err}
	}
	raw, versions, err := cluster.Dial(ctx, c.Brokers[0])
	if err == nil {
		if len(versions) == 0 {
			err = fmt.Errorf("no versions")
		}
		raw.Close()
	}
	errs["dial"] = err
	conn, err := cluster.Dialer().DialContext(ctx, "tcp", c.Brokers[0])
	if err == nil {
		_, err = conn.Brokers()
		conn.Close()
	}
	errs["dialer"] = err
	transport := cluster.Transport()
	defer transport.CloseIdleConnections()
	_, errs["transport"] = (&kafka.Client{Addr: cluster.Addr(), Transport: transport}).Metadata(ctx, &kafka.MetadataRequest{})
	errs["kgo"] = ping(ctx, cluster)
	return errs
}

func ping(ctx context.Context, cluster *Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append(cluster.KgoOptions(), kgo.RequestRetries(0), kgo.RequestTimeoutOverhead(time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

func TestConnections(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	trusted.sign(t, "client", "client")
	stranger.sign(t, "client", "client")
	clients := x509.NewCertPool()
	clients.AddCert(must1(x509.ParseCertificate(trusted.sign(t, "unused", "unused").Certificate[0])))
	roots := x509.NewCertPool()
	text, err := os.ReadFile(trusted.file("ca.pem"))
	must(t, err)
	roots.AppendCertsFromPEM(text)

	byAddress := &tls.Config{Certificates: []tls.Certificate{trusted.sign(t, "address", "")}}
	byName := &tls.Config{Certificates: []tls.Certificate{trusted.sign(t, "name", "kafka.example")}}
	mutual := &tls.Config{Certificates: byAddress.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	sasl := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(Plain, "u", "p"), kfake.Superuser(ScramSHA256, "u", "p"), kfake.Superuser(ScramSHA512, "u", "p")}

	for name, c := range map[string]struct {
		broker []kfake.Opt
		tls    TLS
		sasl   SASL
		advice string // empty: it works
	}{
		"plain":           {},
		"PLAIN":           {broker: sasl, sasl: SASL{Plain, "u", "p"}},
		"SCRAM-SHA-256":   {broker: sasl, sasl: SASL{ScramSHA256, "u", "p"}},
		"SCRAM-SHA-512":   {broker: sasl, sasl: SASL{ScramSHA512, "u", "p"}},
		"wrong password":  {broker: sasl, sasl: SASL{ScramSHA512, "u", "wrong"}, advice: "sasl.password"},
		"TLS":             {broker: []kfake.Opt{kfake.TLS(byAddress)}, tls: TLS{Enabled: true, CAFile: trusted.file("ca.pem")}},
		"TLS and SASL":    {broker: append([]kfake.Opt{kfake.TLS(byAddress)}, sasl...), tls: TLS{Enabled: true, CAFile: trusted.file("ca.pem")}, sasl: SASL{ScramSHA256, "u", "p"}},
		"server name":     {broker: []kfake.Opt{kfake.TLS(byName)}, tls: TLS{Enabled: true, CAFile: trusted.file("ca.pem"), ServerName: "kafka.example"}},
		"another name":    {broker: []kfake.Opt{kfake.TLS(byName)}, tls: TLS{Enabled: true, CAFile: trusted.file("ca.pem")}, advice: "tls.server_name"},
		"another CA":      {broker: []kfake.Opt{kfake.TLS(byAddress)}, tls: TLS{Enabled: true, CAFile: stranger.file("ca.pem")}, advice: "tls.ca_file"},
		"the system's CA": {broker: []kfake.Opt{kfake.TLS(byAddress)}, tls: TLS{Enabled: true}, advice: "tls.ca_file"},
		"unverified":      {broker: []kfake.Opt{kfake.TLS(byName)}, tls: TLS{Enabled: true, InsecureSkipVerify: true}},
		"client certificate": {broker: []kfake.Opt{kfake.TLS(mutual)}, tls: TLS{
			Enabled: true, CAFile: trusted.file("ca.pem"), CertFile: trusted.file("client.pem"), KeyFile: trusted.file("client.key"),
		}},
		"no client certificate": {broker: []kfake.Opt{kfake.TLS(mutual)}, tls: TLS{Enabled: true, CAFile: trusted.file("ca.pem")}, advice: "tls.cert_file"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(append(c.broker, kfake.NumBrokers(1))...)
			must(t, err)
			defer cluster.Close()
			config := DefaultConfig()
			config.Brokers, config.TLS, config.SASL, config.DialTimeout = cluster.ListenAddrs(), c.tls, c.sasl, 2*time.Second
			must(t, config.Validate())
			for way, err := range attempts(t.Context(), config) {
				if (way == "transport" || way == "kgo") && name == "wrong password" && err != nil {
					continue // this broker just hangs up, of which kafka.Transport and kgo make nothing
				}
				if (err != nil) != (c.advice != "") || err != nil && !strings.Contains(Advice(err), c.advice) {
					t.Errorf("%s: error %v, advice %q", way, err, Advice(err))
				}
			}
		})
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A broker that accepts connections and says nothing must not hold anybody for longer than the timeout, and Dial not for
// longer than its context.
func TestSilentBroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	config := DefaultConfig()
	config.Brokers = []string{listener.Addr().String()}
	config.SASL = SASL{Plain, "u", "p"}
	config.DialTimeout = 50 * time.Millisecond
	for way, err := range attempts(t.Context(), config) {
		if err == nil {
			t.Errorf("%s: connected", way)
		}
	}
	config.DialTimeout = time.Hour
	cluster, err := New(config)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := cluster.Dial(ctx, config.Brokers[0]); err == nil {
		t.Error("connected")
	}
}

func TestNewNamesTheFile(t *testing.T) {
	a := newAuthority(t)
	a.sign(t, "client", "client")
	garbage := a.file("garbage.pem")
	must(t, os.WriteFile(garbage, []byte("garbage"), 0o600))
	for name, bad := range map[string]TLS{
		"missing.pem": {Enabled: true, CAFile: a.file("missing.pem")},
		"garbage.pem": {Enabled: true, CAFile: garbage},
		"cert_file":   {Enabled: true, CertFile: garbage, KeyFile: a.file("client.key")},
	} {
		config := DefaultConfig()
		config.TLS = bad
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	config := DefaultConfig()
	config.SASL = SASL{Plain, "u", "secret-password"}
	var text strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "config", config, "sasl", config.SASL)
	slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "sasl", config.SASL)
	fmt.Fprintf(&text, "%v %+v %#v %s", config, config, config, config.SASL)
	if strings.Contains(text.String(), "secret-password") {
		t.Error(text.String())
	}
}

func TestConfig(t *testing.T) {
	must(t, DefaultConfig().Validate())
	bad := Config{
		Brokers: []string{"host", "host:1"}, TLS: TLS{CertFile: "x"}, SASL: SASL{Mechanism: "GSSAPI"},
	}
	for _, want := range []string{`"host"`, "dial_timeout", "cert_file and key_file", "enabled is false", "GSSAPI", "username", "password"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
	if err := (Config{SASL: SASL{Username: "u"}}).Validate(); err == nil || !strings.Contains(err.Error(), "no mechanism") || !strings.Contains(err.Error(), "brokers") {
		t.Error(err)
	}
}
