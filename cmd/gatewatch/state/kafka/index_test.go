package kafka

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

func FuzzIndex(f *testing.F) {
	id := chunkID{stager: newName(), number: 1}
	m := (*manifest)(nil).next(state.Manifest{Number: 1, Lanes: 2, Bases: []int{0}}, id.stager)
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	for key, value := range map[string]string{
		"owner": `{"name":"00112233445566778899aabbccddeeff","transaction":3}`, "format": "1", "trimmed": "7", "settled/a/b": "7",
		"entry/8/0": "\x01x", "entry/a/1": "\x02x", "manifest/0": "\x01\x01" + string(text), string(id.key()): "\x01\x00\x01x", "seed": "",
	} {
		f.Add([]byte(key), []byte(value), []byte(key), []byte(value))
	}
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 []byte) {
		x := newIndex()
		for i, r := range []*kgo.Record{{Key: key1, Value: value1}, {Key: key2, Value: value2}, {Key: key1, Value: value2}, {Key: key2}} {
			r.Offset = int64(i)
			if err := x.apply(r); err != nil && !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrVersion) {
				t.Fatal(err)
			}
		}
		valid, _ := x.sort(x.manifest)
		checkChunks(x.manifest, valid)
		if o := x.outbox; o.last-o.trimmed != uint64(len(o.offsets)) || o.last < o.trimmed {
			t.Fatalf("trimmed %d, last %d, %d offsets", o.trimmed, o.last, len(o.offsets))
		}
	})
}
