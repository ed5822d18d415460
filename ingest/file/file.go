// Package file reads telemetry from files, one record a line: plain, gzip or zstd, told apart by content.
//
// Each file is a partition of its own, named by the file and numbered by its place in the list; the offset of a record is
// its line number, from 0. Several files are read in step by event time, so that what waits for the watermark stays small.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	Stop       <-chan struct{} // when closed, a pipe or terminal that gives nothing is waited for no longer; nil: never

	// MaxLine is the longest line in bytes; a longer one is rejected without being held in memory. It must not be less than
	// the decoders' limit on records, which is what rejects it.
	MaxLine int

	// Progress, when not nil, is told how many bytes of the files were read, compressed as they are, of how many; total is 0
	// when that is unknown.
	Progress func(read, total int64)
}

// Source reads files to their ends. One goroutine uses it.
type Source struct {
	options Options
	files   []*reading
	read    int64 // bytes
	total   int64 // bytes; 0: unknown
}

// Open opens all files, so that a missing one is told before any work is done.
func Open(o Options) (*Source, error) {
	s := &Source{options: o}
	unknown := false
	for i, name := range o.Names {
		f, size, err := s.open(name, int32(i))
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.files = append(s.files, f)
		s.total += size
		unknown = unknown || size == 0
	}
	if unknown {
		s.total = 0
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

// Run reads everything and returns at the end of the last file; a file that has ended is revoked at once, so that nobody
// waits for it. A file that breaks off (a truncated archive) is read as far as possible, then reported in the error, after
// the others were read to their ends. Run fails early only when the receiver does or ctx ends.
func (s *Source) Run(ctx context.Context, r ingest.Receiver) error {
	next := map[event.Partition]int64{}
	for _, f := range s.files {
		next[f.partition] = 0
	}
	if err := r.Assigned(ctx, next); err != nil {
		return err
	}
	for _, f := range s.files {
		f.given = max(0, next[f.partition])
		f.first = f.given
	}
	var broken []error
	for {
		f := s.earliest()
		if f == nil {
			return errors.Join(broken...)
		}
		if err := s.step(ctx, f, r); err != nil {
			return err
		}
		if f.ended && f.err != nil {
			broken = append(broken, fmt.Errorf("read %s: after line %d: %w", f.partition.Topic, f.line, brokenOff(f.err)))
		}
	}
}

// step reads one batch of a file.
func (s *Source) step(ctx context.Context, f *reading, r ingest.Receiver) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if batch, rejected := f.batch(s.options.MaxLine); batch != nil {
		if err := r.Receive(ctx, batch, rejected); err != nil {
			return err
		}
	}
	if f.ended {
		r.Revoked(ctx, f.partition)
	}
	if s.options.Progress != nil {
		s.options.Progress(s.read, s.total)
	}
	return nil
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
	lines     lineReader
	closers   []func() error
	decoder   *ingest.Decoder
	first     int64 // number of the first line that counts
	line      int64 // number of the next line
	given     int64 // number of the line after the last batch
	latest    event.Time
	ended     bool
	err       error // why it ended, nil at the end of the file
}

func (f *reading) close() error {
	var errs []error
	for i := len(f.closers) - 1; i >= 0; i-- {
		errs = append(errs, f.closers[i]())
	}
	f.closers = nil
	return errors.Join(errs...)
}

// Bounds of one batch.
const (
	batchEvents = 1024
	batchBytes  = 1 << 18
)

// batch reads lines until there is enough for a batch or the file ends. It returns nil when there was no record at all.
func (f *reading) batch(maxLine int) (*event.Batch, []ingest.Rejected) {
	first := f.line
	giants := map[int64]int{}
	for !f.ended && !f.enough(first) {
		f.add(maxLine, giants)
	}
	batch, rejected := f.decoder.Take()
	if batch == nil {
		return nil, nil
	}
	batch.First, batch.Next = f.given, f.line // blank lines included
	f.given = f.line
	for i := range batch.Events {
		f.latest = max(f.latest, batch.Events[i].Time)
	}
	for i := range rejected {
		if size, ok := giants[rejected[i].Offset]; ok {
			rejected[i].Size = size // the decoder has seen the beginning only
		}
	}
	return batch, rejected
}

func (f *reading) enough(first int64) bool {
	events, bytes := f.decoder.Len()
	return events >= batchEvents || bytes >= batchBytes || f.line-first >= batchEvents
}

// add decodes the next line. What stands before a break is not a line: the break is an error that says where.
func (f *reading) add(maxLine int, giants map[int64]int) {
	line, size, err := f.lines.next(maxLine)
	if err != nil {
		f.ended = true
		if err != io.EOF {
			f.err = err
			return
		}
		if size == 0 {
			return
		}
	}
	if size > len(line) {
		giants[f.line] = size
	}
	if f.line >= f.first && !blank(line) {
		f.decoder.Add(f.line, line)
	}
	f.line++
}

// brokenOff says what an unexpected end means to whoever has given the file.
func brokenOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file breaks off here: %w", err)
	}
	return err
}
