package statetest

import (
	"fmt"
	"hash/crc32"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

func base(lane int, data string) state.Chunk {
	return state.Chunk{Lane: lane, Base: true, Data: []byte(data)}
}

func delta(lane int, data string) state.Chunk { return state.Chunk{Lane: lane, Data: []byte(data)} }

func sum(data []byte) uint32 { return crc32.ChecksumIEEE(data) }

func newStore(u *unit) {
	u.start()
	u.both(func() {
		u.holds(state.Manifest{})
		u.outbox(0, 1, 0)
		u.settled(nil)
		if last := u.store.Last(); last != 0 {
			u.Fatalf("the last sequence is %d", last)
		}
	})
}

func seed(u *unit) {
	u.start()
	first := u.store.Seed()
	u.both(func() {
		if got := u.store.Seed(); got != first {
			u.Fatalf("the seed was %d and is %d", first, got)
		}
	})
}

func basesAndDeltas(u *unit) {
	u.start()
	a := []state.Chunk{base(0, "a"), base(0, "b"), base(1, "c")}
	u.stage(a...)
	u.commit(3, 0, 1, 2)
	b := []state.Chunk{delta(1, "d"), delta(0, "e"), delta(2, "f"), delta(0, "g")}
	u.stage(b...)
	m := u.commit(3)
	u.both(func() { u.holds(m, append(a, b...)...) })
}

func obsolete(u *unit) {
	u.start()
	u.stage(base(0, "a"), base(1, "b"))
	u.commit(2, 0, 1)
	u.stage(delta(0, "c"), delta(1, "d"))
	u.commit(2)
	u.stage(base(0, "e"), base(0, "f"), delta(1, "g"))
	m := u.commit(2, 0)
	left := []state.Chunk{base(0, "e"), base(0, "f"), base(1, "b"), delta(1, "d"), delta(1, "g")}
	u.both(func() { u.holds(m, left...) })
	u.stage(delta(0, "h"), base(1, "i"))
	m = u.commit(2, 1)
	u.both(func() { u.holds(m, base(0, "e"), base(0, "f"), delta(0, "h"), base(1, "i")) })
}

func emptied(u *unit) {
	u.start()
	u.stage(base(0, "a"), base(1, "b"))
	u.commit(2, 0, 1)
	m := u.commit(2, 1)
	u.both(func() { u.holds(m, base(0, "a")) })
	m = u.commit(2, 0, 1)
	u.both(func() { u.holds(m) })
	u.stage(delta(1, "c"))
	m = u.commit(2)
	u.both(func() { u.holds(m, delta(1, "c")) })
}

func fewerLanes(u *unit) {
	u.start()
	u.stage(base(0, "a"), base(1, "b"), base(2, "c"), base(3, "d"))
	u.commit(4, 0, 1, 2, 3)
	u.stage(base(0, "e"), base(1, "f"))
	m := u.commit(2, 0, 1)
	u.both(func() { u.holds(m, base(0, "e"), base(1, "f")) })
	u.stage(delta(3, "g"))
	m = u.commit(4)
	u.both(func() { u.holds(m, base(0, "e"), base(1, "f"), delta(3, "g")) })
}

// idleLane keeps one lane as it is while another is written anew all the time.
func idleLane(u *unit) {
	u.start()
	u.stage(base(0, "idle"), base(1, "busy"))
	u.commit(2, 0, 1)
	u.stage(delta(0, "idle too"))
	u.commit(2)
	var m state.Manifest
	for range 40 {
		u.stage(base(1, "busy"))
		m = u.commit(2, 1)
	}
	u.both(func() { u.holds(m, base(0, "idle"), delta(0, "idle too"), base(1, "busy")) })
}

func unchanged(u *unit) {
	u.start()
	u.stage(base(0, "a"))
	u.commit(1, 0)
	u.commit(1)
	m := u.commit(1)
	u.both(func() { u.holds(m, base(0, "a")) })
}

func uncommitted(u *unit) {
	u.start()
	u.stage(base(0, "never"), base(9, "never"))
	u.both(func() { u.holds(state.Manifest{}) })
	u.stage(base(0, "a"))
	m := u.commit(1, 0)
	u.stage(base(0, "never"), delta(1, "never"))
	u.both(func() {
		u.holds(m, base(0, "a"))
		u.stage(base(0, "never again"))
	})
	u.holds(m, base(0, "a"))
	u.stage(delta(0, "b"))
	m = u.commit(2)
	u.both(func() { u.holds(m, base(0, "a"), delta(0, "b")) })
}

func manifests(u *unit) {
	u.start()
	m := u.commit(64, 0, 63)
	u.both(func() { u.holds(m) })
	u.number++
	m = state.Manifest{Number: u.number, Lanes: 64}
	if err := u.store.Commit(u.Context(), m); err != nil {
		u.Fatal(err)
	}
	u.both(func() {
		got, ok, err := u.store.Load(u.Context(), func(state.Chunk) error { return nil })
		if err != nil || !ok || got.Number != m.Number || len(got.Engine) != 0 || len(got.Positions) != 0 || got.Sequence != 0 {
			u.Fatalf("load of a manifest without anything: %+v, %v, %v", got, ok, err)
		}
	})
}

func sizes(u *unit) {
	u.start()
	var chunks []state.Chunk
	for i, n := range []int{0, 1, 4095, 65536, 128 << 10, 900 << 10, u.options.Big} {
		chunks = append(chunks, state.Chunk{Lane: i, Base: true, Data: Dense(uint64(i), n)})
	}
	u.stage(chunks...)
	m := u.commit(7, 0, 1, 2, 3, 4, 5, 6)
	u.both(func() { u.holds(m, chunks...) })
}

func manyChunks(u *unit) {
	u.start()
	var chunks []state.Chunk
	for i := range u.options.Chunks {
		chunks = append(chunks, delta(i%64, fmt.Sprintf("chunk %d", i)))
	}
	half := len(chunks) / 2
	u.stage(chunks[:half]...)
	u.commit(64)
	u.stage(chunks[half:]...)
	m := u.commit(64)
	u.both(func() { u.holds(m, chunks...) })
}
