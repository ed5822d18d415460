//go:build unix

package deadletter

import (
	"fmt"
	"math"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gatewatch/gatewatch/ingest"
)

// A limit on the size of files stands for a full disk: the write that crosses it ends in the middle of a line.
func TestFullDiskLeavesNoTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	f, err := OpenFile(path, 1<<20)
	must(t, err)
	writeOne(t, f, 1)
	lift := limitFiles(t, uint64(f.size+f.size/2))
	err = f.Write(t.Context(), []ingest.Rejected{rejected(2)})
	lift()
	if err == nil {
		t.Fatal("written to a full disk")
	}
	writeOne(t, f, 2)
	must(t, f.Close())
	if got := fmt.Sprint(offsets(t, path)); got != "[1 2]" {
		t.Errorf("letters: %s", got)
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
