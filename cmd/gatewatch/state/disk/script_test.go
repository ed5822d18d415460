package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

const scriptLanes = 5

// progress is how far a script has come: what has returned, or what has begun.
type progress struct {
	commit, append, trim, settle uint64
}

// script is a seeded run of a store, and what the store must hold at each point.
type script struct {
	random *rand.Rand
	store  *Store

	mu          sync.Mutex
	begun, done progress
	checkpoints []map[int][]string // by number: chunks by lane
}

func newScript(seed uint64, s *Store) *script {
	return &script{random: rand.New(rand.NewPCG(seed, 0)), store: s, checkpoints: []map[int][]string{{}}}
}

// injected is a file system whose operations can be watched and made to fail.
func injected(fs vfs.FS, inject func(errorfs.Op) error) vfs.FS {
	return reusing{errorfs.Wrap(fs, errorfs.InjectorFunc(inject))}
}

// reusing makes up for errorfs, which hands reused files out without injecting anything into them.
type reusing struct{ vfs.FS }

func (r reusing) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := r.Rename(from, to); err != nil {
		return nil, err
	}
	return r.OpenReadWrite(to, category)
}

// small makes little data flush, and obsolete chunks be compacted away.
func small(fs vfs.FS) Options {
	return Options{Dir: "state", FS: fs, memTable: 32 << 10, slack: 1}
}

func (p *script) seen() (begun, done progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun, p.done
}

func (p *script) run(ctx context.Context, steps int) error {
	for i := range steps {
		if err := p.step(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func (p *script) step(ctx context.Context) error {
	switch n := p.random.IntN(10); {
	case n < 4:
		return p.append(ctx)
	case n < 8:
		return p.checkpoint(ctx)
	case n == 8:
		return p.note(&p.begun.settle, &p.done.settle, p.done.append, func(n uint64) error { return p.store.Settle(ctx, "sink", n) })
	}
	return p.note(&p.begun.trim, &p.done.trim, p.done.settle, func(n uint64) error { return p.store.Trim(ctx, n) })
}

// note takes down that a call begins and, when it returns nil, that it is done.
func (p *script) note(begun, done *uint64, n uint64, call func(uint64) error) error {
	p.mu.Lock()
	*begun = n
	p.mu.Unlock()
	err := call(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		*done = n
	}
	return err
}

func (p *script) append(ctx context.Context) error {
	var entries []state.Entry
	for range 1 + p.random.IntN(5) {
		entries = append(entries, entry(p.done.append+1+uint64(len(entries))))
	}
	last := p.done.append + uint64(len(entries))
	return p.note(&p.begun.append, &p.done.append, last, func(uint64) error { return p.store.Append(ctx, entries) })
}

func entry(sequence uint64) state.Entry {
	return state.Entry{Sequence: sequence, Data: fmt.Appendf(statetest.Dense(sequence, 1500), "entry %d", sequence)}
}

func (p *script) checkpoint(ctx context.Context) error {
	number := p.done.commit + 1
	var bases []int
	now := map[int][]string{}
	for lane, chunks := range p.checkpoints[p.done.commit] {
		now[lane] = slices.Clone(chunks)
	}
	for lane := range scriptLanes {
		base := p.random.IntN(3) == 0 && lane > 0 // lane 0 keeps the oldest checkpoints
		if base {
			bases = append(bases, lane)
			delete(now, lane)
		}
		for i := range p.random.IntN(3) {
			c := state.Chunk{Lane: lane, Base: base, Data: fmt.Appendf(statetest.Dense(number, 2000), "%d %d %d", number, lane, i)}
			now[lane] = append(now[lane], string(c.Data))
			if err := p.store.Stage(ctx, c); err != nil {
				return err
			}
		}
	}
	p.mu.Lock()
	p.checkpoints = append(p.checkpoints, now)
	p.mu.Unlock()
	m := statetest.Manifest(number, scriptLanes, bases...)
	return p.note(&p.begun.commit, &p.done.commit, number, func(uint64) error { return p.store.Commit(ctx, m) })
}

// holds says how the store differs from what it may hold when what was done by then is in it, and perhaps what had begun.
func (p *script) holds(ctx context.Context, s *Store, done, begun progress) error {
	got := map[int][]string{}
	m, _, err := state.Read(ctx, s, func(c state.Chunk) error {
		got[c.Lane] = append(got[c.Lane], string(c.Data))
		return nil
	})
	if err != nil {
		return err
	}
	if m.Number < done.commit || m.Number > begun.commit {
		return fmt.Errorf("the checkpoint is %d, want %d to %d", m.Number, done.commit, begun.commit)
	}
	if err := p.same(m.Number, got); err != nil {
		return err
	}
	return p.outbox(ctx, s, done, begun)
}

func (p *script) same(number uint64, got map[int][]string) error {
	p.mu.Lock()
	want := p.checkpoints[number]
	p.mu.Unlock()
	for lane := range scriptLanes {
		if !slices.Equal(want[lane], got[lane]) {
			return fmt.Errorf("checkpoint %d: lane %d has %d chunks that are not the %d it had", number, lane, len(got[lane]), len(want[lane]))
		}
	}
	return nil
}

func (p *script) outbox(ctx context.Context, s *Store, done, begun progress) error {
	if n := s.Last(); n < done.append || n > begun.append {
		return fmt.Errorf("the last sequence is %d, want %d to %d", n, done.append, begun.append)
	}
	if n := s.Settled()["sink"]; n < done.settle || n > max(begun.settle, done.settle) {
		return fmt.Errorf("settled to %d, want %d to %d", n, done.settle, begun.settle)
	}
	entries, err := s.After(ctx, 0, 1<<30)
	if err != nil {
		return err
	}
	first := s.Last() - uint64(len(entries)) + 1
	if trimmed := first - 1; trimmed < done.trim || trimmed > max(begun.trim, done.trim) {
		return fmt.Errorf("trimmed to %d, want %d to %d", trimmed, done.trim, begun.trim)
	}
	for i, e := range entries {
		if want := entry(first + uint64(i)); e.Sequence != want.Sequence || string(e.Data) != string(want.Data) {
			return fmt.Errorf("entry %d is %d, or is damaged", want.Sequence, e.Sequence)
		}
	}
	return nil
}
