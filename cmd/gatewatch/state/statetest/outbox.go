package statetest

import (
	"errors"
	"strings"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

func outboxOrder(u *unit) {
	u.start()
	u.append(1, 3)
	u.append(4, 1)
	u.append(5, 300)
	u.both(func() {
		u.outbox(0, 1, 304)
		u.outbox(4, 5, 304)
		u.outbox(304, 1, 0)
		u.outbox(1000, 1, 0)
		if last := u.store.Last(); last != 304 {
			u.Fatalf("the last sequence is %d, want 304", last)
		}
	})
	u.append(305, 2)
	u.both(func() { u.outbox(300, 301, 306) })
}

func outboxFits(u *unit) {
	u.start()
	large := []state.Entry{{Sequence: 1, Data: []byte(strings.Repeat("a", 1000))}, {Sequence: 2, Data: []byte("b")}, {Sequence: 3, Data: []byte("c")}}
	if err := u.store.Append(u.Context(), large); err != nil {
		u.Fatal(err)
	}
	for _, c := range []struct {
		after uint64
		bytes int
		want  int
	}{{0, 1, 1}, {0, 1001, 2}, {0, 1 << 20, 3}, {1, 1 << 20, 2}, {1, 1, 1}, {1, 0, 1}, {3, 100, 0}} {
		got, err := u.store.After(u.Context(), c.after, c.bytes)
		if err != nil || len(got) != c.want {
			u.Errorf("after %d, %d bytes: %d entries, %v; want %d", c.after, c.bytes, len(got), err, c.want)
		}
	}
}

func trimming(u *unit) {
	u.start()
	u.append(1, 10)
	u.trim(4)
	u.outbox(0, 5, 10)
	u.trim(4)
	u.trim(2)
	u.both(func() { u.outbox(0, 5, 10) })
	u.append(11, 2)
	u.both(func() { u.outbox(0, 5, 12) })
}

func lastSurvives(u *unit) {
	u.start()
	u.append(1, 10)
	u.trim(10)
	u.both(func() {
		u.outbox(0, 1, 0)
		if last := u.store.Last(); last != 10 {
			u.Fatalf("the last sequence is %d, want 10", last)
		}
	})
	u.append(11, 1)
	u.both(func() { u.outbox(0, 11, 11) })
	u.trim(99)
	u.append(12, 1)
	u.both(func() { u.outbox(0, 12, 12) })
}

func settling(u *unit) {
	u.start()
	u.append(1, 3)
	want := map[string]uint64{"a": 3, "clickhouse:eu/west": 1, "c": 0}
	u.settle("a", 1)
	for sink, through := range want {
		u.settle(sink, through)
	}
	u.settled(want)
	u.both(func() { u.settled(want) })
	u.store.Settled()["a"] = 77
	u.trim(3)
	u.both(func() { u.settled(want) })
}

// independent sees that checkpoints neither hold back nor carry the outbox.
func independent(u *unit) {
	u.start()
	u.append(1, 5)
	u.stage(base(0, "a"))
	u.append(6, 5)
	m := u.commit(1, 0)
	u.stage(delta(0, "never"))
	u.append(11, 5)
	u.trim(2)
	u.settle("a", 2)
	u.both(func() {
		u.holds(m, base(0, "a"))
		u.outbox(0, 3, 15)
		u.settled(map[string]uint64{"a": 2})
	})
}

// ended allows either outcome but waits for none, and a later call works.
func ended(u *unit) {
	u.start()
	err := u.store.Append(ctxEnded(), entries(1, 1))
	n := int(u.store.Last())
	if err == nil && n != 1 {
		u.Fatalf("an append that worked left the last sequence at %d", n)
	}
	u.both(func() {
		n = int(u.store.Last())
		u.outbox(0, 1, n)
	})
	u.append(n+1, 1)
	u.both(func() { u.outbox(0, 1, n+1) })
}

func fencing(u *unit) {
	u.start()
	u.append(1, 1)
	u.stage(base(0, "a"))
	m := u.commit(1, 0)
	old := u.store
	u.store = u.open(true)
	u.holds(m, base(0, "a"))
	for name, err := range map[string]error{
		"append": old.Append(u.Context(), entries(2, 1)),
		"stage and commit": errors.Join(old.Stage(u.Context(), delta(0, "late")),
			old.Commit(u.Context(), Manifest(m.Number+1, 1))),
		"settle": old.Settle(u.Context(), "a", 1),
		"trim":   old.Trim(u.Context(), 1),
	} {
		if !errors.Is(err, state.ErrFenced) {
			u.Errorf("%s of the one before: %v, want %v", name, err, state.ErrFenced)
		}
	}
	u.append(2, 1)
	u.outbox(0, 1, 2)
	u.both(func() {
		u.holds(m, base(0, "a"))
		u.outbox(0, 1, 2)
		u.settled(nil)
	})
}

func (u *unit) trim(through uint64) {
	u.Helper()
	if err := u.store.Trim(u.Context(), through); err != nil {
		u.Fatalf("trim to %d: %v", through, err)
	}
}

func (u *unit) settle(sink string, through uint64) {
	u.Helper()
	if err := u.store.Settle(u.Context(), sink, through); err != nil {
		u.Fatalf("settle %s to %d: %v", sink, through, err)
	}
}
