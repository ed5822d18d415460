package keyed

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Header says what a record is about.
type Header struct {
	Shape

	// Partition is the raw partition.
	Partition event.Partition
	// From is the raw offset before which everything of the raw partition that belongs here was sent before. Next is the one
	// before which everything was sent once this record is. Both are -1 when the router does not know yet where the raw
	// partition begins, for it holds nothing.
	From, Next int64
	// Progress is the latest event time before Next that the router has seen in the raw partition; 0: none. A router that has
	// just begun has seen less than the one before: readers keep the latest.
	Progress event.Time
	// CaughtUp is the wall-clock time at which the raw partition held nothing from Next on; 0: nobody knows.
	CaughtUp event.Time
	// Written is the wall-clock time at which the record was made.
	Written event.Time
}

// Shape is what the records of a router have in common until rules or topics change. It is immutable.
type Shape struct {
	Kinds      []string // of entities that have copies, as rules group by them ("client_id+token_id"), at most [MaxKinds]
	Inputs     []Input  // raw topics that exist
	Partitions int32    // of the keyed topic
}

// Input is a raw topic, all partitions of which a consumer has to wait for.
type Input struct {
	Topic      string
	Partitions int32
}

// Bounds of what is read.
const (
	MaxKinds  = 64       // of entities: one bit each
	MaxEvents = 1 << 16  // of one record
	MaxSize   = 64 << 20 // of the events of one record, as [Encoder.Size] says, in bytes

	maxInputs = 1 << 12
)

func (s *Shape) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.Kinds)))
	for _, kind := range s.Kinds {
		b = appendString(b, kind)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Inputs)))
	for _, in := range s.Inputs {
		b = binary.AppendUvarint(appendString(b, in.Topic), uint64(in.Partitions))
	}
	return binary.AppendUvarint(b, uint64(s.Partitions))
}

func readShape(b []byte) (s Shape, err error) {
	r := reader{rest: b}
	for range r.count(MaxKinds) {
		s.Kinds = append(s.Kinds, string(r.text()))
	}
	for range r.count(maxInputs) {
		s.Inputs = append(s.Inputs, Input{string(r.text()), r.int32()})
	}
	s.Partitions = r.int32()
	if len(r.rest) > 0 {
		r.fail("bytes behind the shape")
	}
	return s, r.err
}

// append appends all but the shape, which the header refers to by the place of its topic.
func (h *Header) append(b []byte) ([]byte, error) {
	topic := -1
	for i, in := range h.Inputs {
		if in.Topic == h.Partition.Topic {
			topic = i
		}
	}
	if topic < 0 {
		return nil, fmt.Errorf("encode header: topic %s is no input", h.Partition.Topic)
	}
	b = binary.AppendUvarint(b, uint64(topic))
	b = binary.AppendUvarint(b, uint64(h.Partition.ID))
	b = binary.AppendVarint(b, h.From)
	b = binary.AppendVarint(b, h.Next-h.From)
	b = binary.AppendVarint(b, int64(h.Progress))
	b = binary.AppendVarint(b, int64(h.CaughtUp))
	return binary.AppendVarint(b, int64(h.Written)), nil
}

func (h *Header) read(r *reader) {
	topic := r.uvarint()
	if topic >= uint64(len(h.Inputs)) {
		r.fail("no such topic")
		return
	}
	h.Partition = event.Partition{Topic: h.Inputs[topic].Topic, ID: r.int32()}
	h.From = r.varint()
	h.Next = h.From + r.varint()
	h.Progress, h.CaughtUp, h.Written = event.Time(r.varint()), event.Time(r.varint()), event.Time(r.varint())
	if h.From < -1 || h.Next < h.From || (h.From < 0) != (h.Next < 0) {
		r.fail("offsets that no record can have")
	}
}

// shapes remembers the last shape: nearly all records have the same.
type shapes struct {
	encoded []byte
	shape   Shape
}

func (s *shapes) read(b []byte) (Shape, error) {
	if s.encoded != nil && bytes.Equal(b, s.encoded) {
		return s.shape, nil
	}
	shape, err := readShape(b)
	if err == nil {
		s.encoded, s.shape = append(s.encoded[:0], b...), shape
	}
	return shape, err
}
