package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// run is chunks of one lane that follow each other in one checkpoint.
type run struct {
	number uint64 // of the checkpoint
	lane   int
	base   bool
	first  uint32 // index of the first chunk
	count  uint32
	bytes  uint64
}

// inventory lists all chunks in the folder, in the order of their keys.
type inventory struct {
	live []run // what the latest checkpoint consists of
	dead []run // what is obsolete, and older than something that is live
}

// next is the inventory after a checkpoint that consists of the runs.
func (i inventory) next(m state.Manifest, runs []run) inventory {
	var n inventory
	bases := map[int]bool{}
	for _, lane := range m.Bases {
		bases[lane] = true
	}
	n.dead = append(n.dead, i.dead...)
	for _, r := range i.live {
		if bases[r.lane] || r.lane >= m.Lanes {
			n.dead = append(n.dead, r)
		} else {
			n.live = append(n.live, r)
		}
	}
	n.live = append(n.live, runs...)
	oldest, kept := n.oldest(m.Number), n.dead[:0]
	for _, r := range n.dead {
		if r.number >= oldest {
			kept = append(kept, r)
		}
	}
	n.dead = kept
	return n
}

// oldest is the number of the oldest checkpoint of which something is live; otherwise it is latest.
func (i inventory) oldest(latest uint64) uint64 {
	if len(i.live) == 0 {
		return latest
	}
	return i.live[0].number
}

func size(runs []run) (bytes uint64) {
	for _, r := range runs {
		bytes += r.bytes
	}
	return bytes
}

// appendRuns encodes runs, each as six numbers.
func appendRuns(to []byte, runs []run) []byte {
	for _, r := range runs {
		for _, n := range []uint64{r.number, uint64(r.lane), flag(r.base), uint64(r.first), uint64(r.count), r.bytes} {
			to = binary.AppendUvarint(to, n)
		}
	}
	return to
}

func parseRuns(data []byte) (runs []run, err error) {
	for len(data) > 0 {
		var n [6]uint64
		for i := range n {
			var used int
			if n[i], used = binary.Uvarint(data); used <= 0 {
				return nil, fmt.Errorf("list of chunks %w: it ends early", errUnreadable)
			}
			data = data[used:]
		}
		runs = append(runs, run{number: n[0], lane: int(n[1]), base: n[2] == 1, first: uint32(n[3]), count: uint32(n[4]), bytes: n[5]})
	}
	return runs, nil
}
