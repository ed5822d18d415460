package kafka

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// The kinds of keys; the rest of a key follows behind a slash.
const (
	seedKey     = "seed"
	formatKey   = "format"
	ownerKey    = "owner"
	chunkKind   = "chunk"
	manifestKey = "manifest"
	entryKind   = "entry"
	settledKind = "settled"
	trimmedKey  = "trimmed"
)

// name is random: of a store that owns a partition, or of what it stages.
type name [16]byte

func newName() name {
	var n name
	rand.Read(n[:]) // never fails
	return n
}

func (n name) String() string { return hex.EncodeToString(n[:]) }

// MarshalText writes hexadecimal digits.
func (n name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (n *name) UnmarshalText(text []byte) error {
	if len(text) != 2*len(n) {
		return fmt.Errorf("%w: a name has %d digits, want %d", state.ErrCorrupt, len(text), 2*len(n))
	}
	if _, err := hex.Decode(n[:], text); err != nil {
		return fmt.Errorf("%w: read name: %w", state.ErrCorrupt, err)
	}
	return nil
}

// chunkID is the key of a chunk's part.
type chunkID struct {
	stager      name
	number      uint64 // of the checkpoint
	index, part uint32
}

func (c chunkID) key() []byte {
	return fmt.Appendf(nil, "%s/%s/%x/%x/%x", chunkKind, c.stager, c.number, c.index, c.part)
}

func parseChunkID(rest string) (c chunkID, err error) {
	stager, numbers, _ := strings.Cut(rest, "/")
	if err := c.stager.UnmarshalText([]byte(stager)); err != nil {
		return c, err
	}
	n, err := parseNumbers(numbers, 64, 32, 32)
	if err != nil {
		return c, err
	}
	c.number, c.index, c.part = n[0], uint32(n[1]), uint32(n[2])
	return c, nil
}

func entryID(sequence uint64, part int) []byte {
	return fmt.Appendf(nil, "%s/%x/%x", entryKind, sequence, part)
}

func manifestID(part int) []byte { return fmt.Appendf(nil, "%s/%x", manifestKey, part) }

func settledID(sink string) []byte { return []byte(settledKind + "/" + sink) }

// parseNumbers reads hexadecimal numbers of the given bits, with slashes between.
func parseNumbers(text string, bits ...int) ([]uint64, error) {
	fields := strings.Split(text, "/")
	if len(fields) != len(bits) {
		return nil, fmt.Errorf("%w: key with %d numbers, want %d", state.ErrCorrupt, len(fields), len(bits))
	}
	numbers := make([]uint64, len(bits))
	for i, f := range fields {
		n, err := strconv.ParseUint(f, 16, bits[i])
		if err != nil {
			return nil, fmt.Errorf("%w: read key: %w", state.ErrCorrupt, err)
		}
		numbers[i] = n
	}
	return numbers, nil
}
