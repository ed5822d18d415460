// Package file appends alerts as JSON lines to a file.
//
// The file is opened when the first alert arrives and opened anew when somebody has moved or deleted it, so that logrotate
// works with or without a signal. Its own rotation by size renames the full file to <path>.<time>.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// stamp names full files; its order is that of time.
const stamp = "20060102T150405.000000000"

// Sink appends to a file.
type Sink struct {
	config Config
	file   *os.File // nil: not open
	size   int64    // of file, up to the end of the last delivery
	buf    bytes.Buffer
	reopen atomic.Bool
}

// New returns a sink for a valid configuration.
func New(c Config) *Sink { return &Sink{config: c} }

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "file" }

// Reopen makes the next delivery open the file by its name again. Any goroutine may call it, on SIGHUP for example.
func (s *Sink) Reopen() { s.reopen.Store(true) }

// Check opens the file, so that a wrong path shows at the start and not with the first alert. It comes before the first
// Deliver.
func (s *Sink) Check(context.Context) error { return s.prepare(0) }

// Deliver implements [sinks.Sink]. What a failed delivery has written is cut off again, so that a full disk leaves neither
// torn lines nor duplicates.
func (s *Sink) Deliver(_ context.Context, batch []*alert.Alert) error {
	s.buf.Reset()
	refused := sinks.WriteLines(&s.buf, batch)
	if err := s.prepare(int64(s.buf.Len())); err != nil {
		return err
	}
	if err := s.write(s.buf.Bytes()); err != nil {
		return errors.Join(err, s.undo())
	}
	s.size += int64(s.buf.Len())
	return sinks.Refuse(refused)
}

func (s *Sink) write(lines []byte) error {
	if _, err := s.file.Write(lines); err != nil {
		return fmt.Errorf("write alerts: %w", err)
	}
	if s.config.Sync == SyncBatch {
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("sync alerts: %w", err)
		}
	}
	return nil
}

// undo cuts the file to where the last delivery ended and closes it: after a failed sync the kernel may have dropped what
// it could not write, and only a file opened anew tells the truth.
func (s *Sink) undo() error {
	err := s.file.Truncate(s.size)
	return errors.Join(err, s.shut())
}

// prepare sees to it that the file is open, is the one that has the name, and has room for n more bytes.
func (s *Sink) prepare(n int64) error {
	if s.file != nil && (s.reopen.Swap(false) || s.moved()) {
		if err := s.shut(); err != nil {
			return err
		}
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.config.MaxSize > 0 && s.size > 0 && s.size+n > s.config.MaxSize {
		return s.rotate()
	}
	return nil
}

// moved reports whether the name now means another file or none.
func (s *Sink) moved() bool {
	named, err := os.Stat(s.config.Path)
	if err != nil {
		return true
	}
	open, err := s.file.Stat()
	return err != nil || !os.SameFile(named, open)
}

func (s *Sink) open() error {
	f, err := os.OpenFile(s.config.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("open alert file: %w", err)
	}
	s.file = f
	if s.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return errors.Join(fmt.Errorf("open alert file: %w", err), s.shut())
	}
	if err := s.endLine(); err != nil {
		return errors.Join(err, s.shut())
	}
	return nil
}

// endLine ends the line that a crash has torn, so that it harms only itself.
func (s *Sink) endLine() error {
	last := []byte{'\n'}
	if s.size == 0 {
		return nil
	}
	// A device or a pipe has a size of 0 and does not get here.
	if _, err := s.file.ReadAt(last, s.size-1); err != nil {
		return fmt.Errorf("read end of alert file: %w", err)
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := s.file.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("end torn line: %w", err)
	}
	s.size++
	return nil
}

func (s *Sink) shut() error {
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("close alert file: %w", err)
	}
	return nil
}

// rotate puts the full file aside and opens a new one.
func (s *Sink) rotate() error {
	if err := s.shut(); err != nil {
		return err
	}
	full := s.config.Path + "." + time.Now().UTC().Format(stamp)
	if err := os.Rename(s.config.Path, full); err != nil {
		return fmt.Errorf("rotate alert file: %w", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.prune()
}

// prune deletes the oldest full files beyond those to keep.
func (s *Sink) prune() error {
	if s.config.Keep == 0 {
		return nil
	}
	full, err := s.full()
	if err != nil {
		return err
	}
	for len(full) > s.config.Keep {
		if err := os.Remove(full[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete old alert file: %w", err)
		}
		full = full[1:]
	}
	return nil
}

// full lists the files that rotation has put aside, oldest first. Other files beside them, a compressed one for example,
// are left alone.
func (s *Sink) full() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(s.config.Path))
	if err != nil {
		return nil, fmt.Errorf("list alert files: %w", err)
	}
	var names []string
	prefix := filepath.Base(s.config.Path) + "."
	for _, e := range entries {
		name := e.Name()
		if len(name) != len(prefix)+len(stamp) || name[:len(prefix)] != prefix {
			continue
		}
		if _, err := time.Parse(stamp, name[len(prefix):]); err == nil {
			names = append(names, filepath.Join(filepath.Dir(s.config.Path), name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	if s.file == nil {
		return nil
	}
	return s.shut()
}
