package disk

import (
	"encoding/binary"
	"math"
)

const (
	headerPrefix byte = iota + 1
	settledPrefix
	trimmedPrefix
	entryPrefix
	chunkPrefix
)

// manifestIndex is the index of a checkpoint's manifest, after those of its chunks.
const manifestIndex = math.MaxUint32

var (
	headerKey  = []byte{headerPrefix}
	trimmedKey = []byte{trimmedPrefix}
)

func settledKey(sink string) []byte { return append([]byte{settledPrefix}, sink...) }

func entryKey(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{entryPrefix}, sequence)
}

func chunkKey(number uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(checkpointKey(number), index)
}

// checkpointKey sorts before the chunks of a checkpoint and after those of older ones.
func checkpointKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{chunkPrefix}, number)
}
