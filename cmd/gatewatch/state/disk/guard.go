package disk

import (
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardFS stands between the database and the disk. When the disk is full, writes wait and are tried until there is room
// (the library's own OnDiskFull tries once). Any other failed write stops the store: the database would end the process or
// panic, so it is not told; the goroutine that wrote never returns. After a failed sync nobody knows what is on the disk, so it
// is not tried again.
type guardFS struct {
	vfs.FS
	disk    *fullDisk
	failure *failure
	running atomic.Bool // failures while the store is opened are returned
}

// wait tries until the disk has room.
func (g *guardFS) wait(write func() error) error {
	err := write()
	if isFull(err) {
		err = g.disk.persist(write)
	}
	return err
}

// must does not return when the write fails for another reason than a full disk.
func (g *guardFS) must(write func() error) error { return g.stop(g.wait(write)) }

func (g *guardFS) stop(err error) error {
	if err != nil && g.running.Load() {
		g.failure.raise(err)
		select {}
	}
	return err
}

func (g *guardFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, guard: g}, nil
}

// Create implements [vfs.FS].
func (g *guardFS) Create(name string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	return g.file(f, g.must(func() (err error) {
		f, err = g.FS.Create(name, category)
		return err
	}))
}

// OpenReadWrite implements [vfs.FS].
func (g *guardFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (f vfs.File, err error) {
	return g.file(f, g.must(func() (err error) {
		f, err = g.FS.OpenReadWrite(name, category, o...)
		return err
	}))
}

// ReuseForWrite implements [vfs.FS].
func (g *guardFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	return g.file(f, g.must(func() (err error) {
		f, err = g.FS.ReuseForWrite(from, to, category)
		return err
	}))
}

// OpenDir implements [vfs.FS].
func (g *guardFS) OpenDir(name string) (vfs.File, error) { return g.file(g.FS.OpenDir(name)) }

// Rename implements [vfs.FS].
func (g *guardFS) Rename(from, to string) error {
	return g.must(func() error { return g.FS.Rename(from, to) })
}

// Link implements [vfs.FS]. Where links do not work the database copies.
func (g *guardFS) Link(from, to string) error {
	return g.wait(func() error { return g.FS.Link(from, to) })
}

// MkdirAll implements [vfs.FS].
func (g *guardFS) MkdirAll(dir string, mode os.FileMode) error {
	return g.wait(func() error { return g.FS.MkdirAll(dir, mode) })
}

// guardFile is a file that is written.
type guardFile struct {
	vfs.File
	guard *guardFS
}

// Write implements [vfs.File].
func (f *guardFile) Write(p []byte) (n int, err error) {
	err = f.guard.must(func() error {
		wrote, err := f.File.Write(p[n:])
		n += wrote
		return err
	})
	return n, err
}

// WriteAt implements [vfs.File].
func (f *guardFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.guard.must(func() error {
		wrote, err := f.File.WriteAt(p[n:], at+int64(n))
		n += wrote
		return err
	})
	return n, err
}

// Sync implements [vfs.File].
func (f *guardFile) Sync() error { return f.guard.stop(f.File.Sync()) }

// SyncData implements [vfs.File].
func (f *guardFile) SyncData() error { return f.guard.stop(f.File.SyncData()) }

// SyncTo implements [vfs.File].
func (f *guardFile) SyncTo(length int64) (fullSync bool, err error) {
	fullSync, err = f.File.SyncTo(length)
	return fullSync, f.guard.stop(err)
}
