package clickhouse

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// dialer makes connections and can cut all of them at once.
type dialer struct {
	timeout time.Duration
	tls     *tls.Config // nil: plain

	mu   sync.Mutex
	open map[*conn]struct{}
}

// conn is a connection that its dialer forgets when it is closed.
type conn struct {
	net.Conn
	owner *dialer
}

func newDialer(timeout time.Duration, tls *tls.Config) *dialer {
	return &dialer{timeout: timeout, tls: tls, open: make(map[*conn]struct{})}
}

func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: d.timeout}
	var raw net.Conn
	var err error
	if d.tls == nil {
		raw, err = plain.DialContext(ctx, "tcp", address)
	} else {
		raw, err = (&tls.Dialer{NetDialer: plain, Config: d.tls}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, owner: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil { // cut has passed already
		raw.Close()
		return nil, err
	}
	d.open[c] = struct{}{}
	return c, nil
}

// cut closes all connections; whoever waits for them gets an error.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.open {
		c.Conn.Close()
	}
	clear(d.open)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}
