package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// formatVersion is of everything that this package writes.
const formatVersion = "1"

const versionAdvice = "start with another state topic, or start the version of gatewatch that wrote this one"

// owner is who owns a partition, and its latest transaction.
type owner struct {
	Name        name   `json:"name"`
	Transaction uint64 `json:"transaction"`
}

// chunkPart is where a part of a chunk is.
type chunkPart struct {
	lane   int
	hash   uint64
	offset int64
}

// index is what the records of a partition say, applied one after the other. Records that were applied may be applied again
// as long as those behind them follow.
type index struct {
	format   string
	owner    owner
	manifest *manifest
	chunks   map[chunkID]chunkPart // all that are in the log, valid or not
	outbox   outbox
	settled  map[string]uint64

	manifestParts  parts
	manifestNumber uint64 // of manifestParts
	manifestOf     int    // parts of the manifest in the log
}

func newIndex() *index {
	return &index{
		chunks: map[chunkID]chunkPart{}, settled: map[string]uint64{}, outbox: outbox{parts: map[uint64]int{}},
	}
}

// apply takes a record. Kinds that it does not know are none of its business: the format says whether they exist.
func (x *index) apply(r *kgo.Record) error {
	kind, rest, _ := strings.Cut(string(r.Key), "/")
	var err error
	switch kind {
	case formatKey:
		err = x.applyFormat(r.Value)
	case ownerKey:
		err = x.applyOwner(r.Value)
	case chunkKind:
		err = x.applyChunk(rest, r)
	case manifestKey:
		err = x.applyManifest(rest, r.Value)
	case entryKind:
		err = x.applyEntry(rest, r)
	case settledKind:
		x.settled[rest], err = sequence(r.Value)
	case trimmedKey:
		var through uint64
		if through, err = sequence(r.Value); err == nil {
			x.outbox.trim(through)
		}
	}
	if err != nil {
		return fmt.Errorf("read record %q at offset %d: %w", r.Key, r.Offset, err)
	}
	return nil
}

func (x *index) applyFormat(value []byte) error {
	if x.format = string(value); x.format != formatVersion {
		return fmt.Errorf("%w: format %q, want %q; %s", state.ErrVersion, value, formatVersion, versionAdvice)
	}
	return nil
}

func (x *index) applyOwner(value []byte) error {
	if err := json.Unmarshal(value, &x.owner); err != nil {
		return fmt.Errorf("%w: read owner: %w", state.ErrCorrupt, err)
	}
	return nil
}

func (x *index) applyChunk(rest string, r *kgo.Record) error {
	id, err := parseChunkID(rest)
	if err != nil {
		return err
	}
	if r.Value == nil {
		delete(x.chunks, id)
		return nil
	}
	_, c, err := decodeChunk(r.Value)
	if err != nil {
		return err
	}
	x.chunks[id] = chunkPart{lane: c.Lane, hash: hash(r), offset: r.Offset}
	return nil
}

func (x *index) applyManifest(rest string, value []byte) error {
	if value == nil {
		return nil
	}
	part, err := parseNumbers(rest, 32)
	if err != nil {
		return err
	}
	of, framed, err := partCount(value)
	if err != nil {
		return err
	}
	number, piece, err := number(framed, math.MaxUint64)
	if err != nil {
		return err
	}
	if number != x.manifestNumber { // compaction may leave a part of an older one
		x.manifestNumber, x.manifestParts = number, parts{}
	}
	whole, ok, err := x.manifestParts.add(part[0], of, piece)
	if err != nil || !ok {
		return err
	}
	m, err := decodeManifest(whole)
	if err == nil {
		x.manifest, x.manifestOf, x.manifestParts = m, of, parts{}
	}
	return err
}

func (x *index) applyEntry(rest string, r *kgo.Record) error {
	if r.Value == nil {
		return nil // the record of trimmedKey says so too
	}
	n, err := parseNumbers(rest, 64, 32)
	if err != nil {
		return err
	}
	return x.outbox.add(n[0], n[1], r.Value, r.Offset)
}

func sequence(value []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: read sequence: %w", state.ErrCorrupt, err)
	}
	return n, nil
}

// hash covers key and value.
func hash(r *kgo.Record) uint64 { return xxh3.HashSeed(r.Value, xxh3.Hash(r.Key)) }

// located is a part of a chunk with its key.
type located struct {
	id chunkID
	chunkPart
}

// sort divides the parts that are in the log into those that count under m, in the order of the log, and the rest.
func (x *index) sort(m *manifest) (valid, rest []located) {
	for id, c := range x.chunks {
		if m.valid(id, c.lane) {
			valid = append(valid, located{id, c})
		} else {
			rest = append(rest, located{id, c})
		}
	}
	slices.SortFunc(valid, func(a, b located) int { return int(a.offset - b.offset) })
	return valid, rest
}

// seal notes in m what its chunks are.
func (x *index) seal(m *manifest) (rest []located) {
	valid, rest := x.sort(m)
	oldest := m.Number
	for _, c := range valid {
		m.Sum += c.hash
		oldest = min(oldest, c.id.number)
	}
	m.Parts = len(valid)
	m.forget(oldest)
	return rest
}

// checkChunks compares what is there with what the manifest says.
func checkChunks(m *manifest, valid []located) error {
	var sum uint64
	for _, c := range valid {
		sum += c.hash
	}
	if m == nil || len(valid) == m.Parts && sum == m.Sum {
		return nil
	}
	return fmt.Errorf("%w: checkpoint %d has %d parts of chunks with sum %x, the topic has %d with sum %x",
		state.ErrCorrupt, m.Number, m.Parts, m.Sum, len(valid), sum)
}

func (x *index) settledCopy() map[string]uint64 { return maps.Clone(x.settled) }
