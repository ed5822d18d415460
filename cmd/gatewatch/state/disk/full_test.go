package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

// needsRoom are the operations that a full disk refuses. A sync that fails is no full disk to us: see TestSyncFails.
var needsRoom = []errorfs.OpKind{errorfs.OpCreate, errorfs.OpLink, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpMkdirAll,
	errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate}

// fullFS is a disk that fills up before chosen operations and has room again after it was asked a few times.
type fullFS struct {
	vfs.FS
	mu     sync.Mutex
	n      int           // operations so far
	fillAt map[int]bool  // numbers of operations; -1: the next
	polls  int           // until there is room; negative: never
	left   int           // polls left now
	full   bool          //
	filled chan struct{} // gets one each time
}

func newFullFS(fs vfs.FS, polls int, fillAt ...int) *fullFS {
	f := &fullFS{fillAt: map[int]bool{}, polls: polls, filled: make(chan struct{}, 1000)}
	for _, n := range fillAt {
		f.fillAt[n] = true
	}
	f.FS = injected(fs, f.refuse)
	return f
}

func (f *fullFS) refuse(op errorfs.Op) error {
	if !slices.Contains(needsRoom, op.Kind) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.fillAt[f.n] && !f.full {
		f.full, f.left = true, f.polls
		f.filled <- struct{}{}
	}
	if f.full {
		return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
	}
	return nil
}

func (f *fullFS) fill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fillAt[f.n+1] = true
}

func (f *fullFS) relieve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = false
}

func (f *fullFS) operations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// GetDiskUsage tells of a few bytes first, which are too few to go on.
func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == 0 {
		f.full = false
	}
	if f.full {
		return vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 40}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40}, nil
}

func fullOptions(fs vfs.FS) Options {
	o := small(fs)
	o.Poll = time.Millisecond
	return o
}

// TestFullDisk fills the disk at every operation that needs room, from the making of the folder on: each time the run goes on
// when there is room, and everything is there.
func TestFullDisk(t *testing.T) {
	const seed, steps = 7, 25
	run := func(t *testing.T, fillAt ...int) (operations int) {
		mem := vfs.NewCrashableMem()
		fs := newFullFS(mem, 3, fillAt...)
		s := mustOpen(t, fullOptions(fs))
		p := newScript(seed, s)
		if err := p.run(t.Context(), steps); err != nil {
			t.Fatalf("seed %d, full at %v: %v", seed, fillAt, err)
		}
		if err := s.Close(); err != nil && !errors.Is(err, errFull) { // it may be full once more just then
			t.Fatalf("seed %d, full at %v: %v", seed, fillAt, err)
		}
		s = mustOpen(t, small(mem.CrashClone(vfs.CrashCloneCfg{})))
		defer s.Close()
		if err := p.holds(t.Context(), s, p.done, p.done); err != nil {
			t.Fatalf("seed %d, full at %v: %v", seed, fillAt, err)
		}
		return fs.operations()
	}
	n := run(t)
	t.Logf("%d operations need room", n)
	for i := 1; i <= n; i++ {
		run(t, i, i+20, i+21, i+45)
	}
}

// TestFullDiskIsTold: one line when it begins, one when it ends, and a metric in between.
func TestFullDiskIsTold(t *testing.T) {
	fs, out := newFullFS(vfs.NewMem(), -1), &lines{}
	o := fullOptions(fs)
	o.Log = slog.New(slog.NewTextHandler(out, nil))
	s := mustOpen(t, o)
	defer s.Close()
	fs.fill()
	done := make(chan error, 1)
	go func() { done <- s.Append(t.Context(), []state.Entry{entry(1)}) }()
	<-fs.filled
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.full) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Settle(ctx, "sink", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("settle on a full disk: %v, want that it waits until its context ends", err)
	}
	select {
	case err := <-done:
		t.Fatalf("append on a full disk returned %v", err)
	default:
	}
	fs.relieve()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return testutil.ToFloat64(s.metrics.full) == 0 })
	if got := out.String(); strings.Count(got, "disk full") != 1 || strings.Count(got, "room again") != 1 {
		t.Errorf("log:\n%s", got)
	}
	if err := s.Append(t.Context(), []state.Entry{entry(2)}); err != nil {
		t.Fatal(err)
	}
}

// TestStopOnFullDisk: closing does not wait for room, and what was durable is there.
func TestStopOnFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := newFullFS(mem, -1)
	s := mustOpen(t, fullOptions(fs))
	p := newScript(1, s)
	if err := p.run(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	fs.fill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.append(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append: %v", err)
	}
	err := s.Close()
	t.Logf("close: %v", err)
	if err := s.Append(t.Context(), []state.Entry{entry(1)}); err == nil {
		t.Error("append after close worked")
	}
	begun, done := p.seen()
	s = mustOpen(t, small(mem.CrashClone(vfs.CrashCloneCfg{})))
	defer s.Close()
	if err := p.holds(t.Context(), s, done, begun); err != nil {
		t.Error(err)
	}
}

// TestWritesFail breaks every operation in turn, syncs included, with an error that is not a full disk: the store gives an
// error at the latest when it is closed, the process lives, and a new start finds what was durable.
func TestWritesFail(t *testing.T) {
	const seed, steps = 3, 25
	for n := 1; ; n++ {
		mem, broken, count := vfs.NewCrashableMem(), false, 0
		var mu sync.Mutex
		var where errorfs.Op
		fs := injected(mem, func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose {
				return nil
			}
			if count++; count == n {
				broken, where = true, op
			}
			if broken {
				return &os.PathError{Op: "write", Path: op.Path, Err: syscall.EIO}
			}
			return nil
		})
		s, err := Open(t.Context(), small(fs))
		if err != nil {
			continue
		}
		p := newScript(seed, s)
		runErr := p.run(t.Context(), steps)
		closeErr := s.Close()
		mu.Lock()
		wasBroken, at := broken, fmt.Sprintf("operation %d, %v %s", n, where.Kind, where.Path)
		mu.Unlock()
		begun, done := p.seen()
		s = mustOpen(t, small(mem.CrashClone(vfs.CrashCloneCfg{})))
		if err := p.holds(t.Context(), s, done, begun); err != nil {
			t.Errorf("broken from %s on (%v, %v): %v", at, runErr, closeErr, err)
		}
		s.Close()
		if !wasBroken {
			t.Logf("%d operations", n)
			return
		}
	}
}

func TestAfterAFailureNothingIsWritten(t *testing.T) {
	var mu sync.Mutex
	broken := false
	fs := injected(vfs.NewMem(), func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return syscall.EIO
		}
		return nil
	})
	s := mustOpen(t, small(fs))
	mu.Lock()
	broken = true
	mu.Unlock()
	first := s.Append(t.Context(), []state.Entry{entry(1)})
	mu.Lock()
	broken = false
	mu.Unlock()
	for name, err := range map[string]error{"append": first, "append again": s.Append(t.Context(), []state.Entry{entry(1)}),
		"stage": s.Stage(t.Context(), state.Chunk{}), "commit": s.Commit(t.Context(), statetest.Manifest(1, 1)),
		"settle": s.Settle(t.Context(), "sink", 1), "close": s.Close()} {
		if err == nil || !strings.Contains(err.Error(), "input/output error") || !strings.Contains(err.Error(), "state in state") {
			t.Errorf("%s: %v, want the input/output error and where it was", name, err)
		}
	}
}

// lines is a buffer for several goroutines.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that within 10 s")
		}
	}
}
