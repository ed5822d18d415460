package broker

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
)

// batch is one batch of records as it lies on the broker's disk.
// https://kafka.apache.org/documentation/#recordbatch
type batch []byte

const (
	batchHeader = 61 // bytes before the records
	lengthEnd   = 12 // the length field does not count what is up to here
	crcStart    = 21 // the checksum covers all from here
	deltaEnd    = 27 // bytes up to the last offset, the least that is needed to get past a batch
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batches gives what records consists of. Only the last one can be incomplete, and has at least deltaEnd bytes.
func batches(records []byte) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		for len(records) >= deltaEnd {
			b := batch(records)
			n := b.size()
			if n > len(records) || n < deltaEnd {
				n = len(records)
			}
			if !yield(b[:n]) {
				return
			}
			records = records[n:]
		}
	}
}

func (b batch) size() int    { return lengthEnd + int(int32(binary.BigEndian.Uint32(b[8:]))) }
func (b batch) whole() bool  { return b.size() == len(b) }
func (b batch) first() int64 { return int64(binary.BigEndian.Uint64(b)) }
func (b batch) magic() int8  { return int8(b[16]) }
func (b batch) next() int64 {
	if b.magic() != 2 {
		return b.first() + 1
	}
	return b.first() + int64(int32(binary.BigEndian.Uint32(b[23:]))) + 1
}

// The rest is valid for a whole batch of magic 2 with its header.

func (b batch) intact() bool {
	return crc32.Checksum(b[crcStart:], castagnoli) == binary.BigEndian.Uint32(b[17:])
}
func (b batch) attributes() int16   { return int16(binary.BigEndian.Uint16(b[21:])) }
func (b batch) codec() int8         { return int8(b.attributes() & 0x07) }
func (b batch) transactional() bool { return b.attributes()&0x10 != 0 }
func (b batch) control() bool       { return b.attributes()&0x20 != 0 }
func (b batch) producer() int64     { return int64(binary.BigEndian.Uint64(b[43:])) }
func (b batch) count() int          { return int(int32(binary.BigEndian.Uint32(b[57:]))) }
func (b batch) records() []byte     { return b[batchHeader:] }
