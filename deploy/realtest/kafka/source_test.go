package kafka

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryCompression reads what two independent clients have written, each record once.
func TestEveryCompression(t *testing.T) {
	ctx := limited(t)
	topic := newTopic(t, ctx)
	const each = 5000
	n := 0
	for _, name := range slices.Sorted(maps.Keys(codecs)) {
		produce(t, ctx, topic, codecs[name], n, each)
		kcat(t, ctx, topic, name, n+each, each)
		n += 2 * each
	}
	p := run(t, ctx, config(t, topic))
	p.untilRequests(t, ctx, n)
	p.end(t)
	p.check(t, false)
}

// TestCommit goes on exactly where the group has committed.
func TestCommit(t *testing.T) {
	ctx := limited(t)
	topic := newTopic(t, ctx)
	produce(t, ctx, topic, 0, 0, 1200)
	first := run(t, ctx, config(t, topic))
	first.untilRequests(t, ctx, 1200)
	must(t, first.Commit(ctx, first.positions()))
	first.end(t)

	produce(t, ctx, topic, 0, 1200, 600)
	second := run(t, ctx, config(t, topic))
	second.untilRequests(t, ctx, 600)
	second.end(t)
	second.check(t, false)
	for id := range second.requests {
		if first.requests[id] > 0 {
			t.Errorf("request %s came again after its commit", id)
		}
	}
}

// TestTopicCreatedLater waits for a topic without making it, which brokers do for any client that asks in the usual way.
func TestTopicCreatedLater(t *testing.T) {
	ctx := limited(t)
	topic := unused(t, "telemetry")
	p := run(t, ctx, config(t, topic))
	p.untilLogged(t, ctx, "topic "+topic+" does not exist")
	if topicExists(t, ctx, topic) {
		t.Fatal("the source has created the topic")
	}
	must(t, broker.CreateTopic(ctx, topic, partitions))
	produce(t, ctx, topic, 0, 0, 1200)
	p.untilRequests(t, ctx, 1200)
	p.end(t)
	p.check(t, false)
	if n := strings.Count(p.log.String(), "does not exist"); n != 1 {
		t.Errorf("the missing topic was logged %d times", n)
	}
}

// TestRestart keeps reading through a broker that stops in order and one that dies. Nothing is lost, and nothing comes twice:
// the source knows how far it was.
func TestRestart(t *testing.T) {
	for name, restart := range map[string]func() error{
		"stopped": broker.Restart,
		"killed": func() error {
			if err := broker.Kill(); err != nil {
				return err
			}
			return broker.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := limited(t)
			topic := newTopic(t, ctx)
			produce(t, ctx, topic, 0, 0, 6000)
			p := run(t, ctx, config(t, topic))
			p.untilRequests(t, ctx, 6000)
			must(t, p.Commit(ctx, p.positions()))
			must(t, restart())
			produce(t, ctx, topic, 0, 6000, 6000)
			p.untilRequests(t, ctx, 12000)
			p.end(t)
			p.check(t, false)
		})
	}
}

// TestRebalance shares the partitions of a topic between two sources, and gives all to the one that stays.
func TestRebalance(t *testing.T) {
	ctx := limited(t)
	topic := newTopic(t, ctx)
	produce(t, ctx, topic, 0, 0, 1200)
	first := run(t, ctx, config(t, topic))
	first.untilRequests(t, ctx, 1200)
	must(t, first.Commit(ctx, first.positions()))

	second := run(t, ctx, config(t, topic))
	first.untilAssigned(t, ctx, partitions/2)
	second.untilAssigned(t, ctx, partitions/2)
	produce(t, ctx, topic, 0, 1200, 1200) // 100 to each partition
	first.untilRequests(t, ctx, 1800)
	second.untilRequests(t, ctx, 600)
	must(t, first.Commit(ctx, first.positions()))
	must(t, second.Commit(ctx, second.positions()))
	first.end(t)

	second.untilAssigned(t, ctx, partitions)
	produce(t, ctx, topic, 0, 2400, 1200)
	second.untilRequests(t, ctx, 1800)
	second.end(t)

	first.check(t, false)
	second.check(t, false)
	for id := range second.requests {
		if first.requests[id] > 0 {
			t.Errorf("both have read request %s", id)
		}
	}
	if n := len(first.requests) + len(second.requests); n != 3600 {
		t.Errorf("%d requests came, not 3600", n)
	}
}

// untilLogged waits until the source has logged text. Nothing says when: it is asked again and again.
func (p *process) untilLogged(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.log.String(), text) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%q was never logged:\n%s", text, p.log)
		}
	}
}

func topicExists(t *testing.T, ctx context.Context, topic string) bool {
	t.Helper()
	listing, err := exec.CommandContext(ctx, "kcat", "-L", "-b", broker.Plain()).CombinedOutput()
	if err != nil {
		t.Fatalf("kcat: %v\n%s", err, listing)
	}
	return strings.Contains(string(listing), `topic "`+topic+`"`)
}
