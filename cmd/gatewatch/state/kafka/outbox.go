package kafka

import (
	"fmt"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// recentLimit bounds the data of entries that are kept in memory: what sinks that keep up read.
const recentLimit = 4 << 20

// outbox is where the entries are.
type outbox struct {
	trimmed uint64 // entries up to here are gone
	last    uint64
	gap     uint64         // entries up to here that were not trimmed yet when they were missed
	offsets []int64        // of the first records of entries trimmed+1 to last
	parts   map[uint64]int // of entries that have more than one

	recent []state.Entry // the newest, without gaps up to last
	bytes  int           // of recent

	whole assembly
}

// assembly is an entry that is being put together.
type assembly struct {
	sequence uint64
	offset   int64 // of the first of its parts that was seen
	parts    parts
}

// add takes a part and returns the entry once it is whole.
func (a *assembly) add(sequence uint64, part uint64, value []byte, offset int64) (data []byte, of int, err error) {
	of, piece, err := partCount(value)
	if err != nil {
		return nil, 0, err
	}
	if a.sequence != sequence || part == 0 {
		*a = assembly{sequence: sequence, offset: offset}
	}
	data, whole, err := a.parts.add(part, of, piece)
	if err != nil || !whole {
		return nil, 0, err
	}
	return data, of, nil
}

// add takes a record of an entry. It may see a record again, after trouble.
func (o *outbox) add(sequence uint64, part uint64, value []byte, offset int64) error {
	if sequence <= o.last {
		return nil
	}
	data, of, err := o.whole.add(sequence, part, value, offset)
	if err != nil || of == 0 {
		return err
	}
	if sequence != o.last+1 {
		o.skip(sequence - 1)
	}
	o.last = sequence
	o.offsets = append(o.offsets, o.whole.offset)
	if of > 1 {
		o.parts[sequence] = of
	}
	o.keep(state.Entry{Sequence: sequence, Data: data})
	return nil
}

// skip goes on behind entries that the log does not have any more. The record that says that they were trimmed may follow.
func (o *outbox) skip(through uint64) {
	o.gap = through
	o.trimmed, o.last = through, through
	o.offsets, o.recent, o.bytes = nil, nil, 0
	clear(o.parts)
}

func (o *outbox) keep(e state.Entry) {
	o.recent = append(o.recent, e)
	o.bytes += len(e.Data)
	for o.bytes > recentLimit {
		o.drop()
	}
}

// drop forgets the data of the oldest recent entry.
func (o *outbox) drop() {
	o.bytes -= len(o.recent[0].Data)
	o.recent[0] = state.Entry{} // the array lives on
	o.recent = o.recent[1:]
}

// trim takes the record that says up to where entries are gone. It may see a record again, after trouble.
func (o *outbox) trim(through uint64) {
	if through >= o.last {
		o.skip(through)
		o.gap = 0
		return
	}
	for ; o.trimmed < through; o.trimmed++ {
		delete(o.parts, o.trimmed+1)
		o.offsets = o.offsets[1:]
	}
	for len(o.recent) > 0 && o.recent[0].Sequence <= through {
		o.drop()
	}
	if o.gap <= through {
		o.gap = 0
	}
}

// check reports entries that were lost.
func (o *outbox) check() error {
	if o.gap > 0 {
		return fmt.Errorf("%w: entries of the outbox up to %d are missing", state.ErrCorrupt, o.gap)
	}
	return nil
}

// keys are those of all records of the entries after trimmed, through the sequence.
func (o *outbox) keys(through uint64) [][]byte {
	var keys [][]byte
	for s := o.trimmed + 1; s <= through; s++ {
		for part := range max(1, o.parts[s]) {
			keys = append(keys, entryID(s, part))
		}
	}
	return keys
}

// place is where to read entries on: those that follow the sequence begin at the offset.
type place struct {
	sequence uint64
	offset   int64
}

// after returns recent entries that follow the sequence, as many as fit. If they are not in memory it returns where they are.
func (o *outbox) after(sequence uint64, maxBytes int) (entries []state.Entry, elsewhere *place) {
	sequence = max(sequence, o.trimmed)
	if sequence >= o.last {
		return nil, nil
	}
	if len(o.recent) == 0 || o.recent[0].Sequence > sequence+1 {
		return nil, &place{sequence, o.offsets[sequence-o.trimmed]}
	}
	return fitting(o.recent[sequence+1-o.recent[0].Sequence:], maxBytes), nil
}

// fitting returns the first entries that have no more than maxBytes, but one at least.
func fitting(entries []state.Entry, maxBytes int) []state.Entry {
	n, bytes := 0, 0
	for n < len(entries) {
		if bytes += len(entries[n].Data); n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	return append([]state.Entry(nil), entries[:n]...)
}
