package kafka

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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

// fake is a broker in this process.
type fake struct {
	*kfake.Cluster
	log *logs
}

func newFake(t *testing.T) *fake {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	t.Cleanup(c.Close)
	f := &fake{c, &logs{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.log)
		}
	})
	return f
}

func (f *fake) options() Options {
	c := connection.DefaultConfig()
	c.Brokers = f.ListenAddrs()
	return Options{
		Connection: c, Topic: "state", Partitions: 3, TransactionTimeout: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
}

// limited returns a context for waiting on the broker; a test that needs this long has failed.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (f *fake) topic(t *testing.T) *Topic {
	t.Helper()
	topic, err := OpenTopic(limited(t), f.options())
	must(t, err)
	t.Cleanup(topic.Close)
	return topic
}

// open opens partition 1 by a process of its own.
func (f *fake) open(t *testing.T) *Store {
	t.Helper()
	s, err := f.topic(t).Open(limited(t), 1)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func entries(from, n int) []state.Entry {
	all := make([]state.Entry, n)
	for i := range all {
		all[i] = state.Entry{Sequence: uint64(from + i), Data: []byte{byte(from + i)}}
	}
	return all
}
