package kafka

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	kafka "github.com/segmentio/kafka-go"
)

// record is an alert or a blind spot on its way.
type record struct {
	index   int // in the batch
	key     []byte
	value   []byte
	headers []kafka.Header
	time    time.Time // zero: the moment of sending
}

// wire returns the record as the client sends it, once: the client reads keys and values to their ends.
func (r *record) wire() kafka.Record {
	return kafka.Record{Time: r.time, Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.value), Headers: r.headers}
}

// size returns the bytes of the record with what the protocol adds.
func (r *record) size() int { return len(r.key) + len(r.value) + overhead }

// overhead is at least what the protocol adds to key and value: headers, lengths, times.
const overhead = 100

// encode makes records and reports what cannot be one.
func encode[T any](batch []T, maxBytes int, of func(T) (record, error)) (records []record, refused []sinks.Refusal) {
	for i, v := range batch {
		r, err := of(v)
		if err == nil && r.size() > maxBytes {
			err = fmt.Errorf("record %s has %d bytes, more than max_batch_bytes", r.key, r.size())
		}
		if err != nil {
			refused = append(refused, sinks.Refusal{Index: i, Err: err})
			continue
		}
		r.index = i
		records = append(records, r)
	}
	return records, refused
}

func (s *Sink) alertRecord(a *alert.Alert) (record, error) {
	var value bytes.Buffer
	err := s.config.Format.Write(&value, a)
	return newRecord(a.ID, value.Bytes(), s.config.Format.Schema(a), a.EmittedAt), err
}

func blindSpotRecord(b *alert.BlindSpot) (record, error) {
	var value bytes.Buffer
	err := sinks.WriteBlindSpot(&value, b)
	return newRecord(b.ID, value.Bytes(), "gatewatch.blind_spot/"+strconv.Itoa(b.Schema), b.EmittedAt), err
}

func newRecord(key string, line []byte, schema string, emitted *alert.Time) record {
	r := record{key: []byte(key), value: bytes.TrimSuffix(line, []byte("\n")), headers: []kafka.Header{
		{Key: "content-type", Value: []byte("application/json")},
		{Key: "schema", Value: []byte(schema)},
	}}
	if emitted != nil {
		r.time = emitted.Std()
	}
	return r
}
