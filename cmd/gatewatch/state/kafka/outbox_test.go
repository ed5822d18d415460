package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

// large are entries that do not fit in memory together; the fifth does not fit in one record.
func large(n int) []state.Entry {
	all := make([]state.Entry, n)
	for i := range all {
		size := 200_000
		if i == 4 {
			size = 2_500_000
		}
		all[i] = state.Entry{Sequence: uint64(i + 1), Data: statetest.Dense(uint64(i), size)}
	}
	return all
}

// A sink that is far behind reads from the topic what is not kept in memory.
func TestOutboxBeyondMemory(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	all := large(60)
	for i := 0; i < len(all); i += 3 {
		must(t, s.Append(limited(t), all[i:i+3]))
		must(t, s.Stage(limited(t), state.Chunk{Data: all[i].Data}))
	}
	for _, s := range []*Store{s, f.open(t)} {
		if s.index.outbox.bytes > recentLimit {
			t.Errorf("%d bytes are kept in memory", s.index.outbox.bytes)
		}
		for _, maxBytes := range []int{0, 500_000, 3_000_000, 1 << 30} {
			compare(t, s, all, 0, maxBytes)
		}
	}
	s = f.open(t)
	must(t, s.Trim(limited(t), 5))
	f.Compact()
	s = f.open(t)
	compare(t, s, all, 5, 1_000_000)
	if _, parts := s.index.outbox.parts[5]; parts {
		t.Error("a trimmed entry is remembered")
	}
}

// compare reads all entries after the sequence by pages.
func compare(t *testing.T, s *Store, all []state.Entry, after, maxBytes int) {
	t.Helper()
	for next := after; next < len(all); {
		page, err := s.After(limited(t), uint64(next), maxBytes)
		must(t, err)
		if len(page) == 0 {
			t.Fatalf("nothing after %d", next)
		}
		bytesRead := 0
		for _, e := range page {
			bytesRead += len(e.Data)
			if want := all[next]; e.Sequence != want.Sequence || !bytes.Equal(e.Data, want.Data) {
				t.Fatalf("entry %d of %d bytes, want %d of %d", e.Sequence, len(e.Data), want.Sequence, len(want.Data))
			}
			next++
		}
		if bytesRead > maxBytes && len(page) > 1 {
			t.Fatalf("%d bytes, want %d at most", bytesRead, maxBytes)
		}
		if next < len(all) && bytesRead+len(all[next].Data) <= maxBytes {
			t.Fatalf("%d bytes before entry %d, which fits in %d", bytesRead, next+1, maxBytes)
		}
	}
}

func TestSequencesRiseByOne(t *testing.T) {
	s := newFake(t).open(t)
	for _, from := range []int{0, 2} {
		if err := s.Append(limited(t), entries(from, 1)); err == nil {
			t.Errorf("the first sequence may be %d", from)
		}
	}
	must(t, s.Append(limited(t), nil))
	must(t, s.Append(limited(t), entries(1, 2)))
	if err := s.Append(limited(t), entries(2, 1)); err == nil {
		t.Error("a sequence was taken twice")
	}
	if err := s.Append(limited(t), append(entries(3, 1), entries(5, 1)...)); err == nil {
		t.Error("a sequence was left out")
	}
}

func TestTrimInSteps(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	n := 2*trimStep + 5
	must(t, s.Append(limited(t), entries(1, n)))
	must(t, s.Trim(limited(t), uint64(n-1)))
	for _, s := range []*Store{s, f.open(t)} {
		got, err := s.After(limited(t), 0, 1<<20)
		must(t, err)
		if len(got) != 1 || got[0].Sequence != uint64(n) {
			t.Errorf("%d entries are left", len(got))
		}
	}
}

func TestMissingEntries(t *testing.T) {
	f := newFake(t)
	must(t, f.open(t).Close())
	f.put(t, 1, "entry/5/0", "\x01x")
	if _, err := f.topic(t).Open(limited(t), 1); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("entries that were never trimmed are missing: %v", err)
	}
	f.put(t, 1, "trimmed", "4")
	s := f.open(t)
	if got, err := s.After(limited(t), 0, 1); err != nil || fmt.Sprint(got) != "[{5 [120]}]" {
		t.Errorf("entries %v, %v", got, err)
	}
}

// A manifest larger than a record, one that is smaller again, and both after compaction.
func TestLargeManifest(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	for n, size := range []int{10, 3_000_000, 1_500_000, 10} {
		m := statetest.Manifest(uint64(n+1), 3)
		m.Engine = statetest.Dense(uint64(n), size)
		must(t, s.Commit(limited(t), m))
		f.Compact()
		s = f.open(t)
		got, _, err := state.Read(limited(t), s, func(state.Chunk) error { return nil })
		must(t, err)
		if !bytes.Equal(m.Engine, got.Engine) {
			t.Fatalf("an engine of %d bytes differs", size)
		}
	}
	if s.index.manifestOf != 1 {
		t.Errorf("%d parts", s.index.manifestOf)
	}
}

func TestNumbersOfCheckpoints(t *testing.T) {
	s := newFake(t).open(t)
	for _, n := range []uint64{0, 2} {
		if err := s.Commit(limited(t), state.Manifest{Number: n}); err == nil {
			t.Errorf("the first checkpoint may be %d", n)
		}
	}
	if err := s.Stage(limited(t), state.Chunk{Lane: -1}); err == nil {
		t.Error("lane -1 was taken")
	}
}
