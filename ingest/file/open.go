package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
)

// open returns the file and its size in bytes, 0 if that is unknown.
func (s *Source) open(name string, number int32) (f *reading, size int64, err error) {
	f = &reading{partition: event.Partition{Topic: name, ID: number}, decoder: s.options.NewDecoder()}
	f.decoder.Begin(f.partition)
	raw := s.options.Stdin
	if name != Stdin {
		file, err := os.Open(name)
		if err != nil {
			return nil, 0, err // names the file
		}
		f.closers = append(f.closers, file.Close)
		raw = file
		if size, err = sizeOf(file); err != nil {
			return nil, 0, errors.Join(err, f.close())
		}
	}
	if s.options.Stop != nil && size == 0 {
		raw = newStoppable(raw, s.options.Stop)
	}
	if err := f.unpack(&counter{raw, &s.read}); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open %s: %w", name, err), f.close())
	}
	return f, size, nil
}

func sizeOf(file *os.File) (int64, error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, fmt.Errorf("open %s: is a directory; name the files in it", file.Name())
	}
	return info.Size(), nil // 0 for a pipe
}

// buffer is how much of a file is read at a time.
const buffer = 1 << 16

// maxWindow bounds the memory that a zstd file can demand.
const maxWindow = 256 << 20

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	bom       = []byte{0xef, 0xbb, 0xbf} // what some editors put before UTF-8
)

// unpack makes f read the lines of raw, decompressed if it is an archive.
func (f *reading) unpack(raw io.Reader) error {
	packed := bufio.NewReaderSize(raw, buffer)
	magic, _ := packed.Peek(len(zstdMagic)) // whatever is shorter is no archive
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := gzip.NewReader(packed)
		if err != nil {
			return err
		}
		packed = bufio.NewReaderSize(z, buffer)
	case bytes.HasPrefix(magic, zstdMagic):
		z, err := zstd.NewReader(packed, zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		f.closers = append(f.closers, func() error { z.Close(); return nil })
		packed = bufio.NewReaderSize(z, buffer)
	}
	if start, _ := packed.Peek(len(bom)); bytes.Equal(start, bom) {
		_, _ = packed.Discard(len(bom)) // they are in the buffer
	}
	f.lines = lineReader{source: packed}
	return nil
}

// counter counts what is read.
type counter struct {
	source io.Reader
	n      *int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	*c.n += int64(n)
	return n, err
}
