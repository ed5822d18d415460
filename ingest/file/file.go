// Package file reads telemetry from files, one record a line: plain, gzip or zstd, told apart by content.
//
// Each file is a partition of its own, named by the file and numbered by its place in the list; the offset of a record is
// its line number, from 0. Several files are read in step by event time, so that what waits for the watermark stays small.
package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
)

// Stdin is the name that means standard input.
const Stdin = "-"

// Options say what to read.
type Options struct {
	Names      []string // files, Stdin for standard input
	Stdin      io.Reader
	NewDecoder func() *ingest.Decoder
	// MaxLine is the longest line in bytes; a longer one is rejected without being held in memory.
	MaxLine int
	// Progress, when not nil, is told how many bytes of the files were read, compressed as they are, of how many; total is 0
	// when that is unknown.
	Progress func(read, total int64)
}

// Source reads files to their ends.
type Source struct {
	o     Options
	files []*reading
	read  int64
	total int64
}

// Open opens all files, so that a missing one is told before any work is done.
func Open(o Options) (*Source, error) {
	s := &Source{o: o}
	for i, name := range o.Names {
		f, err := s.open(name, int32(i))
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.files = append(s.files, f)
	}
	return s, nil
}

// Close closes the files.
func (s *Source) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	s.files = nil
	return errors.Join(errs...)
}

// Run reads everything and returns at the end of the last file. A file that breaks off (a truncated archive) is read as far
// as possible, then reported in the error, after the others were read to their ends.
func (s *Source) Run(ctx context.Context, r ingest.Receiver) error {
	for _, f := range s.files {
		r.Assigned(f.partition, 0)
	}
	var errs []error
	for {
		f := s.earliest()
		if f == nil {
			return errors.Join(errs...)
		}
		f.fill(s.o.MaxLine)
		if batch, rejected := f.decoder.Take(); batch != nil {
			f.note(batch)
			if err := r.Receive(ctx, batch, rejected); err != nil {
				return err
			}
		}
		if f.ended {
			if f.err != nil {
				errs = append(errs, fmt.Errorf("read %s after line %d: %w", f.partition.Topic, f.line, f.err))
			}
			r.Revoked(ctx, f.partition)
		}
		if s.o.Progress != nil {
			s.o.Progress(s.read, s.total)
		}
	}
}

// earliest returns the file whose latest event is the oldest: the one the others wait for.
func (s *Source) earliest() (first *reading) {
	for _, f := range s.files {
		if !f.ended && (first == nil || f.latest < first.latest) {
			first = f
		}
	}
	return first
}

// reading is one file being read.
type reading struct {
	partition event.Partition
	lines     *bufio.Reader
	closers   []func() error
	decoder   *ingest.Decoder
	line      int64 // number of the next line
	latest    event.Time
	ended     bool
	err       error
	long      []byte // a line that did not fit the buffer, up to the limit
}

func (s *Source) open(name string, number int32) (*reading, error) {
	f := &reading{partition: event.Partition{Topic: name, ID: number}, decoder: s.o.NewDecoder()}
	f.decoder.Begin(f.partition)
	var raw io.Reader = s.o.Stdin
	if name != Stdin {
		file, err := os.Open(name)
		if err != nil {
			return nil, err // names the file
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("open %s: is a directory; name the files in it", name)
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		s.total += info.Size()
		f.closers = append(f.closers, file.Close)
		raw = file
	}
	if err := f.decompress(&counting{raw, &s.read}); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.close())
	}
	return f, nil
}

// chunk is how much is read at a time.
const chunk = 1 << 18

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

func (f *reading) decompress(raw io.Reader) error {
	f.lines = bufio.NewReaderSize(raw, chunk)
	magic, _ := f.lines.Peek(4) // a shorter file is no archive
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(f.lines)
		if err != nil {
			return err
		}
		f.closers = append(f.closers, z.Close)
		f.lines = bufio.NewReaderSize(z, chunk)
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(f.lines, zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return err
		}
		f.closers = append(f.closers, func() error { z.Close(); return nil })
		f.lines = bufio.NewReaderSize(z, chunk)
	}
	return nil
}

func (f *reading) close() error {
	var errs []error
	for i := len(f.closers) - 1; i >= 0; i-- {
		errs = append(errs, f.closers[i]())
	}
	return errors.Join(errs...)
}

// Bounds of one batch.
const (
	batchEvents = 1024
	batchBytes  = 1 << 18
)

// fill adds lines to the decoder until there is a batch or the file ends.
func (f *reading) fill(maxLine int) {
	start := f.line
	for {
		if events, bytes := f.decoder.Len(); events >= batchEvents || bytes >= batchBytes || f.line-start >= batchEvents {
			return
		}
		line, err := f.next(maxLine)
		if len(line) > 0 {
			f.decoder.Add(f.line, line)
		}
		if len(line) > 0 || err == nil {
			f.line++
		}
		if err != nil {
			f.ended = true
			if err != io.EOF {
				f.err = err
			}
			return
		}
	}
}

// next returns the next line without its end; it is valid until the next call. Of a line beyond the limit it returns one
// byte more than the limit, which the decoder rejects for its size.
func (f *reading) next(maxLine int) ([]byte, error) {
	part, err := f.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return trim(part), err
	}
	f.long = append(f.long[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = f.lines.ReadSlice('\n')
		if room := maxLine + 1 - len(f.long); room > 0 {
			f.long = append(f.long, part[:min(room, len(part))]...)
		}
	}
	return trim(f.long), err
}

func trim(line []byte) []byte { return bytes.TrimRight(line, "\r\n") }

func (f *reading) note(b *event.Batch) {
	for i := range b.Events {
		f.latest = max(f.latest, b.Events[i].Time)
	}
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n *int64
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}
