package sinktest

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestFreeze holds bytes back without closing the connection, and delivers them afterwards.
func TestFreeze(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	p := NewProxy(t, server.Addr().String())
	client, err := net.Dial("tcp", p.Addr)
	must(t, err)
	defer client.Close()
	accepted, err := server.Accept()
	must(t, err)
	defer accepted.Close()

	thaw := p.Freeze(t)
	_, err = client.Write([]byte("held"))
	must(t, err)
	got := make([]byte, 4)
	must(t, accepted.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if n, err := accepted.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes came through a frozen proxy, error %v", n, err)
	}
	thaw()
	must(t, accepted.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.ReadFull(accepted, got); err != nil || string(got) != "held" {
		t.Errorf("after the thaw came %q, error %v", got, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
