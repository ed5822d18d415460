// Package kafka tests gatewatch's Kafka source against a real broker.
package kafka

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

var broker *realtest.Kafka

func TestMain(m *testing.M) {
	os.Exit(realtest.Main(m, func(s *realtest.Servers) (err error) {
		broker, err = s.Kafka()
		return err
	}))
}

// partitions of every topic here.
const partitions = 12

// codecs are kafka-go's and kcat's names of every compression that Kafka knows.
var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// limited returns a context for waiting on the broker; a test that needs this long has failed.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newTopic makes a topic that no other test uses.
func newTopic(t *testing.T, ctx context.Context) string {
	t.Helper()
	topic := unused(t, "telemetry")
	must(t, broker.CreateTopic(ctx, topic, partitions))
	return topic
}

// unused names a topic or group after the test.
func unused(t *testing.T, what string) string {
	return strings.ReplaceAll(t.Name(), "/", "-") + "-" + what
}

// lines are canonical events with the request ids first, first+1, … .
func lines(first, n int) string {
	var b strings.Builder
	start := time.Now().Add(-time.Hour)
	for i := range n {
		fmt.Fprintf(&b, `{"time":%q,"client_id":"app-%d","method":"GET","path":"/users/%d","status":200,"request_id":"%d"}`+"\n",
			start.Add(time.Duration(i)*time.Millisecond).UTC().Format(time.RFC3339Nano), i%7, i, first+i)
	}
	return b.String()
}

// produce writes events with kafka-go.
func produce(t *testing.T, ctx context.Context, topic string, codec kafka.Compression, first, n int) {
	t.Helper()
	written, err := broker.Produce(ctx, topic, partitions, codec, strings.NewReader(lines(first, n)))
	must(t, err)
	if written != n {
		t.Fatalf("%d of %d lines written", written, n)
	}
}

// kcat writes events with a client that shares no code with gatewatch.
func kcat(t *testing.T, ctx context.Context, topic, codec string, first, n int) {
	t.Helper()
	command := exec.CommandContext(ctx, "kcat", "-P", "-b", broker.Plain(), "-t", topic, "-z", codec)
	command.Stdin = strings.NewReader(lines(first, n))
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, output)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
