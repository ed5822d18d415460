package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// stamp names full files; its order is that of time.
const stamp = "20060102T150405.000000000"

// lines is a file that grows by whole lines.
type lines struct {
	config Config
	file   *os.File // nil: not open
	size   int64    // of file, up to the end of the last delivery
	reopen atomic.Bool
}

// append adds lines; after an error none of them is there.
func (l *lines) append(text []byte) error {
	if err := l.prepare(int64(len(text))); err != nil {
		return err
	}
	if err := l.write(text); err != nil {
		return errors.Join(err, l.undo())
	}
	l.size += int64(len(text))
	return nil
}

func (l *lines) write(lines []byte) error {
	if _, err := l.file.Write(lines); err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	if l.config.Sync == SyncBatch {
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("sync alerts: %w", err)
		}
	}
	return nil
}

// undo cuts the file to where the last delivery ended and closes it: after a failed sync the kernel may have dropped what
// it could not write, and only a file opened anew tells the truth.
func (l *lines) undo() error {
	err := l.file.Truncate(l.size)
	return errors.Join(err, l.shut())
}

// prepare sees to it that the file is open, is the one that has the name, and has room for n more bytes.
func (l *lines) prepare(n int64) error {
	if l.file != nil && (l.reopen.Swap(false) || l.moved()) {
		if err := l.shut(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.config.MaxSize > 0 && l.size > 0 && l.size+n > l.config.MaxSize {
		return l.rotate()
	}
	return nil
}

// moved reports whether the name now means another file or none.
func (l *lines) moved() bool {
	named, err := os.Stat(l.config.Path)
	if err != nil {
		return true
	}
	open, err := l.file.Stat()
	return err != nil || !os.SameFile(named, open)
}

func (l *lines) open() error {
	f, err := os.OpenFile(l.config.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("open alert file: %w", err)
	}
	l.file = f
	if l.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return errors.Join(fmt.Errorf("open alert file: %w", err), l.shut())
	}
	if err := l.endLine(); err != nil {
		return errors.Join(err, l.shut())
	}
	return nil
}

// endLine ends the line that a crash has torn, so that it harms only itself.
func (l *lines) endLine() error {
	last := []byte{'\n'}
	if l.size == 0 {
		return nil
	}
	// A device or a pipe has a size of 0 and does not get here.
	if _, err := l.file.ReadAt(last, l.size-1); err != nil {
		return fmt.Errorf("read end of alert file: %w", err)
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := l.file.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("end torn line: %w", err)
	}
	l.size++
	return nil
}

func (l *lines) shut() error {
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return fmt.Errorf("close alert file: %w", err)
	}
	return nil
}

// rotate puts the full file aside and opens a new one.
func (l *lines) rotate() error {
	if err := l.shut(); err != nil {
		return err
	}
	full := l.config.Path + "." + time.Now().UTC().Format(stamp)
	if err := os.Rename(l.config.Path, full); err != nil {
		return fmt.Errorf("rotate alert file: %w", err)
	}
	if err := l.open(); err != nil {
		return err
	}
	return l.prune()
}

// prune deletes the oldest full files beyond those to keep.
func (l *lines) prune() error {
	if l.config.Keep == 0 {
		return nil
	}
	full, err := l.full()
	if err != nil {
		return err
	}
	for len(full) > l.config.Keep {
		if err := os.Remove(full[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete old alert file: %w", err)
		}
		full = full[1:]
	}
	return nil
}

// full lists the files that rotation has put aside, oldest first. Other files beside them, a compressed one for example,
// are left alone.
func (l *lines) full() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(l.config.Path))
	if err != nil {
		return nil, fmt.Errorf("list alert files: %w", err)
	}
	var names []string
	prefix := filepath.Base(l.config.Path) + "."
	for _, e := range entries {
		name := e.Name()
		if len(name) != len(prefix)+len(stamp) || name[:len(prefix)] != prefix {
			continue
		}
		if _, err := time.Parse(stamp, name[len(prefix):]); err == nil {
			names = append(names, filepath.Join(filepath.Dir(l.config.Path), name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (l *lines) close() error {
	if l.file == nil {
		return nil
	}
	return l.shut()
}
