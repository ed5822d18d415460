package clickhouse

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/clickhouse"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// The packaged server comes without certificates, so a terminator in front of it speaks TLS and asks for a client
// certificate.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert := selfSigned(t, dir)
	addr := terminateTLS(t, cert)
	good := config(addr, newDatabase(t))
	good.TLS = clickhouse.TLS{
		Enabled: true, CAFile: filepath.Join(dir, "cert.pem"), ServerName: "clickhouse.test",
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
	}
	s := open(t, good)
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}))
	must(t, s.Close(t.Context()))

	for name, change := range map[string]func(*clickhouse.TLS){
		"unknown CA":            func(c *clickhouse.TLS) { c.CAFile = "" },
		"another server":        func(c *clickhouse.TLS) { c.ServerName = "elsewhere.test" },
		"no client certificate": func(c *clickhouse.TLS) { c.CertFile, c.KeyFile = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			change(&bad.TLS)
			s := open(t, bad)
			if err := s.Check(t.Context()); err == nil {
				t.Error("connected")
			}
			must(t, s.Close(t.Context()))
		})
	}
}

// selfSigned makes a certificate that is its own authority, for both sides.
func selfSigned(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"clickhouse.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600))
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	return cert
}

// terminateTLS forwards what arrives encrypted to the server.
func terminateTLS(t *testing.T, cert tls.Certificate) (addr string) {
	t.Helper()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	must(t, err)
	var work sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { splice(c) })
		}
	})
	return l.Addr().String()
}

func splice(c net.Conn) {
	defer c.Close()
	if c.(*tls.Conn).Handshake() != nil {
		return
	}
	server, err := net.Dial("tcp", serverAddr)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(c, server)
		c.Close()
	})
	io.Copy(server, c)
	server.Close()
	back.Wait()
}
