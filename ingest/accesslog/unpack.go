package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The first bytes of what is compressed.
var (
	gzipMagic   = []byte{0x1f, 0x8b}
	zstdMagic   = []byte{0x28, 0xb5, 0x2f, 0xfd}
	lz4Magic    = []byte{0x04, 0x22, 0x4d, 0x18}
	snappyMagic = []byte("\xff\x06\x00\x00sNaPpY") // framing format
	xerialMagic = []byte("\x82SNAPPY\x00")         // blocks, as Java's library frames them
)

// maxPacking is how often a record may be compressed: a shipper compresses what another has compressed before.
const maxPacking = 2

var errUnpacked = errors.New("too large")

// inflater decompresses records, one after the other into the same memory.
type inflater struct {
	gzip   gzip.Reader
	zstd   *zstd.Decoder
	lz4    *lz4.Reader
	snappy *snappy.Reader
	buf    [maxPacking][]byte
	source bytes.Reader
}

// unpack returns the JSON or the lines that b stands for: decompressed, and of OpenTelemetry's protobuf the same as JSON. When it
// cannot, it has rejected the record.
func (d *Decoder) unpack(b []byte) ([]byte, bool) {
	if isPlain(b) {
		return b, true
	}
	for level := range maxPacking {
		text, packed, err := d.inflate.one(b, level, d.opts.MaxUnpackedBytes)
		if !packed {
			break
		}
		if err != nil {
			reason, detail := NotJSON, "the compressed record is damaged"
			if errors.Is(err, errUnpacked) {
				reason, detail = TooLarge, fmt.Sprintf("the record has more than %d bytes when decompressed", d.opts.MaxUnpackedBytes)
			}
			d.reject(reason, detail, 0, min(len(d.unpacked), 64))
			return nil, false
		}
		b = text
	}
	if kind := telemetryKind(b); kind != noEnvelope {
		return d.otlp.json(b, kind), true
	}
	return b, true
}

// maxKept bounds the memory that is kept for the next record.
const maxKept = 2 << 20

// maxWindow is the memory that a frame of zstd may ask for, and that is kept for the next one: what RFC 8878 wants all to
// support, unless more is allowed to be unpacked.
const maxWindow = 8 << 20

// isPlain reports at a glance what almost all records are: an object, with a name or a space behind its brace.
func isPlain(b []byte) bool {
	return len(b) > 1 && b[0] == '{' && (b[1] == '"' || b[1] == '\n')
}

// one takes one layer of compression off.
func (z *inflater) one(b []byte, level, limit int) (text []byte, packed bool, err error) {
	if cap(z.buf[level]) > maxKept {
		z.buf[level] = nil
	}
	reader, err := z.reader(b, limit)
	switch {
	case err != nil:
		return nil, true, err
	case reader != nil:
		z.buf[level], err = readAll(z.buf[level][:0], reader, limit)
		return z.buf[level], true, err
	case bytes.HasPrefix(b, xerialMagic):
		z.buf[level], err = z.xerial(z.buf[level][:0], b, limit)
		return z.buf[level], true, err
	case isSnappyBlock(b):
		z.buf[level], err = z.appendBlock(z.buf[level][:0], b, limit)
		return z.buf[level], err == nil || errors.Is(err, errUnpacked), err
	}
	return nil, false, nil
}

// reader returns what decompresses b, nil if b is no stream that is known by its first bytes.
func (z *inflater) reader(b []byte, limit int) (io.Reader, error) {
	z.source.Reset(b)
	switch {
	case bytes.HasPrefix(b, gzipMagic):
		return &z.gzip, z.gzip.Reset(&z.source)
	case bytes.HasPrefix(b, zstdMagic):
		if z.zstd != nil {
			return z.zstd, z.zstd.Reset(&z.source)
		}
		var err error
		z.zstd, err = zstd.NewReader(&z.source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(max(limit, maxWindow))))
		return z.zstd, err
	case bytes.HasPrefix(b, lz4Magic):
		if z.lz4 == nil {
			z.lz4 = lz4.NewReader(&z.source)
			if err := z.lz4.Apply(lz4.ConcurrencyOption(1)); err != nil {
				return nil, err
			}
		}
		z.lz4.Reset(&z.source)
		return z.lz4, nil
	case bytes.HasPrefix(b, snappyMagic):
		if z.snappy == nil {
			z.snappy = snappy.NewReader(&z.source)
		}
		z.snappy.Reset(&z.source)
		return z.snappy, nil
	}
	return nil, nil
}

// readAll appends what reader gives to dst, at most limit bytes.
func readAll(dst []byte, reader io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := reader.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst[:0], errUnpacked
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst[:0], err
		}
	}
}

// appendBlock appends a block of snappy.
func (z *inflater) appendBlock(dst, block []byte, limit int) ([]byte, error) {
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return dst[:0], err
	}
	if size > limit-len(dst) {
		return dst[:0], errUnpacked
	}
	dst = slices.Grow(dst, size)
	text, err := snappy.Decode(dst[len(dst):len(dst)+size], block)
	if err != nil {
		return dst[:0], err
	}
	return dst[:len(dst)+len(text)], nil
}

// xerial reads blocks of snappy, each with its length before it, behind a header of 16 bytes.
func (z *inflater) xerial(dst, b []byte, limit int) ([]byte, error) {
	const header = 16
	if len(b) < header {
		return dst, io.ErrUnexpectedEOF
	}
	for b = b[header:]; len(b) > 0; {
		if len(b) < 4 {
			return dst[:0], io.ErrUnexpectedEOF
		}
		size := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if b = b[4:]; size > len(b) {
			return dst[:0], io.ErrUnexpectedEOF
		}
		var err error
		if dst, err = z.appendBlock(dst, b[:size], limit); err != nil {
			return dst, err
		}
		b = b[size:]
	}
	return dst, nil
}

// isSnappyBlock reports whether b may be a bare block of snappy, which has no mark of its own: a length, then a literal
// that begins as JSON does. What only looks like one, such as "[ {", cannot be decompressed.
func isSnappyBlock(b []byte) bool {
	n := 0
	for n < len(b) && n < 4 && b[n] >= 0x80 {
		n++
	}
	n++ // the last byte of the length
	if n >= len(b) || b[n]&3 != 0 {
		return false
	}
	switch literal := b[n] >> 2; {
	case literal < 60:
		n++
	case literal == 60:
		n += 2
	case literal == 61:
		n += 3
	default:
		return false
	}
	return n < len(b) && (b[n] == '{' || b[n] == '[')
}
