package syslog

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// taken returns once the receiver's machine has acknowledged every byte, and fails when it has reset the connection: a receiver
// that closes before anything has arrived looks, to a reader, like one that has read all of it.
func taken(ctx context.Context, conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for {
		queued, broken := 0, 0
		var errQueue, errBroken error
		err := raw.Control(func(fd uintptr) {
			queued, errQueue = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) // SIOCOUTQ: bytes that are not acknowledged
			broken, errBroken = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		})
		for _, err := range []error{err, errQueue, errBroken} {
			if err != nil {
				return err
			}
		}
		if broken != 0 {
			return syscall.Errno(broken)
		}
		if queued == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
