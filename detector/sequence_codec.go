package detector

import (
	"encoding/binary"
	"fmt"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

const sequenceVersion = 1

func (s *sequenceState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, sequenceVersion)
	for _, t := range [...]event.Time{s.newest, s.avoided, s.due, s.armed} {
		b = binary.AppendVarint(b, int64(t))
	}
	b = s.waiting.appendBinary(b)
	b = binary.AppendUvarint(b, uint64(len(s.tracks)))
	for i := range s.tracks {
		t := &s.tracks[i]
		b = t.before.appendBinary(t.reached.appendBinary(b))
		b = t.starts.appendBinary(b)
	}
	return b, nil
}

func (c *chain) appendBinary(b []byte) []byte {
	if c.start == noTime {
		return wire.AppendBool(b, false)
	}
	b = binary.AppendVarint(wire.AppendBool(b, true), int64(c.start))
	b = appendTimes(b, c.at)
	return wire.AppendBytes(b, c.proofs)
}

// appendBinary writes the oldest time first.
func (r *ring) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.times)))
	for i := range r.times {
		b = binary.AppendVarint(b, int64(r.times[(r.head+i)%len(r.times)]))
	}
	return b
}

func appendTimes(b []byte, times []event.Time) []byte {
	b = binary.AppendUvarint(b, uint64(len(times)))
	for _, t := range times {
		b = binary.AppendVarint(b, int64(t))
	}
	return b
}

func readTimes(r *wire.Reader) []event.Time {
	times := make([]event.Time, r.Count(1))
	for i := range times {
		times[i] = event.Time(r.Varint())
	}
	return times
}

func (d *sequence) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("sequence", sequenceVersion)
	s := &sequenceState{d: d}
	for _, t := range [...]*event.Time{&s.newest, &s.avoided, &s.due, &s.armed} {
		*t = event.Time(r.Varint())
	}
	s.waiting = readChain(&r)
	if n := r.Count(3); n > 0 {
		s.tracks = make([]track, n)
	}
	for i := range s.tracks {
		s.tracks[i] = track{reached: readChain(&r), before: readChain(&r), starts: ring{times: readTimes(&r)}}
	}
	if r.Err == nil && !d.valid(s) {
		return nil, nil, fmt.Errorf("%w: the sequence has not so many steps or requests", wire.ErrCorrupt)
	}
	return s, r.Rest, r.Err
}

func readChain(r *wire.Reader) chain {
	if !r.Bool() {
		return chain{start: noTime}
	}
	return chain{start: event.Time(r.Varint()), at: readTimes(r), proofs: append([]byte(nil), r.Bytes(r.Count(1))...)}
}

// valid reports whether the state is one of this sequence.
func (d *sequence) valid(s *sequenceState) bool {
	ok := s.waiting.has(len(d.taken)) && (len(s.tracks) == 0 || len(s.tracks) == len(d.taken))
	for i := 0; ok && i < len(s.tracks); i++ {
		t, steps := &s.tracks[i], i+1
		if d.spec.AnyOrder {
			steps = 1
		}
		ok = t.reached.has(steps) && t.before.has(i) && len(t.starts.times) <= d.times(i)
	}
	return ok
}

// has reports whether there is no chain, or one of so many steps.
func (c *chain) has(steps int) bool { return c.start == noTime || len(c.at) == steps }
