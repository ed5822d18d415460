package kafka

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector/event"
)

// manifest is a state.Manifest and what this package needs to know which chunks belong to it.
type manifest struct {
	Number    uint64     `json:"number"`
	Positions []position `json:"positions"`
	Sequence  uint64     `json:"sequence"`
	At        time.Time  `json:"at"`
	Lanes     int        `json:"lanes"`
	Bases     []int      `json:"bases,omitempty"`

	Since   []uint64 `json:"since"`   // by lane: chunks of checkpoints before this one are obsolete
	Stagers []stager `json:"stagers"` // in the order of From
	Parts   int      `json:"parts"`   // valid parts of chunks
	Sum     uint64   `json:"sum"`     // over their hashes

	engine []byte
}

type position struct {
	Topic  string `json:"topic"`
	ID     int32  `json:"id"`
	Offset int64  `json:"offset"`
}

// stager is the name under which the chunks of checkpoints from a number on were staged, up to the next stager's.
type stager struct {
	Name name   `json:"name"`
	From uint64 `json:"from"`
}

// next makes the manifest that follows m, of the chunks that name has staged. m may be nil.
func (m *manifest) next(to state.Manifest, staged name) *manifest {
	next := &manifest{
		Number: to.Number, Sequence: to.Sequence, At: to.At, Lanes: to.Lanes, Bases: to.Bases, engine: to.Engine,
	}
	for p, offset := range to.Positions {
		next.Positions = append(next.Positions, position{p.Topic, p.ID, offset})
	}
	if m != nil {
		next.Since, next.Stagers = slices.Clone(m.Since), slices.Clone(m.Stagers)
	}
	next.obsolete(to.Bases, to.Lanes)
	if n := len(next.Stagers); n == 0 || next.Stagers[n-1].Name != staged {
		next.Stagers = append(next.Stagers, stager{staged, to.Number})
	}
	return next
}

// obsolete makes older chunks obsolete: of lanes with new bases, and of lanes that there are no more.
func (m *manifest) obsolete(bases []int, lanes int) {
	for len(m.Since) < lanes {
		m.Since = append(m.Since, 0)
	}
	for _, lane := range bases {
		if lane >= 0 && lane < lanes {
			m.Since[lane] = m.Number
		}
	}
	for lane := lanes; lane < len(m.Since); lane++ {
		m.Since[lane] = m.Number
	}
}

// valid reports whether a chunk of the lane counts.
func (m *manifest) valid(id chunkID, lane int) bool {
	if m == nil || id.number > m.Number || id.stager != m.stager(id.number) {
		return false
	}
	return lane < len(m.Since) && id.number >= m.Since[lane]
}

// stager returns whose chunks of a checkpoint count.
func (m *manifest) stager(number uint64) name {
	for _, s := range slices.Backward(m.Stagers) {
		if number >= s.From {
			return s.Name
		}
	}
	return name{}
}

// forget drops the stagers of whom no chunk from the checkpoint on can be.
func (m *manifest) forget(oldest uint64) {
	for len(m.Stagers) > 1 && m.Stagers[1].From <= oldest {
		m.Stagers = m.Stagers[1:]
	}
}

// encode puts the engine's part behind the rest: it is no text.
func (m *manifest) encode() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(append(binary.AppendUvarint(nil, uint64(len(text))), text...), m.engine...), nil
}

func decodeManifest(data []byte) (*manifest, error) {
	n, rest, err := number(data, uint64(len(data)))
	if err != nil {
		return nil, err
	}
	if n > uint64(len(rest)) {
		return nil, fmt.Errorf("%w: the manifest ends early", state.ErrCorrupt)
	}
	m := &manifest{engine: rest[n:]}
	if err := json.Unmarshal(rest[:n], m); err != nil {
		return nil, fmt.Errorf("%w: read manifest: %w", state.ErrCorrupt, err)
	}
	return m, nil
}

// state is what the caller of Commit gave.
func (m *manifest) state() state.Manifest {
	s := state.Manifest{
		Number: m.Number, Sequence: m.Sequence, At: m.At, Lanes: m.Lanes, Bases: slices.Clone(m.Bases),
		Engine: slices.Clone(m.engine), Positions: make(map[event.Partition]int64, len(m.Positions)),
	}
	for _, p := range m.Positions {
		s.Positions[event.Partition{Topic: p.Topic, ID: p.ID}] = p.Offset
	}
	return s
}
