package blindspot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// TestKill restores from a checkpoint that is older than what was told, as after a kill: no id with two meanings, no interval
// without an end.
func TestKill(t *testing.T) {
	lag := Condition{Cause: alert.Lag, Wall: today, Topic: "access", Partition: 2}
	first := New(DefaultOptions())
	first.Note(lag)
	first.Note(Condition{Cause: alert.Retention, Wall: today, Topic: "access", Count: 7})
	first.Note(Condition{Cause: alert.BackPressure, Wall: today, Sink: "file"})
	checkpoint, err := first.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for second := range alert.Time(40) {
		for _, cause := range []Condition{lag, {Cause: alert.BackPressure, Sink: "file"}, {Cause: alert.Eviction, Kind: "token_id", Count: 5}} {
			cause.Wall = today + 1000*second
			if cause.Cause != alert.BackPressure || second < 5 {
				first.Note(cause)
			}
		}
	}
	outbox := first.Take(today + 40_000) // open: lag, eviction; closed: retention, back pressure

	second := New(DefaultOptions())
	if err := second.UnmarshalBinary(checkpoint); err != nil {
		t.Fatal(err)
	}
	for _, b := range outbox {
		second.Told(b, today+40_000)
	}
	var got []string
	for _, b := range second.Take(today + 80_000) {
		got = append(got, describe(b))
		before := find(outbox, b.ID)
		if before == nil || b.Version != before.Version+1 || b.State != alert.Closed {
			t.Errorf("%s is %s as version %d, was told before: %v", b.Cause, b.State, b.Version, before != nil)
		}
	}
	want := []string{"lag 00:00:00–00:00:39 topic=access partitions=[2]", "eviction 00:00:00–00:00:39 kinds=[token_id] count=200"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the kill (-want +got):\n%s", diff)
	}
}

func find(all []*alert.BlindSpot, id string) *alert.BlindSpot {
	for _, b := range all {
		if b.ID == id {
			return b
		}
	}
	return nil
}

func TestHostileState(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":         ``,
		"no JSON":         `{"version":1,"intervals":[`,
		"later version":   `{"version":2}`,
		"null":            `{"version":1,"intervals":[null]}`,
		"unknown cause":   `{"version":1,"intervals":[{"cause":"x","id":"1","from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:00Z"}]}`,
		"no id":           `{"version":1,"intervals":[{"cause":"lag"}]}`,
		"ends too early":  `{"version":1,"intervals":[{"cause":"lag","id":"1","from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}]}`,
		"unsorted":        `{"version":1,"intervals":[{"cause":"lag","id":"1","partitions":{"list":[2,1]}}]}`,
		"all and some":    `{"version":1,"intervals":[{"cause":"lag","id":"1","rules":{"all":true,"list":["a"]}}]}`,
		"negative number": `{"version":1,"intervals":[{"cause":"lag","id":"1","version":-1}]}`,
	} {
		r := New(DefaultOptions())
		if err := r.UnmarshalBinary([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if len(r.open)+len(r.ended) > 0 {
			t.Errorf("%s: a part was taken over", name)
		}
	}
}

// FuzzState restores from anything: an error or a recorder that works and can be kept again.
func FuzzState(f *testing.F) {
	r := New(DefaultOptions())
	r.Note(Condition{Cause: alert.Lag, Wall: today, Topic: "access", Partition: 2, Detail: "words"})
	r.Restart(today-5000, today)
	text, err := r.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(DefaultOptions())
		if r.UnmarshalBinary(data) != nil {
			return
		}
		r.Note(Condition{Cause: alert.Lag, Wall: today + 1000, Topic: "access", Partition: 3})
		recoded(t, r)
		r.Take(today + 60_000)
		if b := r.Close(); len(r.Open()) > 0 || len(r.ended) > 0 {
			t.Errorf("%d told at the end, and some are left", len(b))
		}
	})
}
