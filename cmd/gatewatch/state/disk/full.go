package disk

import (
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// fullDisk holds writes back while the disk is full.
type fullDisk struct {
	fs      vfs.FS // the one that is not held back
	dir     string
	reserve uint64
	poll    time.Duration
	log     *slog.Logger
	gauge   prometheus.Gauge
	once    sync.Once
	closing chan struct{}
}

func newFullDisk(o Options, gauge prometheus.Gauge) *fullDisk {
	return &fullDisk{fs: o.FS, dir: o.Dir, reserve: o.Reserve, poll: o.Poll, log: o.Log, gauge: gauge, closing: make(chan struct{})}
}

// giveUp lets the writes that wait fail.
func (f *fullDisk) giveUp() { f.once.Do(func() { close(f.closing) }) }

func (f *fullDisk) gaveUp() bool {
	select {
	case <-f.closing:
		return true
	default:
		return false
	}
}

// wait returns when there is room again. The write that found the disk full is tried once more after that.
func (f *fullDisk) wait() {
	began := time.Now()
	f.gauge.Set(1)
	f.log.Error("disk full: detection waits until there is room for its state", "dir", f.dir, "needed_bytes", f.reserve)
	for !f.room() {
		select {
		case <-time.After(f.poll):
		case <-f.closing:
			return
		}
	}
	f.gauge.Set(0)
	f.log.Warn("disk has room again: detection goes on", "dir", f.dir, "after", time.Since(began).Round(time.Millisecond))
}

func (f *fullDisk) room() bool {
	usage, err := f.fs.GetDiskUsage(f.dir)
	if err != nil {
		f.log.Debug("look at the free space of the disk", "dir", f.dir, "error", err)
		return false
	}
	return usage.AvailBytes >= min(f.reserve, usage.TotalBytes/8)
}
