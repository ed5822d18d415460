package disk

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

// crash is what a disk may look like after the power went at one operation, and how far the run had come.
type crash struct {
	fs          *vfs.MemFS
	op          errorfs.Op
	n           int
	done, begun progress
}

// TestCrash cuts the power before every operation on the file system: what was not synced is there or not, block by block, at
// random. What is found afterwards is exactly the last commit that returned, or the one under way, and every entry whose
// append returned. The run is fixed by its seed, the order in which flushes in the background fall between is not.
func TestCrash(t *testing.T) {
	for _, c := range []struct {
		seed     uint64
		unsynced int // per cent of what was not synced that is there
	}{{1, 0}, {2, 50}, {3, 50}, {4, 100}} {
		t.Run(fmt.Sprintf("seed=%d/unsynced=%d", c.seed, c.unsynced), func(t *testing.T) {
			crashes, p := crashEverywhere(t, c.seed, c.unsynced)
			t.Logf("seed %d: %d operations, %d commits, %d entries", c.seed, len(crashes), p.done.commit, p.done.append)
			for _, c := range crashes {
				if err := survives(t, p, c); err != nil {
					t.Fatalf("power cut before operation %d, %v %s (done %+v, begun %+v): %v", c.n, c.op.Kind, c.op.Path, c.done, c.begun, err)
				}
			}
		})
	}
}

// cloneable keeps links and clones apart: MemFS takes one read lock twice in Link, and a clone that comes in between
// waits for ever, as do they.
type cloneable struct {
	*vfs.MemFS
	mu sync.Mutex
}

func (c *cloneable) Link(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.MemFS.Link(from, to)
}

func (c *cloneable) clone(cfg vfs.CrashCloneCfg) *vfs.MemFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.CrashClone(cfg)
}

func crashEverywhere(t *testing.T, seed uint64, unsynced int) (crashes []crash, p *script) {
	fs := &cloneable{MemFS: vfs.NewCrashableMem()}
	var mu sync.Mutex
	started := false
	watch := func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if !started {
			return nil
		}
		c := crash{op: op, n: len(crashes)}
		_, c.done = p.seen()
		c.fs = fs.clone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(seed, uint64(c.n)))})
		c.begun, _ = p.seen()
		crashes = append(crashes, c)
		return nil
	}
	if err := mustOpen(t, small(fs)).Close(); err != nil { // what it leaves behind must not be taken for what comes
		t.Fatal(err)
	}
	s := mustOpen(t, small(injected(fs, watch)))
	mu.Lock()
	p, started = newScript(seed, s), true
	mu.Unlock()
	if err := p.run(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return crashes, p
}

// survives opens what the crash left, compares, goes on a little, and opens it once more.
func survives(t *testing.T, p *script, c crash) error {
	s, err := Open(t.Context(), small(c.fs))
	if err != nil {
		return err
	}
	if err := p.holds(t.Context(), s, c.done, c.begun); err != nil {
		s.Close()
		return err
	}
	number := s.latest.Manifest.Number
	if err := s.Commit(t.Context(), statetest.Manifest(number+1, scriptLanes)); err != nil {
		s.Close()
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(t.Context(), small(c.fs)); err != nil {
		return fmt.Errorf("open once more: %w", err)
	}
	defer s.Close()
	if got := s.latest.Manifest.Number; got != number+1 {
		return fmt.Errorf("after the start checkpoint %d was committed, now the last is %d", number+1, got)
	}
	return p.outbox(t.Context(), s, c.done, c.begun)
}
