package recovery

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// TestDiskFull fills the disk that the state is on while telemetry comes in. gatewatch says so, reads no further and loses
// nothing; when there is room it goes on.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t)
	s := newScene(t, 12*time.Minute, 2, stateIn(filepath.Join(disk, "state")))
	s.service.Start(t)
	const parts = 6
	s.produce(t, 0, parts)
	s.service.UntilMetric(t, s.ctx, "gatewatch_engine_events_total", func(n float64) bool { return n > 0 })
	ballast := fill(t, disk)
	s.produce(t, 1, parts)
	s.service.UntilMetric(t, s.ctx, "gatewatch_state_disk_full", func(v float64) bool { return v == 1 })
	for i := 2; i < parts; i++ {
		s.produce(t, i, parts)
	}
	realtest.Until(t, s.ctx, "the log to say why nothing happens", func() bool { return s.service.Logged("disk full") })
	s.standsStill(t)
	if s.inFile(t).Has(s.want) {
		t.Error("everything was delivered although nothing could be kept")
	}

	must(t, os.Remove(ballast))
	s.service.UntilMetric(t, s.ctx, "gatewatch_state_disk_full", func(v float64) bool { return v == 0 })
	s.finish(t)
}

// standsStill waits until nothing more is read for three seconds, with the process alive and telemetry left.
func (s *scene) standsStill(t *testing.T) {
	t.Helper()
	before, since := -1.0, time.Now()
	realtest.Until(t, s.ctx, "reading to stop", func() bool {
		s.service.MustRun(t)
		if n := s.counted(); n != before {
			before, since = n, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
	if before >= float64(len(s.lines)) {
		t.Errorf("all %v events were read although nothing could be kept", before)
	}
}

// smallDisk mounts a file system of 64 MiB, which needs root.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatewatch-disk-")
	must(t, err)
	if output, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount a disk that can be filled: %v: %s\nRun the test as root; a container needs CAP_SYS_ADMIN.", err, output)
	}
	t.Cleanup(func() {
		output, err := exec.Command("umount", "--lazy", dir).CombinedOutput()
		if err := errors.Join(err, os.Remove(dir)); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	return dir
}

// fill leaves no byte free and returns the file that takes the room.
func fill(t *testing.T, disk string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	must(t, err)
	defer f.Close()
	for page := make([]byte, 4096); ; {
		_, err := f.Write(page)
		if errors.Is(err, syscall.ENOSPC) {
			return f.Name()
		}
		must(t, err)
	}
}
