package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/detector/event"
)

func (f *fake) readOnly(t *testing.T) *Topic {
	t.Helper()
	o := f.options()
	o.Partitions = 0
	topic, err := OpenTopicReadOnly(limited(t), o)
	must(t, err)
	t.Cleanup(topic.Close)
	return topic
}

// checkpoint commits one lane with one chunk.
func checkpoint(t *testing.T, s *Store, number uint64, data string) {
	t.Helper()
	must(t, s.Stage(limited(t), state.Chunk{Lane: 0, Base: true, Data: []byte(data)}))
	must(t, s.Commit(limited(t), state.Manifest{
		Number: number, Engine: []byte("engine"), Positions: map[event.Partition]int64{{Topic: "keyed", ID: 1}: 7}, Sequence: s.Last(),
		At: time.Unix(1, 0), Lanes: 1, Bases: []int{0},
	}))
}

func loaded(t *testing.T, s *Store) (m state.Manifest, data string) {
	t.Helper()
	m, _, err := state.Read(limited(t), s, func(c state.Chunk) error {
		data += string(c.Data)
		return nil
	})
	must(t, err)
	return m, data
}

// TestReadOnly looks at a partition whose owner is at work: it sees what was committed and staged things not, and the owner goes on.
func TestReadOnly(t *testing.T) {
	f := newFake(t)
	owner := f.open(t)
	must(t, owner.Append(limited(t), entries(1, 3)))
	must(t, owner.Settle(limited(t), "sink", 1))
	checkpoint(t, owner, 1, "one")
	must(t, owner.Stage(limited(t), state.Chunk{Lane: 0, Data: []byte("staged")}))
	must(t, owner.stage.flush(limited(t)))

	topic := f.readOnly(t)
	if topic.Partitions() != 3 {
		t.Errorf("%d partitions", topic.Partitions())
	}
	s, err := topic.OpenReadOnly(limited(t), 1)
	must(t, err)
	if m, data := loaded(t, s); m.Number != 1 || data != "one" || string(m.Engine) != "engine" || s.Seed() != owner.Seed() {
		t.Errorf("%+v %q", m, data)
	}
	if found, err := s.After(limited(t), 1, 1<<20); err != nil || len(found) != 2 || s.Last() != 3 || s.Settled()["sink"] != 1 {
		t.Errorf("%v %v", found, err)
	}
	for name, err := range map[string]error{
		"append": s.Append(limited(t), entries(4, 1)), "stage": s.Stage(limited(t), state.Chunk{}), "settle": s.Settle(limited(t), "sink", 2),
		"commit": s.Commit(limited(t), state.Manifest{Number: 2}), "trim": s.Trim(limited(t), 1),
	} {
		if !errors.Is(err, errReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkpoint(t, owner, 2, "two")
	must(t, owner.Append(limited(t), entries(4, 1)))
	again, err := topic.OpenReadOnly(limited(t), 1)
	must(t, err)
	if m, _ := loaded(t, again); m.Number != 2 || again.Last() != 4 {
		t.Errorf("checkpoint %d, entry %d", m.Number, again.Last())
	}
	must(t, again.Close())
	if s, err := topic.OpenReadOnly(limited(t), 2); err != nil {
		t.Error(err)
	} else if m, _ := loaded(t, s); m.Number != 0 {
		t.Errorf("an unused partition has checkpoint %d", m.Number)
	}
	if _, err := topic.OpenReadOnly(limited(t), 3); err == nil {
		t.Error("a partition that there is not is opened")
	}
}

// TestReadOnlyMakesNothing looks for state where there is none.
func TestReadOnlyMakesNothing(t *testing.T) {
	f := newFake(t)
	if _, err := OpenTopicReadOnly(limited(t), f.options()); !errors.Is(err, ErrAbsent) {
		t.Fatal(err)
	}
	topic, err := OpenTopic(limited(t), f.options())
	must(t, err)
	defer topic.Close()
	if _, err := describeTopic(limited(t), topic.client, "other"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Error(err)
	}
}
