package state_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/disk"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

func newStore(t *testing.T) state.Store {
	t.Helper()
	s, err := disk.Open(t.Context(), disk.Options{Dir: "state", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func records(from, n int) (all []sinks.Record) {
	for i := from; i < from+n; i++ {
		if i%3 == 0 {
			all = append(all, sinks.Record{BlindSpot: blindSpot(i)})
		} else {
			all = append(all, sinks.Record{Alert: sinktest.Alert(i, 1+i%4)})
		}
	}
	return all
}

func blindSpot(n int) *alert.BlindSpot {
	return &alert.BlindSpot{Schema: 1, ID: alert.NewBlindSpotID(alert.Lag, "topic", alert.Time(n)), Version: 2, State: alert.Update,
		Cause: alert.Lag, From: alert.Time(n), To: alert.Time(n + 1), Topic: "topic", Partitions: []int32{0, 7}, Rules: []string{"a"},
		Kinds: []string{"client_id"}, Sink: "s", Count: 9, Detail: "\"<&>\u2028"}
}

func left(t *testing.T, o *state.Outbox, after uint64) (all []sinks.Record, last uint64) {
	t.Helper()
	for last = after; ; {
		page, end, err := o.After(t.Context(), last, 10_000)
		must(t, err)
		if len(page) == 0 {
			return all, last
		}
		all, last = append(all, page...), end
	}
}

func TestOutboxGivesBackWhatItTook(t *testing.T) {
	o, want := state.NewOutbox(newStore(t)), records(1, 30)
	must(t, o.Append(t.Context(), want[:1]))
	must(t, o.Append(t.Context(), want[1:]))
	got, last := left(t, o, 0)
	if diff := cmp.Diff(want, got); diff != "" || last != 30 || o.Last() != 30 {
		t.Fatalf("last %d and %d; - want, + got:\n%s", last, o.Last(), diff)
	}
	raised, err := o.Raised(t.Context(), 28)
	must(t, err)
	wantRaised := map[state.Version]state.Raised{ // a blind spot is not raised by the engine
		{ID: want[28].Alert.ID, Version: want[28].Alert.Version}: {Sequence: 29, At: want[28].Alert.DetectedAt},
	}
	if diff := cmp.Diff(wantRaised, raised); diff != "" {
		t.Fatal(diff)
	}
}

// TestOutboxTrims removes a record only when all sinks in use have it and a checkpoint covers it.
func TestOutboxTrims(t *testing.T) {
	for _, c := range []struct {
		use       []string
		a, b      uint64
		committed uint64
		first     uint64 // of what is left
	}{
		{[]string{"a", "b"}, 10, 10, 0, 1},
		{[]string{"a", "b"}, 10, 10, 7, 8},
		{[]string{"a", "b"}, 10, 4, 7, 5},
		{[]string{"a", "b"}, 0, 10, 7, 1},
		{[]string{"a"}, 6, 0, 10, 7},
		{[]string{"a", "new"}, 6, 6, 10, 1},
		{[]string{}, 0, 0, 5, 6},
		{nil, 10, 10, 10, 1}, // Use was not called
		{[]string{"a", "b"}, 10, 10, 10, 11},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			o := state.NewOutbox(newStore(t))
			if c.use != nil {
				o.Use(c.use...)
			}
			must(t, o.Append(t.Context(), records(1, 10)))
			must(t, o.Settle(t.Context(), "a", c.a))
			must(t, o.Settle(t.Context(), "b", c.b))
			must(t, o.Committed(t.Context(), c.committed))
			must(t, o.Committed(t.Context(), 0))
			rest, last := left(t, o, 0)
			if uint64(len(rest)) != 11-c.first || o.Last() != 10 || len(rest) > 0 && last != 10 {
				t.Errorf("%d records are left through %d, want those from %d on", len(rest), last, c.first)
			}
		})
	}
}

func TestOutboxRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, c := range []struct {
		data string
		want error
	}{{"\x03{}", state.ErrVersion}, {"", state.ErrCorrupt}, {"\x01{", state.ErrCorrupt}, {"\x02[]", state.ErrCorrupt}, {"{}", state.ErrVersion}} {
		s := newStore(t)
		must(t, s.Append(t.Context(), []state.Entry{{Sequence: 1, Data: []byte(c.data)}}))
		o := state.NewOutbox(s)
		if _, _, err := o.After(t.Context(), 0, 1000); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.data, err, c.want)
		}
		if _, err := o.Raised(t.Context(), 0); !errors.Is(err, c.want) {
			t.Errorf("raised with %q: %v, want %v", c.data, err, c.want)
		}
	}
	o := state.NewOutbox(newStore(t))
	if err := o.Append(t.Context(), []sinks.Record{{}}); err == nil {
		t.Error("an empty record was taken")
	}
}

// FuzzOutbox reads hostile entries.
func FuzzOutbox(f *testing.F) {
	for _, seed := range []string{"", "\x01{}", "\x02{\"from\":\"x\"}", "\x01{\"id\":1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newStore(t)
		must(t, s.Append(t.Context(), []state.Entry{{Sequence: 1, Data: data}}))
		records, last, err := state.NewOutbox(s).After(t.Context(), 0, 1)
		if err == nil && (len(records) != 1 || last != 1 || (records[0].Alert == nil) == (records[0].BlindSpot == nil)) {
			t.Fatalf("%d records through %d: %+v", len(records), last, records)
		}
		if err != nil && !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrVersion) {
			t.Fatal(err)
		}
	})
}
