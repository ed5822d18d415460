package disk

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// isFull says whether a write failed for want of room, on the disk or in a quota.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// fullDisk holds writes back while the disk is full.
type fullDisk struct {
	fs      vfs.FS
	dir     string
	reserve uint64
	poll    time.Duration
	log     *slog.Logger
	gauge   prometheus.Gauge
	closing chan struct{}

	mu      sync.Mutex
	waiting int           // writes that wait
	began   time.Time     // when the first of them began to
	filled  chan struct{} // closed while the disk is full
	emptied chan struct{} // closed when it no longer is; nil: it is not full
}

func newFullDisk(o Options, gauge prometheus.Gauge) *fullDisk {
	return &fullDisk{fs: o.FS, dir: o.Dir, reserve: o.Reserve, poll: o.Poll, log: o.Log, gauge: gauge,
		closing: make(chan struct{}), filled: make(chan struct{})}
}

// persist tries the write each time that there is room, until it works or fails otherwise. When the store is closed before
// that it never returns: nothing may be written any more, nor may the database hear of it.
func (f *fullDisk) persist(write func() error) error {
	f.begin()
	defer f.end()
	for {
		select {
		case <-time.After(f.poll):
		case <-f.closing:
			select {}
		}
		if !f.room() {
			continue
		}
		if err := write(); !isFull(err) {
			return err
		}
	}
}

func (f *fullDisk) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting++; f.waiting == 1 {
		f.began = time.Now()
		close(f.filled)
		f.emptied = make(chan struct{})
		f.gauge.Set(1)
		f.log.Error("disk full: detection waits until there is room for its state", "dir", f.dir, "needed_bytes", f.reserve)
	}
}

func (f *fullDisk) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.filled = make(chan struct{})
		close(f.emptied)
		f.emptied = nil
		f.gauge.Set(0)
		f.log.Warn("disk has room again: detection goes on", "dir", f.dir, "after", time.Since(f.began).Round(time.Millisecond))
	}
}

// full returns a channel that is closed while the disk is full, or once it becomes so.
func (f *fullDisk) full() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.filled
}

// Held implements [state.Holder].
func (s *Store) Held() <-chan struct{} {
	s.full.mu.Lock()
	defer s.full.mu.Unlock()
	return s.full.emptied
}

func (f *fullDisk) room() bool {
	usage, err := f.fs.GetDiskUsage(f.dir)
	if err != nil {
		f.log.Debug("look at the free space of the disk", "dir", f.dir, "error", err)
		return true // the write itself will tell
	}
	return usage.AvailBytes >= min(f.reserve, usage.TotalBytes/8)
}
