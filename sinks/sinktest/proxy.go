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

	mu    sync.Mutex
	mode  mode
	conns map[net.Conn]struct{}
}

type mode int

const (
	forward mode = iota
	down
	hang
)

// NewProxy listens on a free port of 127.0.0.1 until the test ends.
func NewProxy(t *testing.T, upstream string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), upstream: upstream, listener: l, conns: make(map[net.Conn]struct{})}
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

func (p *Proxy) become(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
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
			io.Copy(c, server)
			c.Close()
		})
		io.Copy(server, c)
	}
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
