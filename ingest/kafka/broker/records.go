package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/segmentio/kafka-go/compress"
)

// recordReader gives the records of one response, in order.
type recordReader struct{ *Response }

// read gives the records of one batch and reports whether more are wanted.
func (r recordReader) read(b batch, yield func(int64, []byte) bool) bool {
	switch {
	case !b.whole():
		if r.stuckAt(b) {
			r.skip(b, b.first(), true, fmt.Sprintf("a batch of records has %d bytes", b.size()))
		}
	case b.magic() != 2:
		r.skip(b, b.first(), false, "a record of a form older than Kafka 0.11")
	case len(b) < batchHeader || !b.intact():
		r.skip(b, b.first(), false, "the checksum of a batch of records is wrong")
	case b.control():
		r.endTransaction(b)
	case !r.wasAborted(b):
		return r.values(b, yield)
	}
	return true
}

func (r recordReader) values(b batch, yield func(int64, []byte) bool) bool {
	records, err := r.inflater.records(b)
	next := b.first()
	for range b.count() {
		offset, value, rest, ok := r.cutRecord(records, b.first())
		if !ok || offset < next || offset >= r.after(b) {
			if err == nil {
				err = errDamaged
			}
			r.skip(b, next, err == errInflated, err.Error())
			return true
		}
		records, next = rest, offset+1
		if offset >= r.request.Offset && !yield(offset, value) {
			return false
		}
	}
	return true
}

func (r recordReader) skip(b batch, from int64, tooLarge bool, why string) {
	end := r.after(b)
	from = min(max(from, r.request.Offset), end-1)
	r.skipped = append(r.skipped, Skip{First: from, Next: end, Size: b.size(), TooLarge: tooLarge, Why: why})
}

// wasAborted reports whether the batch belongs to a transaction that was aborted later. The response lists these
// transactions; each is over at its marker.
func (r recordReader) wasAborted(b batch) bool {
	return b.transactional() && r.abortedAt(b) >= 0
}

func (r recordReader) endTransaction(marker batch) {
	if i := r.abortedAt(marker); i >= 0 {
		r.aborted = slices.Delete(r.aborted, i, i+1)
	}
}

func (r recordReader) abortedAt(b batch) int {
	return slices.IndexFunc(r.aborted, func(t transaction) bool { return t.producer == b.producer() && t.first <= b.first() })
}

// cutRecord takes one record off the front and notes what stands beside its value. https://kafka.apache.org/documentation/#record
func (r recordReader) cutRecord(b []byte, first int64) (offset int64, value, rest []byte, ok bool) {
	size, n := binary.Varint(b)
	if n <= 0 || size < 0 || size > int64(len(b)-n) {
		return 0, nil, nil, false
	}
	record, rest := b[n:n+int(size)], b[n+int(size):]
	if len(record) == 0 {
		return 0, nil, nil, false
	}
	record = record[1:] // attributes, unused
	if _, n = binary.Varint(record); n <= 0 {
		return 0, nil, nil, false
	}
	record = record[n:] // time: events have their own
	delta, n := binary.Varint(record)
	if n <= 0 {
		return 0, nil, nil, false
	}
	r.key, record, ok = cutBytes(record[n:])
	if ok {
		value, r.headers, ok = cutBytes(record)
	}
	return first + delta, value, rest, ok
}

// Key returns the key of the record that Records has just given, nil if it has none.
func (r *Response) Key() []byte { return r.key }

// Headers gives names and values of the headers of the record that Records has just given, up to the first damaged one.
func (r *Response) Headers() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		count, n := binary.Varint(r.headers)
		if n <= 0 {
			return
		}
		for rest, ok := r.headers[n:], true; count > 0; count-- {
			var name, value []byte
			if name, rest, ok = cutBytes(rest); !ok {
				return
			}
			if value, rest, ok = cutBytes(rest); !ok || !yield(name, value) {
				return
			}
		}
	}
}

// cutBytes takes bytes with their length before them off the front; a negative length stands for null.
func cutBytes(b []byte) (value, rest []byte, ok bool) {
	size, n := binary.Varint(b)
	if n <= 0 || size > int64(len(b)-n) {
		return nil, nil, false
	}
	b = b[n:]
	if size < 0 {
		return nil, b, true
	}
	return b[:size:size], b[size:], true
}

// inflater decompresses one batch after the other into the same memory.
type inflater struct {
	limit int
	buf   bytes.Buffer
}

var (
	errInflated = errors.New("a compressed batch of records is too large")
	errDamaged  = errors.New("a record is damaged")
)

// records returns the records of b decompressed: all, or with an error those that could be.
func (i *inflater) records(b batch) ([]byte, error) {
	if b.codec() == 0 {
		return b.records(), nil
	}
	codec := compress.Compression(b.codec()).Codec()
	if codec == nil {
		return nil, fmt.Errorf("a batch of records is compressed in unknown form %d", b.codec())
	}
	if i.buf.Cap() > 8<<20 {
		i.buf = bytes.Buffer{} // a giant must not hold its memory for ever
	}
	i.buf.Reset()
	reader := codec.NewReader(bytes.NewReader(b.records()))
	defer reader.Close()
	n, err := i.buf.ReadFrom(io.LimitReader(reader, int64(i.limit)+1))
	switch {
	case err != nil:
		return i.buf.Bytes(), fmt.Errorf("a compressed batch of records is damaged: %s", codec.Name())
	case n > int64(i.limit):
		return i.buf.Bytes()[:i.limit], errInflated
	}
	return i.buf.Bytes(), nil
}
