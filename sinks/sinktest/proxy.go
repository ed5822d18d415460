package sinktest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a sink and a TCP server and breaks the connection on demand.
type Proxy struct {
	Addr string // host:port for the sink

	upstream string
	listener net.Listener
	work     sync.WaitGroup

	mu     sync.Mutex
	mode   mode
	conns  map[net.Conn]struct{}
	thawed chan struct{} // closed unless bytes are held back
}

type mode int

const (
	forward mode = iota
	down
	hang
)

// NewProxy listens on a free port of 127.0.0.1 until the test ends.
func NewProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	return NewProxyAt(t, "127.0.0.1:0", upstream)
}

// NewProxyAt listens on a certain address until the test ends.
func NewProxyAt(t testing.TB, address, upstream string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), upstream: upstream, listener: l, conns: make(map[net.Conn]struct{}), thawed: make(chan struct{})}
	close(p.thawed)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.become(down)
		p.work.Wait()
	})
	return p
}

// Down cuts all connections and closes new ones at once, until up is called.
func (p *Proxy) Down(*testing.T) (up func()) {
	p.become(down)
	return func() { p.become(forward) }
}

// Hang cuts all connections and accepts new ones without ever answering, until release is called.
func (p *Proxy) Hang(*testing.T) (release func()) {
	p.become(hang)
	return func() { p.become(forward) }
}

// Freeze stops the bytes in both directions and closes nothing, as a cut cable does. What was sent meanwhile arrives after
// thaw is called.
func (p *Proxy) Freeze(*testing.T) (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw()
	p.thawed = make(chan struct{})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.thaw()
	}
}

// thaw lets bytes flow. p.mu is held.
func (p *Proxy) thaw() {
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

func (p *Proxy) become(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.thaw()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	switch p.admit(c) {
	case down:
	case hang:
		io.Copy(io.Discard, c)
	case forward:
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			return
		}
		defer server.Close()
		p.work.Go(func() {
			io.Copy(c, thawing{server, p})
			c.Close()
		})
		io.Copy(server, thawing{c, p})
	}
}

// thawing is a connection whose bytes are held back while the proxy is frozen.
type thawing struct {
	conn  net.Conn
	proxy *Proxy
}

func (r thawing) Read(b []byte) (int, error) {
	n, err := r.conn.Read(b)
	r.proxy.mu.Lock()
	thawed := r.proxy.thawed
	r.proxy.mu.Unlock()
	<-thawed
	return n, err
}

// admit notes c as one to be cut and returns what is to be done with it.
func (p *Proxy) admit(c net.Conn) mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode != down {
		p.conns[c] = struct{}{}
	}
	return p.mode
}
