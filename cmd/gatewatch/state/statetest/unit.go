package statetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector/event"
)

// unit is one test's store, opened again and again.
type unit struct {
	*testing.T
	options Options
	open    Open
	store   state.Store
	number  uint64 // of the last checkpoint
}

func (u *unit) start() {
	u.Helper()
	u.store = u.open(false)
	u.Cleanup(func() { u.store.Close() })
}

// both runs the check after a clean stop and again after a crash.
func (u *unit) both(check func()) {
	u.Helper()
	if err := u.store.Close(); err != nil {
		u.Fatalf("close: %v", err)
	}
	u.store = u.open(false)
	check()
	u.store = u.open(true)
	check()
}

func (u *unit) stage(chunks ...state.Chunk) {
	u.Helper()
	for _, c := range chunks {
		c.Data = bytes.Clone(c.Data)
		if err := u.store.Stage(u.Context(), c); err != nil {
			u.Fatalf("stage a chunk of lane %d: %v", c.Lane, err)
		}
	}
}

func (u *unit) commit(lanes int, bases ...int) state.Manifest {
	u.Helper()
	u.number++
	m := Manifest(u.number, lanes, bases...)
	if err := u.store.Commit(u.Context(), m); err != nil {
		u.Fatalf("commit checkpoint %d: %v", m.Number, err)
	}
	return m
}

// holds fails unless the store loads exactly the manifest and, lane by lane, the chunks.
func (u *unit) holds(want state.Manifest, chunks ...state.Chunk) {
	u.Helper()
	got := map[int][]string{}
	m, ok, err := u.store.Load(u.Context(), func(c state.Chunk) error {
		got[c.Lane] = append(got[c.Lane], brief(c))
		return nil
	})
	if err != nil {
		u.Fatalf("load: %v", err)
	}
	if ok != (want.Number != 0) {
		u.Fatalf("load says %v to whether there is a checkpoint, want %d", ok, want.Number)
	}
	if diff := cmp.Diff(briefs(chunks), got); diff != "" {
		u.Fatalf("chunks (- want, + got):\n%s", diff)
	}
	if diff := Diff(want, m); ok && diff != "" {
		u.Fatalf("manifest (- want, + got):\n%s", diff)
	}
}

func briefs(chunks []state.Chunk) map[int][]string {
	all := map[int][]string{}
	for _, c := range chunks {
		all[c.Lane] = append(all[c.Lane], brief(c))
	}
	return all
}

// brief tells chunks apart in a line.
func brief(c state.Chunk) string {
	kind := "delta"
	if c.Base {
		kind = "base"
	}
	if len(c.Data) <= 24 {
		return fmt.Sprintf("%s %q", kind, c.Data)
	}
	return fmt.Sprintf("%s %q… of %d, sum %x", kind, c.Data[:8], len(c.Data), sum(c.Data))
}

func (u *unit) append(from, n int) {
	u.Helper()
	if err := u.store.Append(u.Context(), entries(from, n)); err != nil {
		u.Fatalf("append %d entries: %v", n, err)
	}
}

func entries(from, n int) []state.Entry {
	all := make([]state.Entry, n)
	for i := range all {
		sequence := uint64(from + i)
		all[i] = state.Entry{Sequence: sequence, Data: fmt.Appendf(nil, "entry %d", sequence)}
	}
	return all
}

// outbox fails unless all entries after the sequence are those of from to through.
func (u *unit) outbox(after uint64, from, through int) {
	u.Helper()
	var got []string
	for sequence := after; ; {
		page, err := u.store.After(u.Context(), sequence, 64)
		if err != nil {
			u.Fatalf("entries after %d: %v", sequence, err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, fmt.Sprintf("%d %s", e.Sequence, e.Data))
		}
		sequence = page[len(page)-1].Sequence
	}
	var want []string
	for _, e := range entries(from, through-from+1) {
		want = append(want, fmt.Sprintf("%d %s", e.Sequence, e.Data))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		u.Fatalf("outbox after %d (- want, + got):\n%s", after, diff)
	}
}

func (u *unit) settled(want map[string]uint64) {
	u.Helper()
	got := u.store.Settled()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		u.Fatalf("settled (- want, + got):\n%s", diff)
	}
}

// Manifest makes the manifest of a checkpoint, every field of it a function of the number.
func Manifest(number uint64, lanes int, bases ...int) state.Manifest {
	return state.Manifest{
		Number:   number,
		Engine:   fmt.Appendf(nil, "engine \x00 %d", number),
		Sequence: 10 * number,
		At:       time.UnixMilli(1_795_342_800_123).Add(time.Duration(number) * 5 * time.Second).UTC(),
		Lanes:    lanes,
		Bases:    bases,
		Positions: map[event.Partition]int64{
			{Topic: "gateway-access", ID: 0}:  1<<40 + int64(number),
			{Topic: "gateway-access", ID: 11}: int64(number),
			{Topic: "other", ID: 0}:           0,
		},
	}
}

// Diff returns how two manifests differ, "" if they do not.
func Diff(want, got state.Manifest) string {
	if !want.At.Equal(got.At) {
		return fmt.Sprintf("at: -%v +%v", want.At, got.At)
	}
	want.At, got.At = time.Time{}, time.Time{}
	if len(want.Bases) == 0 && len(got.Bases) == 0 {
		want.Bases, got.Bases = nil, nil
	}
	return cmp.Diff(want, got)
}

// Dense returns n bytes as an engine encodes entities: numbers that hardly compress among names that do.
func Dense(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 0, n+128)
	for len(data) < n {
		data = fmt.Appendf(data, "client-%06d", r.IntN(1_000_000))
		data = append(data, "/v1/users/{id}/profile\x02GB"[:8+r.IntN(17)]...)
		for range 5 {
			var word [8]byte
			for i := range word {
				word[i] = byte(r.Uint32())
			}
			data = append(data, word[:]...)
			data = append(data, 0, 0, byte(r.IntN(4)))
		}
	}
	return data[:n]
}

func ctxEnded() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
