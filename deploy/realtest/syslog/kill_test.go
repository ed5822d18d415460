package syslog

import (
	"encoding/json"
	"os"
	"syscall"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// TestKilledReceiver sends 50 alerts while rsyslog is killed or stopped again and again: what the sink called delivered stands in
// rsyslog's file, and each line is an alert.
func TestKilledReceiver(t *testing.T) {
	const alerts = 50
	r := newRsyslog(t)
	r.start(t)
	s := r.sink(t, "gatewatch")
	failures := 0
	for n := range alerts {
		batch := []*alert.Alert{sinktest.Alert(n, 1)}
		delivered := false
		if n%5 == 2 { // its end meets the delivery at any moment
			signal := []os.Signal{syscall.SIGKILL, syscall.SIGTERM}[n/5%2]
			ended := make(chan struct{})
			go func() {
				r.end(signal)
				close(ended)
			}()
			delivered = s.Deliver(t.Context(), batch) == nil
			<-ended
			if err := s.Deliver(t.Context(), batch); err == nil {
				t.Error("delivered to nobody")
			}
			r.start(t)
		}
		for !delivered {
			if err := s.Deliver(t.Context(), batch); err != nil && t.Context().Err() != nil {
				t.Fatal(err)
			} else if err != nil {
				failures++
			} else {
				delivered = true
			}
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
	t.Logf("%d alerts in %d lines, %d failures while it ran", alerts, len(lines), failures)
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
	for _, certificate := range []string{"", "stranger"} {
		var s sinks.Sink = r.sink(t, certificate)
		if err := s.Deliver(t.Context(), []*alert.Alert{sinktest.Alert(1, 1)}); err == nil {
			t.Errorf("a sender with certificate %q: delivered", certificate)
		}
	}
	if lines := r.lines(t, "alerts.jsonl"); len(lines) > 0 {
		t.Errorf("taken from strangers: %q", lines)
	}
}
