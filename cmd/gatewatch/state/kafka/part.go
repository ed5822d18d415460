package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// partLimit is the most that one record carries; with key and framing it stays below the 1 MiB that brokers allow by
// default. A chunk of the usual size is one part.
const partLimit = 950 << 10

// maxParts bounds what a damaged record can make us expect.
const maxParts = 1 << 16

// split cuts data, after head, into the values of records. Each begins with the number of parts.
func split(head, data []byte) [][]byte {
	n := max(1, (len(data)+partLimit-1)/partLimit)
	values := make([][]byte, n)
	for i := range values {
		piece := data[min(len(data), i*partLimit):min(len(data), (i+1)*partLimit)]
		value := make([]byte, 0, binary.MaxVarintLen32+len(head)+len(piece))
		value = binary.AppendUvarint(value, uint64(n))
		values[i] = append(append(value, head...), piece...)
	}
	return values
}

// parts is what split has cut, on its way to be whole again.
type parts struct {
	pieces [][]byte
	have   int
}

// add takes a part and returns all of them joined once the last is there. Parts come in any order; one that is there
// already, or one of a different division, begins anew.
func (p *parts) add(part uint64, of int, piece []byte) ([]byte, bool, error) {
	if part >= uint64(of) {
		return nil, false, fmt.Errorf("%w: part %d of %d", state.ErrCorrupt, part, of)
	}
	if len(p.pieces) != of || p.pieces[part] != nil {
		*p = parts{pieces: make([][]byte, of)}
	}
	if p.pieces[part] = piece; piece == nil {
		p.pieces[part] = []byte{}
	}
	if p.have++; p.have < of {
		return nil, false, nil
	}
	if of == 1 {
		return piece, true, nil
	}
	var whole []byte
	for _, piece := range p.pieces {
		whole = append(whole, piece...)
	}
	return whole, true, nil
}

// number takes a number off the beginning of a value.
func number(value []byte, limit uint64) (n uint64, rest []byte, err error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || n > limit {
		return 0, nil, fmt.Errorf("%w: a number in a record is missing or too large", state.ErrCorrupt)
	}
	return n, value[size:], nil
}

// partCount takes the number of parts off the beginning of a value.
func partCount(value []byte) (of int, rest []byte, err error) {
	n, rest, err := number(value, maxParts)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: a value of no parts", state.ErrCorrupt)
	}
	return int(n), rest, err
}
