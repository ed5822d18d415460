package syslog

import (
	"encoding/json"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
	"github.com/gatewatch/gatewatch/sinks/syslog"
)

// TestKilledReceiver sends 50 alerts while rsyslog is killed or stopped again and again: what the sink called delivered stands in
// rsyslog's file, and each line is an alert.
func TestKilledReceiver(t *testing.T) {
	const alerts = 50
	r := newRsyslog(t)
	r.start(t)
	s := r.sink(t, "gatewatch")
	interrupted := 0
	for n := range alerts {
		batch := []*alert.Alert{sinktest.Alert(n, 1)}
		delivered := false
		if n%4 == 2 { // every other time it is killed, every other time it is stopped
			signal := []os.Signal{os.Kill, syscall.SIGTERM}[n/4%2]
			if delivered = r.deliverWhileEnding(t, s, batch, signal, time.Duration(n)*200*time.Microsecond); !delivered {
				interrupted++
			}
		}
		if !delivered {
			must(t, s.Deliver(t.Context(), batch))
		}
	}
	lines, found := r.lines(t, "alerts.jsonl"), map[string]bool{}
	for _, line := range lines {
		found[readAlert(t, line)] = true
	}
	for n := range alerts {
		if key := sinktest.Key(sinktest.Alert(n, 1)); !found[key] {
			t.Errorf("%s is missing", key)
		}
	}
	t.Logf("%d alerts in %d lines, %d deliveries interrupted", alerts, len(lines), interrupted)
}

// deliverWhileEnding sends a batch while the receiver ends, after a time that is about that of a delivery, and starts it again. It
// says whether the sink calls the batch delivered.
func (r *rsyslog) deliverWhileEnding(t *testing.T, s *syslog.Sink, batch []*alert.Alert, signal os.Signal, after time.Duration) bool {
	t.Helper()
	ended := make(chan struct{})
	time.AfterFunc(after, func() {
		r.end(signal)
		close(ended)
	})
	delivered := s.Deliver(t.Context(), batch) == nil
	<-ended
	if s.Deliver(t.Context(), batch) == nil {
		t.Error("delivered to nobody")
	}
	r.start(t)
	return delivered
}

// TestKilledBeforeWriting kills rsyslog when it has read an alert and cannot write it: the file is a pipe that nobody reads.
func TestKilledBeforeWriting(t *testing.T) {
	r := newRsyslog(t)
	must(t, syscall.Mkfifo(r.path("alerts.jsonl"), 0o600))
	r.start(t)
	if r.deliverWhileEnding(t, r.sink(t, "gatewatch"), []*alert.Alert{sinktest.Alert(1, 1)}, os.Kill, time.Second) {
		t.Error("delivered, although nothing was written")
	}
}

// readAlert returns the key of the alert in a line.
func readAlert(t *testing.T, line []byte) string {
	t.Helper()
	var a alert.Alert
	if err := json.Unmarshal(line, &a); err != nil {
		t.Errorf("%v in %q", err, line)
	}
	return sinktest.Key(&a)
}

// TestMessages holds that rsyslog understands what is sent: alerts in one file, in order, and blind spots in another.
func TestMessages(t *testing.T) {
	r := newRsyslog(t)
	r.start(t)
	s := r.sink(t, "gatewatch")
	must(t, s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1), sinktest.Alert(1, 2)}))
	must(t, s.DeliverBlindSpots(t.Context(), []*alert.BlindSpot{sinktest.BlindSpot(1, 1)}))
	lines := r.lines(t, "alerts.jsonl")
	if len(lines) != 2 || readAlert(t, lines[0]) != sinktest.Key(sinktest.Alert(1, 1)) || readAlert(t, lines[1]) != sinktest.Key(sinktest.Alert(1, 2)) {
		t.Errorf("alerts %q", lines)
	}
	var b alert.BlindSpot
	lines = r.lines(t, "blind-spots.jsonl")
	if len(lines) != 1 {
		t.Fatalf("blind spots %q", lines)
	}
	must(t, json.Unmarshal(lines[0], &b))
	if b.ID != sinktest.BlindSpot(1, 1).ID {
		t.Errorf("blind spot %+v", b)
	}
}

// TestStrangers holds that the receiver takes nothing from who has no certificate in gatewatch's name, and that the sink notices.
func TestStrangers(t *testing.T) {
	r := newRsyslog(t)
	r.start(t)
	for range 20 { // a driver that checks in most cases is not enough
		for _, certificate := range []string{"", "stranger"} {
			if err := r.sink(t, certificate).Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err == nil {
				t.Fatalf("a sender with certificate %q: delivered", certificate)
			}
		}
	}
	if lines := r.lines(t, "alerts.jsonl"); len(lines) > 0 {
		t.Errorf("taken from strangers: %q", lines)
	}
}
