package kafka

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/ingest"
	source "github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// process is a source that runs, with the decoder of the service.
type process struct {
	*source.Source
	*recorder
	log  *logs
	stop context.CancelFunc
	done chan error // what Run has returned
}

// config reads topic over the plain listener, in a group of its own, and notices changes soon.
func config(t *testing.T, topic string) source.Config {
	c := source.DefaultConfig()
	c.Brokers = []string{broker.Plain()}
	c.Topics = []string{topic}
	c.Group = unused(t, "group")
	// A broker that comes back waits for the death of the members it remembers: the session's timeout is felt after a restart.
	c.SessionTimeout, c.HeartbeatInterval, c.RevokeTimeout = 3*time.Second, 200*time.Millisecond, time.Second
	c.TopicInterval = 200 * time.Millisecond
	return c
}

// run starts a source; it ends with the test at the latest.
func run(t *testing.T, ctx context.Context, c source.Config) *process {
	t.Helper()
	must(t, c.Validate())
	p := &process{recorder: newRecorder(), log: &logs{}, done: make(chan error, 1)}
	var err error
	p.Source, err = source.New(source.Options{
		Config: c, Log: slog.New(slog.NewTextHandler(p.log, nil)),
		NewDecoder: func() source.Decoder { return ingest.NewDecoder(ingest.Options{}) },
	})
	must(t, err)
	ctx, p.stop = context.WithCancel(ctx)
	go func() {
		p.done <- p.Run(ctx, p.recorder)
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		<-p.done
		if t.Failed() {
			t.Log(p.log)
		}
	})
	return p
}

// end stops the source in order and fails the test if it has failed.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.stop()
	must(t, <-p.done)
}

// secured changes how c connects.
func secured(c source.Config, address string, tls connection.TLS, sasl connection.SASL) source.Config {
	c.Brokers, c.TLS, c.SASL = []string{address}, tls, sasl
	return c
}

// logs keeps what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
