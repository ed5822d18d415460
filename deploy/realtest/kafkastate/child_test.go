package kafkastate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	store "github.com/gatewatch/gatewatch/cmd/gatewatch/state/kafka"
)

// exitFenced is the exit status of a child that was followed.
const exitFenced = 3

// write is a process that changes the state of partition 1 until it is killed. It says on stdout what is durable.
func write(args []string) int {
	ctx := context.Background()
	topic, err := store.OpenTopic(ctx, options(os.Getenv(addressEnv), args[0]))
	if err == nil {
		var s *store.Store
		if s, err = topic.Open(ctx, 1); err == nil {
			err = change(ctx, s)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, state.ErrFenced) {
		return exitFenced
	}
	return 1
}

// change makes one step after the other, each a function of what is there.
func change(ctx context.Context, s *store.Store) error {
	k, err := inspect(ctx, s)
	if err != nil {
		return err
	}
	fmt.Println("opened", k.checkpoint)
	for {
		if err := k.checkpointStep(ctx, s); err != nil {
			return err
		}
		if err := k.outboxStep(ctx, s); err != nil {
			return err
		}
	}
}

// known is what a process knows to be durable.
type known struct{ checkpoint, last, settled, trimmed uint64 }

func (k *known) checkpointStep(ctx context.Context, s *store.Store) error {
	number := k.checkpoint + 1
	for _, c := range checkpoint(number) {
		if err := s.Stage(ctx, c); err != nil {
			return err
		}
	}
	if err := s.Commit(ctx, manifest(number)); err != nil {
		return err
	}
	k.checkpoint = number
	fmt.Println("checkpoint", number)
	return nil
}

func (k *known) outboxStep(ctx context.Context, s *store.Store) error {
	last := k.last + 1 + k.last%3
	var entries []state.Entry
	for n := k.last + 1; n <= last; n++ {
		entries = append(entries, entry(n))
	}
	if err := s.Append(ctx, entries); err != nil {
		return err
	}
	k.last = last
	fmt.Println("last", last)
	if err := s.Settle(ctx, "sink", last-1); err != nil {
		return err
	}
	k.settled = last - 1
	fmt.Println("settled", k.settled)
	if last%5 != 0 {
		return nil
	}
	if err := s.Trim(ctx, last-5); err != nil {
		return err
	}
	k.trimmed = last - 5
	fmt.Println("trimmed", k.trimmed)
	return nil
}

const lanes = 3

// rebased is the lane that a checkpoint writes whole, -1 if none.
func rebased(number uint64) int {
	if number%4 != 1 {
		return -1
	}
	return int(number / 4 % lanes)
}

func checkpoint(number uint64) []state.Chunk {
	var chunks []state.Chunk
	for lane := range lanes {
		c := state.Chunk{Lane: lane, Base: rebased(number) == lane}
		c.Data = append(strconv.AppendUint(nil, number, 10), make([]byte, 1+number*7919%200_000)...)
		chunks = append(chunks, c)
	}
	return chunks
}

func manifest(number uint64) state.Manifest {
	m := state.Manifest{Number: number, Lanes: lanes, Sequence: number, Engine: strconv.AppendUint(nil, number, 10)}
	if lane := rebased(number); lane >= 0 {
		m.Bases = []int{lane}
	}
	return m
}

func entry(n uint64) state.Entry {
	return state.Entry{Sequence: n, Data: fmt.Appendf(nil, "entry %d %*d", n, int(n*31%3000), n)}
}

// inspect returns what the store holds, and an error if it is not the outcome of whole steps.
func inspect(ctx context.Context, s *store.Store) (known, error) {
	got := make([][]state.Chunk, lanes)
	m, _, err := state.Read(ctx, s, func(c state.Chunk) error {
		got[c.Lane] = append(got[c.Lane], c)
		return nil
	})
	if err != nil {
		return known{}, err
	}
	if m.Number > 0 && string(m.Engine) != strconv.FormatUint(m.Number, 10) {
		return known{}, fmt.Errorf("checkpoint %d has the engine of %s", m.Number, m.Engine)
	}
	want := make([][]state.Chunk, lanes)
	for n := uint64(1); n <= m.Number; n++ {
		if lane := rebased(n); lane >= 0 {
			want[lane] = nil
		}
		for _, c := range checkpoint(n) {
			want[c.Lane] = append(want[c.Lane], c)
		}
	}
	for lane := range lanes {
		if !slices.EqualFunc(got[lane], want[lane], sameChunk) {
			return known{}, fmt.Errorf("checkpoint %d: lane %d has %d chunks, want %d, or their data differ", m.Number, lane, len(got[lane]), len(want[lane]))
		}
	}
	k := known{checkpoint: m.Number, last: s.Last(), settled: s.Settled()["sink"]}
	k.trimmed, err = inspectOutbox(ctx, s)
	return k, err
}

func sameChunk(a, b state.Chunk) bool { return a.Base == b.Base && string(a.Data) == string(b.Data) }

// inspectOutbox returns the last sequence that was trimmed.
func inspectOutbox(ctx context.Context, s *store.Store) (trimmed uint64, err error) {
	first, next := true, uint64(0)
	for {
		entries, err := s.After(ctx, next, 10_000)
		if err != nil {
			return 0, err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if first {
				first, trimmed, next = false, e.Sequence-1, e.Sequence-1
			}
			if e.Sequence != next+1 || string(e.Data) != string(entry(e.Sequence).Data) {
				return 0, fmt.Errorf("entry %d after %d, or its data differ", e.Sequence, next)
			}
			next = e.Sequence
		}
	}
	if next != s.Last() {
		return 0, fmt.Errorf("the outbox ends at %d, the last sequence is %d", next, s.Last())
	}
	return trimmed, nil
}
