package broker

import (
	"encoding/binary"
	"iter"
	"time"
)

// Response is the answer to a fetch.
type Response struct {
	// Err is a kafka.Error of this partition, such as NotLeaderForPartition or OffsetOutOfRange; there are no records then.
	Err error

	// HighWatermark is the offset after the last record that readers may have.
	HighWatermark int64

	// LogStart is the first offset that still exists, or -1 when the broker is too old to say.
	LogStart int64

	// Next is the offset to go on with. It is known before the records are read.
	Next int64

	// Bytes is the size of the records as they came.
	Bytes int

	request  Fetch
	sent     time.Time
	received time.Time
	aborted  []transaction
	records  []byte
	skipped  []Skip
	inflater *inflater

	key, headers []byte // of the record given last
}

// Skip is a stretch of a partition that could not be read.
type Skip struct {
	First, Next int64 // offsets
	Size        int   // bytes
	TooLarge    bool  // else it is damaged
	Why         string
}

type transaction struct{ producer, first int64 }

// CaughtUp reports whether nothing was beyond Next, and the latest moment of which that is known.
func (r *Response) CaughtUp() (time.Time, bool) {
	if r.Err != nil || r.Next < r.HighWatermark {
		return time.Time{}, false
	}
	// A broker that had nothing to send has waited before it answered.
	if waited := r.sent.Add(r.request.MaxWait); len(r.records) == 0 && r.received.After(waited) {
		return waited, true
	}
	return r.sent, true
}

// Records gives the offset and the value of each record, nil for a record without value. A value is valid until the next
// one. Each record comes once: Records must be called once.
func (r *Response) Records() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		reader := recordReader{r}
		for b := range batches(r.records) {
			if !reader.read(b, yield) {
				return
			}
		}
	}
}

// Skipped returns what Records could not read. It is complete when Records is through.
func (r *Response) Skipped() []Skip { return r.skipped }

// decode reads the fields before the records of a response with one partition of one topic.
// https://kafka.apache.org/protocol.html#The_Messages_Fetch
func (r *Response) decode(body []byte, version int16, id int32) error {
	r.LogStart = -1
	f := fields{rest: body}
	if f.int32() != id {
		return errProtocol
	}
	f.int32() // throttled for so long already
	var failure int16
	if version >= 7 {
		failure = f.int16()
		f.int32() // no session
	}
	if failure != 0 {
		r.Err = kafkaError(failure)
		return f.err()
	}
	if f.int32() != 1 || f.string() != r.request.Topic || f.int32() != 1 || f.int32() != r.request.Partition {
		return errProtocol
	}
	r.Err = kafkaError(f.int16())
	r.HighWatermark = f.int64()
	f.int64() // last stable offset: the broker sends nothing beyond
	if version >= 5 {
		r.LogStart = f.int64()
	}
	for range f.int32() {
		r.aborted = append(r.aborted, transaction{producer: f.int64(), first: f.int64()})
		if f.failed {
			break
		}
	}
	if version >= 11 {
		f.int32() // a replica that is nearer; we did not say where we are
	}
	r.Bytes = max(0, int(f.int32()))
	if err := f.err(); err != nil {
		return err
	}
	if r.Err == nil {
		r.records = f.rest[:min(r.Bytes, len(f.rest))]
	}
	r.Next = r.end()
	return nil
}

// end finds the offset after the records, from the headers of batches alone.
func (r *Response) end() int64 {
	next := r.request.Offset
	for b := range batches(r.records) {
		if b.whole() {
			next = max(next, r.after(b))
		} else if r.stuckAt(b) {
			next = r.after(b)
		}
	}
	return next
}

// after returns the offset after a batch. The field that says it may be damaged: it must neither lead back nor beyond what
// there is.
func (r *Response) after(b batch) int64 {
	return min(max(b.next(), r.request.Offset+1), max(r.HighWatermark, r.request.Offset+1))
}

// stuckAt reports whether an incomplete batch is all there is. Every other incomplete batch was cut off because enough was
// sent, and the next fetch brings it whole; this one would never be.
func (r *Response) stuckAt(b batch) bool { return !b.whole() && len(b) == len(r.records) }

// fields reads what Kafka's protocol is made of. After the end of the bytes it gives zeros.
type fields struct {
	rest   []byte
	failed bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.failed = true
		f.rest = nil
		return make([]byte, 8)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) err() error {
	if f.failed {
		return errProtocol
	}
	return nil
}

func (f *fields) int16() int16   { return int16(binary.BigEndian.Uint16(f.take(2))) }
func (f *fields) int32() int32   { return int32(binary.BigEndian.Uint32(f.take(4))) }
func (f *fields) int64() int64   { return int64(binary.BigEndian.Uint64(f.take(8))) }
func (f *fields) string() string { return string(f.take(int(f.int16()))) }
