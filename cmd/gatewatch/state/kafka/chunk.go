package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// maxLane bounds what a damaged record can make us expect.
const maxLane = 1 << 24

// chunkRecords are the records of a chunk, without topic and partition.
func chunkRecords(first chunkID, c state.Chunk) []*kgo.Record {
	head := binary.AppendUvarint(nil, uint64(c.Lane))
	head = append(head, flag(c.Base))
	var records []*kgo.Record
	for i, value := range split(head, c.Data) {
		id := first
		id.part = uint32(i)
		records = append(records, &kgo.Record{Key: id.key(), Value: value})
	}
	return records
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decodeChunk reads a part of a chunk. Its data points into the value.
func decodeChunk(value []byte) (of int, c state.Chunk, err error) {
	of, rest, err := partCount(value)
	if err != nil {
		return 0, c, err
	}
	lane, rest, err := number(rest, maxLane)
	if err != nil {
		return 0, c, err
	}
	if len(rest) == 0 || rest[0] > 1 {
		return 0, c, fmt.Errorf("%w: a chunk without its kind", state.ErrCorrupt)
	}
	data := rest[1:]
	return of, state.Chunk{Lane: int(lane), Base: rest[0] == 1, Data: data[:len(data):len(data)]}, nil
}
