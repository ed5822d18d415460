package kafka_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/kafka"
)

// preparing is a receiver that does something of its own when it gets partitions.
type preparing struct {
	*recorder
	prepare func(ctx context.Context, next map[event.Partition]int64) error
}

func (r preparing) Assigned(ctx context.Context, next map[event.Partition]int64) error {
	if err := r.prepare(ctx, next); err != nil {
		return err
	}
	return r.recorder.Assigned(ctx, next)
}

func run(t *testing.T, c kafka.Config, r preparing) (ended chan error, stop context.CancelFunc) {
	t.Helper()
	s, err := kafka.New(kafka.Options{Config: c, NewDecoder: func() kafka.Decoder { return &plain{} }})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Run(ctx, r) }()
	t.Cleanup(stop)
	return ended, stop
}

// What the receiver says wins over what was committed and over how far the source has read itself.
func TestReceiverSaysWhereToReadOn(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	produce(t, c, topic, 2, 0, 20)
	p := start(t, config(c), newRecorder())
	p.untilValues(t, 20)
	must(t, p.Commit(t.Context(), map[event.Partition]int64{{Topic: topic, ID: 0}: 5}))
	p.end(t)

	heard := map[event.Partition]int64{}
	first := true
	r := preparing{newRecorder(), func(_ context.Context, next map[event.Partition]int64) error {
		if first {
			heard[event.Partition{Topic: topic, ID: 0}] = next[event.Partition{Topic: topic, ID: 0}]
			heard[event.Partition{Topic: topic, ID: 1}] = next[event.Partition{Topic: topic, ID: 1}]
		}
		first = false
		next[event.Partition{Topic: topic, ID: 0}] = 2
		next[event.Partition{Topic: topic, ID: 1}] = 9
		return nil
	}}
	ended, stop := run(t, config(c), r)
	r.untilValues(t, 9)
	grow(t, c, 3) // another generation, which reads the same again
	r.until(t, "everything again", func() bool { return r.values["4"] == 2 && r.values["19"] == 2 && r.values["18"] == 2 })
	stop()
	must(t, <-ended)
	if heard[event.Partition{Topic: topic, ID: 0}] != 5 || heard[event.Partition{Topic: topic, ID: 1}] != -1 {
		t.Errorf("told that reading would begin at %v", heard)
	}
	if r.values["2"] != 0 || r.values["17"] != 0 {
		t.Error("read what the receiver did not want")
	}
	for _, problem := range r.problems {
		t.Error(problem)
	}
}

func TestReceiverThatIsNotReadyEndsRun(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	r := preparing{newRecorder(), func(context.Context, map[event.Partition]int64) error { return errors.New("no state") }}
	ended, _ := run(t, config(c), r)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no state") {
		t.Errorf("Run returned %v", err)
	}
	if r.revoked != 0 {
		t.Error("revoked what was not assigned")
	}
}

// A receiver may take longer to get ready than a session without heartbeats lasts.
func TestHeartbeatsGoOnWhileTheReceiverGetsReady(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, topic))
	var beats atomic.Int64
	enough := make(chan struct{})
	c.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if beats.Add(1) == 30 { // three times the session timeout
			close(enough)
		}
		return nil, nil, false
	})
	conf := config(c)
	conf.HeartbeatInterval, conf.SessionTimeout, conf.RevokeTimeout = 20*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	calls := 0
	r := preparing{newRecorder(), func(ctx context.Context, _ map[event.Partition]int64) error {
		calls++
		select {
		case <-enough:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	ended, stop := run(t, conf, r)
	produce(t, c, topic, 1, 0, 10)
	r.untilValues(t, 10)
	stop()
	must(t, <-ended)
	if calls != 1 {
		t.Errorf("the partition was assigned %d times", calls)
	}
	r.check(t, 10)
}

// A member that is not ready yet does not keep others from joining.
func TestGettingReadyEndsWithTheGeneration(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, topic))
	waiting, over := make(chan struct{}), make(chan struct{})
	calls := 0
	r := preparing{newRecorder(), func(ctx context.Context, _ map[event.Partition]int64) error {
		if calls++; calls > 1 {
			return nil
		}
		close(waiting)
		<-ctx.Done()
		close(over)
		return ctx.Err()
	}}
	ended, stop := run(t, config(c), r)
	<-waiting
	other := start(t, config(c), newRecorder())
	<-over
	other.untilAssigned(t, 1)
	r.until(t, "the other partition", func() bool { return len(r.next) == 1 })
	other.end(t)
	stop()
	must(t, <-ended)
}
