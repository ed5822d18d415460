package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// A partition that was compacted says the same as before, and so does one that goes on from there.
func TestCompaction(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	work(t, s)
	must(t, s.Stage(t.Context(), state.Chunk{Data: []byte("never committed")}))
	before, err := s.log.start(limited(t))
	must(t, err)
	for range 3 {
		f.Compact()
		s = f.open(t)
		check(t, s)
	}
	after := 0
	end, err := s.log.end(limited(t))
	must(t, err)
	_, err = s.log.read(limited(t), before, end, func(r *kgo.Record) error { after++; return nil })
	must(t, err)
	if after > int(end-before)/2 {
		t.Errorf("%d records of %d are left: nothing was compacted", after, end-before)
	}
}
