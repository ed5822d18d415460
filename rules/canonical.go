package rules

import (
	"encoding/binary"
	"math"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The canonical form of a rule's compiled parts, from which its fingerprint is made. Every text carries its length and
// every list its count, so that no two rules share a form.

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, all []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		b = appendString(b, s)
	}
	return b
}

func appendInt(b []byte, v int) []byte { return binary.AppendVarint(b, int64(v)) }

func appendFloat(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendField(b []byte, f event.Field) []byte { return appendString(b, f.String()) }
