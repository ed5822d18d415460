package syslog

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestTakenWaitsForTheOtherSide writes more than a receiver that reads nothing can hold, and then has the connection reset.
func TestTakenWaitsForTheOtherSide(t *testing.T) {
	l := listen(t)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	here := conn.(*net.TCPConn)
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	there := other.(*net.TCPConn)
	if err := taken(t.Context(), here); err != nil {
		t.Errorf("nothing was written: %v", err)
	}
	for err == nil {
		if err := here.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = here.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := taken(ctx, here); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("taken although the receiver is full: %v", err)
	}
	if err := errors.Join(there.SetLinger(0), there.Close()); err != nil {
		t.Fatal(err)
	}
	if err := taken(t.Context(), here); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("taken although the connection was reset: %v", err)
	}
}
