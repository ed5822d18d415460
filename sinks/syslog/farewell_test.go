package syslog

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// TestDiesBeforeWriting has a receiver read everything and then end as a process that is killed, or as one that has written it.
func TestDiesBeforeWriting(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, dies := range []bool{true, false} {
			t.Run(tls.VersionName(version), func(t *testing.T) {
				l := listen(t)
				var served sync.WaitGroup
				t.Cleanup(served.Wait)
				t.Cleanup(func() { _ = l.Close() })
				served.Go(func() {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					readThenEnd(tls.Server(conn, &tls.Config{Certificates: web.TLS.Certificates, MaxVersion: version}), dies)
				})
				c := configured(l.Addr().String())
				c.Transport, c.TLS.CAFile = TLS, certificateFile(t, web)
				err := open(t, c).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)})
				if dies && !errors.Is(err, errSilent) || !dies && err != nil {
					t.Errorf("dies %v: %v", dies, err)
				}
			})
		}
	}
}

func readThenEnd(conn *tls.Conn, dies bool) {
	_, _ = io.Copy(io.Discard, conn)
	if dies {
		_ = conn.NetConn().Close()
		return
	}
	_ = conn.Close()
}

// TestFarewellInPieces feeds records cut at every place.
func TestFarewellInPieces(t *testing.T) {
	ticket := append([]byte{recordApplication, 3, 3, 0, 22}, make([]byte, 22)...)
	goodbye := append([]byte{recordApplication, 3, 3, 0, 19}, make([]byte, 19)...)
	stream := append(append([]byte{}, ticket...), goodbye...)
	for at := range stream {
		f := &farewell{}
		f.watch(stream[:at])
		if f.said && at < len(ticket)+5 {
			t.Errorf("said after %d bytes", at)
		}
		f.watch(stream[at:])
		if !f.said {
			t.Errorf("cut at %d: not said", at)
		}
		f.watch(ticket)
		if f.said {
			t.Errorf("cut at %d: something came after it", at)
		}
	}
}
