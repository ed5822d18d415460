package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operatorServer answers what an operator's tools ask: /metrics, /healthz and /readyz.
type operatorServer struct {
	server   *http.Server
	listener net.Listener
	notReady atomic.Pointer[string] // nil: ready
}

// listenOperator opens the address, which fails at once when it is taken.
func listenOperator(address string, registry *prometheus.Registry) (*operatorServer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open http.listen %s: %w; choose another address or stop what uses this one", address, err)
	}
	s := &operatorServer{listener: listener}
	s.setNotReady("starting")
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	return s, nil
}

func (s *operatorServer) ready(w http.ResponseWriter, _ *http.Request) {
	if why := s.notReady.Load(); why != nil {
		http.Error(w, *why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *operatorServer) setReady() { s.notReady.Store(nil) }

func (s *operatorServer) setNotReady(why string) { s.notReady.Store(&why) }

// held is what /readyz says while detection waits.
const held = "detection is held up: see gatewatch_state_disk_full, gatewatch_outbox_blocking and gatewatch_sink_blocking"

// setHeld says whether detection waits. What else keeps the process from being ready goes on doing so.
func (s *operatorServer) setHeld(waits bool) {
	why := held
	switch now := s.notReady.Load(); {
	case waits && now == nil:
		s.notReady.CompareAndSwap(nil, &why)
	case !waits && now != nil && *now == held:
		s.notReady.CompareAndSwap(now, nil)
	}
}

func (s *operatorServer) address() string { return s.listener.Addr().String() }

// serve answers until close.
func (s *operatorServer) serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

func (s *operatorServer) close(ctx context.Context) error { return s.server.Shutdown(ctx) }
