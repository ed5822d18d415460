//go:build unix

package file

import (
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// A limit on the size of files stands for a full disk: the write that crosses it ends in the middle of a line.
func TestFullDiskLeavesNoTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	s := New(config(path))
	deliver(t, s, 1)
	size := s.alerts.size
	batch := []*alert.Alert{sinktest.Alert(2, 1), sinktest.Alert(3, 1)}

	lift := limitFiles(t, uint64(size+size/2))
	err := s.Deliver(t.Context(), batch)
	lift()
	if err == nil {
		t.Fatal("delivered to a full disk")
	}
	if info, err := os.Stat(path); err != nil || info.Size() != size {
		t.Errorf("after the failure: %v, %v, want %d bytes", info.Size(), err, size)
	}
	must(t, s.Deliver(t.Context(), batch))
	must(t, s.Close(t.Context()))
	if n := len(read(t, path)); n != 3 {
		t.Errorf("%d alerts, want 3", n)
	}
}

func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	signal.Ignore(syscall.SIGXFSZ)
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: min(size, math.MaxInt64), Max: old.Max}))
	return func() {
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
		signal.Reset(syscall.SIGXFSZ)
	}
}
