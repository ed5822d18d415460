package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gatewatch/gatewatch/ingest"
)

// File appends letters as JSON lines. When it has grown beyond its bound it is renamed to *.1, which replaces the one before:
// rejected records never fill the disk. A file that somebody has moved or deleted is made anew.
type File struct {
	path  string
	most  int64 // bytes
	file  *os.File
	size  int64 // of file, up to the end of the last write
	lines bytes.Buffer
}

// OpenFile opens or makes the file; maxBytes bounds it.
func OpenFile(path string, maxBytes int64) (*File, error) {
	f := &File{path: path, most: maxBytes}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// Write implements [Writer]. The letters are on disk when it returns; what a failed write leaves is cut off again.
func (f *File) Write(_ context.Context, rejected []ingest.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	f.lines.Reset()
	now := time.Now()
	for _, r := range rejected {
		if err := encode(&f.lines, r, now); err != nil {
			return err
		}
	}
	if err := f.prepare(int64(f.lines.Len())); err != nil {
		return err
	}
	if err := f.append(f.lines.Bytes()); err != nil {
		return fmt.Errorf("write dead letters: %w", errors.Join(err, f.undo()))
	}
	return nil
}

func (f *File) append(lines []byte) error {
	if _, err := f.file.Write(lines); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.size += int64(len(lines))
	return nil
}

// undo cuts the file to where the last write ended, and closes it: after a failed sync only a file opened anew tells what
// is in it.
func (f *File) undo() error {
	err := f.file.Truncate(f.size)
	return errors.Join(err, f.Close())
}

// prepare sees to it that the file is open, is the one that has the name, and has room for n more bytes.
func (f *File) prepare(n int64) error {
	if f.file != nil && f.moved() {
		if err := f.Close(); err != nil {
			return err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+n > f.most {
		return f.rotate()
	}
	return nil
}

// moved reports whether the name now means another file or none.
func (f *File) moved() bool {
	named, err := os.Stat(f.path)
	if err != nil {
		return true
	}
	open, err := f.file.Stat()
	return err != nil || !os.SameFile(named, open)
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open dead letters: %w", err)
	}
	f.file = file
	if f.size, err = file.Seek(0, io.SeekEnd); err == nil {
		err = f.endLine()
	}
	if err != nil {
		return fmt.Errorf("open dead letters: %w", errors.Join(err, f.Close()))
	}
	return nil
}

// endLine ends the line that a crash has torn, so that it harms only itself.
func (f *File) endLine() error {
	if f.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.file.ReadAt(last, f.size-1); err != nil || last[0] == '\n' {
		return err
	}
	if _, err := f.file.WriteString("\n"); err != nil {
		return err
	}
	f.size++
	return nil
}

func (f *File) rotate() error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return fmt.Errorf("rotate dead letters: %w", err)
	}
	return f.open()
}

// Close implements [Writer].
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	if err != nil {
		return fmt.Errorf("close dead letters: %w", err)
	}
	return nil
}
