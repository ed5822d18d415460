package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/sinks"
)

// fakeDelivery acknowledges what the test says.
type fakeDelivery struct {
	alerts       []*alert.Alert
	acknowledged uint64
}

func (d *fakeDelivery) Enqueue(_ context.Context, records []sinks.Record) (uint64, error) {
	for _, r := range records {
		d.alerts = append(d.alerts, r.Alert)
	}
	return uint64(len(d.alerts)), nil
}
func (d *fakeDelivery) Acknowledged() uint64        { return d.acknowledged }
func (d *fakeDelivery) Drain(context.Context) error { return nil }

type fakeCommitter struct{ last map[event.Partition]int64 }

func (c *fakeCommitter) Commit(_ context.Context, next map[event.Partition]int64) error {
	c.last = next
	return nil
}

// failingLetters fails the first few times.
type failingLetters struct {
	failures int
	written  []ingest.Rejected
}

func (l *failingLetters) Write(_ context.Context, rejected []ingest.Rejected) error {
	if l.failures > 0 {
		l.failures--
		return errors.New("disk full")
	}
	l.written = append(l.written, rejected...)
	return nil
}

const testRules = `rules: [{id: r, title: t, detect: rate, by: client_id, window: 1m, limit: 3}]`

type fixture struct {
	*Pipeline
	delivery  *fakeDelivery
	committer *fakeCommitter
	letters   *failingLetters
}

// start runs a pipeline inside a synctest bubble.
func start(t *testing.T, maxPending int) (*fixture, func()) {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(testRules)})
	if err != nil {
		t.Fatal(err)
	}
	o := detector.DefaultOptions()
	o.Workers = 1
	f := &fixture{delivery: &fakeDelivery{}, committer: &fakeCommitter{}, letters: &failingLetters{}}
	f.Pipeline = New(Options{Engine: detector.New(set, o), Delivery: f.delivery, DeadLetters: f.letters, Committer: f.committer, MaxPending: maxPending})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return f, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// assign says that the partitions will come, from their beginnings.
func (f *fixture) assign(t *testing.T, partitions ...event.Partition) {
	t.Helper()
	next := map[event.Partition]int64{}
	for _, p := range partitions {
		next[p] = 0
	}
	if err := f.Assigned(t.Context(), next); err != nil {
		t.Fatal(err)
	}
}

// owner runs f in the goroutine that the fakes belong to.
func (f *fixture) owner(t *testing.T, do func()) {
	t.Helper()
	if err := f.Inspect(t.Context(), func(*detector.Engine) { do() }); err != nil {
		t.Fatal(err)
	}
}

// committed is the last committed position of p, -1 when there is none.
func (f *fixture) committed(t *testing.T, p event.Partition) (next int64) {
	t.Helper()
	f.owner(t, func() {
		var ok bool
		if next, ok = f.committer.last[p]; !ok {
			next = -1
		}
	})
	return next
}

// calls is a batch of one call a second by one client.
func calls(p event.Partition, first int64, n int, at event.Time) *event.Batch {
	b := &event.Batch{Partition: p, First: first, Next: first + int64(n)}
	for i := range n {
		b.Events = append(b.Events, event.Event{Time: at + event.Time(i*1000), Offset: first + int64(i), ClientID: "c" + fmt.Sprint(p.ID), Method: "GET", Path: "/", Route: "/", Status: 200})
	}
	return b
}

func TestPositionsAreCommittedBehindDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stop := start(t, 1000)
		defer stop()
		p := event.Partition{Topic: "t"}
		f.assign(t, p)
		if err := f.Receive(t.Context(), calls(p, 0, 100, 1_800_000_000_000), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock: several commits
		synctest.Wait()
		raised := 0
		f.owner(t, func() { raised = len(f.delivery.alerts) })
		if raised == 0 {
			t.Fatal("no alert")
		}
		if next := f.committed(t, p); next > 0 {
			t.Fatalf("committed %d before the alerts were delivered", next)
		}
		f.owner(t, func() { f.delivery.acknowledged = uint64(raised) })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// What waits for the watermark is read again after a restart: the batch is one piece.
		if next := f.committed(t, p); next != 0 {
			t.Fatalf("committed %d while events wait for the watermark", next)
		}
		if err := f.Receive(t.Context(), calls(p, 100, 1, 1_800_000_000_000+200_000), nil); err != nil {
			t.Fatal(err)
		}
		f.owner(t, func() { f.delivery.acknowledged = 1000 })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if next := f.committed(t, p); next != 100 {
			t.Fatalf("committed %d, want 100", next)
		}
	})
}

func TestOnlyThePartitionAheadIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stop := start(t, 50)
		defer stop()
		ahead, behind := event.Partition{Topic: "t", ID: 1}, event.Partition{Topic: "t", ID: 2}
		f.assign(t, ahead, behind)
		const at = 1_800_000_000_000
		const batches = 4 * inboxSize
		received := make(chan int, batches)
		go func() {
			for i := range batches {
				if f.Receive(t.Context(), calls(ahead, int64(i*100), 100, at+event.Time(i*100_000)), nil) == nil {
					received <- i
				}
			}
		}()
		synctest.Wait()
		if n := len(received); n > 2*inboxSize+2 { // those may be on their way when the gate shuts
			t.Fatalf("%d batches of the partition that is ahead were taken", n)
		}
		for i := range batches {
			if err := f.Receive(t.Context(), calls(behind, int64(i*100), 100, at+event.Time(i*100_000)), nil); err != nil {
				t.Fatal(err)
			}
		}
		for range batches { // now it may go on
			<-received
		}
	})
}

func TestDeadLettersAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stop := start(t, 1000)
		defer stop()
		f.owner(t, func() { f.letters.failures = 3 })
		p := event.Partition{Topic: "t"}
		f.assign(t, p)
		if err := f.Receive(t.Context(), calls(p, 0, 1, 1_800_000_000_000), []ingest.Rejected{{Partition: p, Reason: ingest.NotJSON}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		kept := 0
		f.owner(t, func() { kept = len(f.letters.written) })
		if kept != 1 {
			t.Errorf("%d letters were kept", kept)
		}
	})
}

func TestCheckpointsKeepTheFurthestSettledPosition(t *testing.T) {
	var c checkpoints
	p := event.Partition{Topic: "t"}
	at := func(n int64) map[event.Partition]int64 { return map[event.Partition]int64{p: n} }
	c.note(0, at(10))
	c.note(0, at(20)) // nothing raised since: the later position is as good
	c.note(5, at(30))
	c.note(9, at(40))
	for _, step := range []struct {
		acknowledged uint64
		want         map[event.Partition]int64
	}{{0, at(20)}, {4, nil}, {8, at(30)}, {8, nil}, {9, at(40)}} {
		if got := c.settled(step.acknowledged); !maps.Equal(got, step.want) {
			t.Errorf("settled(%d) = %v, want %v", step.acknowledged, got, step.want)
		}
	}
	for i := range 10 * maxNotes {
		c.note(uint64(100+i), at(int64(i)))
	}
	if len(c.notes) > maxNotes {
		t.Errorf("%d notes wait", len(c.notes))
	}
	if got := c.settled(1 << 40); got[p] != 10*maxNotes-1 {
		t.Errorf("the last position is %v", got)
	}
}
