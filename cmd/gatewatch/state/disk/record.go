package disk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector/event"
)

// record is a manifest and what of all checkpoints is needed with it.
type record struct {
	Manifest  state.Manifest
	inventory inventory
}

// recordJSON is how a record is written.
type recordJSON struct {
	Number    uint64         `json:"number"`
	At        time.Time      `json:"at"`
	Sequence  uint64         `json:"sequence"`
	Lanes     int            `json:"lanes"`
	Bases     []int          `json:"bases,omitempty"`
	Positions []positionJSON `json:"positions,omitempty"`
	Engine    []byte         `json:"engine,omitempty"`
	Live      []byte         `json:"live,omitempty"`
	Dead      []byte         `json:"dead,omitempty"`
}

type positionJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

func (r record) encode() ([]byte, error) {
	m := r.Manifest
	j := recordJSON{
		Number: m.Number, At: m.At, Sequence: m.Sequence, Lanes: m.Lanes, Bases: m.Bases, Engine: m.Engine,
		Live: appendRuns(nil, r.inventory.live), Dead: appendRuns(nil, r.inventory.dead),
	}
	for p, offset := range m.Positions {
		j.Positions = append(j.Positions, positionJSON{p.Topic, p.ID, offset})
	}
	slices.SortFunc(j.Positions, func(a, b positionJSON) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return json.Marshal(j)
}

func parseRecord(value []byte) (r record, err error) {
	var j recordJSON
	if err := json.Unmarshal(value, &j); err != nil {
		return r, fmt.Errorf("manifest %w: %v", errUnreadable, err)
	}
	r.Manifest = state.Manifest{Number: j.Number, At: j.At, Sequence: j.Sequence, Lanes: j.Lanes, Bases: j.Bases, Engine: j.Engine,
		Positions: make(map[event.Partition]int64, len(j.Positions))}
	for _, p := range j.Positions {
		r.Manifest.Positions[event.Partition{Topic: p.Topic, ID: p.Partition}] = p.Offset
	}
	if r.inventory.live, err = parseRuns(j.Live); err != nil {
		return r, err
	}
	r.inventory.dead, err = parseRuns(j.Dead)
	return r, err
}

// readRecord returns the last record: its manifest has number 0 when there is none.
func readRecord(db *pebble.DB) (r record, err error) {
	iterator, err := db.NewIter(&pebble.IterOptions{LowerBound: checkpointKey(0), UpperBound: []byte{chunkPrefix + 1}})
	if err != nil {
		return r, err
	}
	defer closing(iterator, &err)
	if !iterator.Last() {
		return r, iterator.Error()
	}
	value, err := iterator.ValueAndErr()
	if err != nil {
		return r, err
	}
	if r, err = parseRecord(value); err != nil {
		return r, err
	}
	if key := chunkKey(r.Manifest.Number, manifestIndex); string(iterator.Key()) != string(key) {
		return r, fmt.Errorf("checkpoint %w: its last key is %x, not that of manifest %x", errUnreadable, iterator.Key(), key)
	}
	return r, nil
}

// closing closes an iterator; damage shows there at the latest.
func closing(i *pebble.Iterator, err *error) {
	if e := i.Close(); *err == nil {
		*err = e
	}
}
