package blindspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// stateVersion is that of the form in checkpoints.
const stateVersion = 1

type state struct {
	Version   int         `json:"version"`
	Intervals []*interval `json:"intervals"` // those that ended and were not taken first
}

// AppendBinary implements [encoding.BinaryAppender]: what is in progress, for a checkpoint. It settles
// the ids.
func (r *Recorder) AppendBinary(b []byte) ([]byte, error) {
	for _, i := range r.open {
		i.name()
	}
	for _, i := range r.ended {
		i.name()
	}
	text, err := json.Marshal(state{Version: stateVersion, Intervals: slices.Concat(r.ended, r.open)})
	if err != nil {
		return b, fmt.Errorf("encode blind spots: %w", err)
	}
	return append(b, text...), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler] for a recorder that knows of nothing. Ids stay and versions go on; the
// first Take ends what has been quiet since.
func (r *Recorder) UnmarshalBinary(data []byte) error {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("decode blind spots: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("decode blind spots: version %d is not known", s.Version)
	}
	if len(s.Intervals) > MaxEnded+2*MaxOpen {
		return fmt.Errorf("decode blind spots: there are %d intervals", len(s.Intervals))
	}
	for _, i := range s.Intervals {
		if err := i.check(); err != nil {
			return fmt.Errorf("decode blind spots: %w", err)
		}
	}
	for _, i := range s.Intervals {
		r.adopt(i)
	}
	return nil
}

// Told notes a blind spot that an earlier process told after the checkpoint that this recorder was restored from, as the outbox
// has it: versions go on after its version, one that was closed is over, and one that is unknown is taken up as it was told.
// wall is when that process was seen last.
func (r *Recorder) Told(b *alert.BlindSpot, wall alert.Time) {
	same := func(i *interval) bool { return i.ID == b.ID }
	at := slices.IndexFunc(r.open, same)
	switch {
	case b.State == alert.Closed:
		r.end(same)
		r.ended = slices.DeleteFunc(r.ended, same)
	case at >= 0:
		before := r.open[at].length()
		r.open[at].catchUp(b)
		r.metrics.grow(b.Cause, r.open[at].length()-before)
	case !slices.ContainsFunc(r.ended, same):
		r.adopt(fromTold(b, wall))
	}
}

func (r *Recorder) adopt(i *interval) {
	if i.Ended {
		r.ended = append(r.ended, i)
		return
	}
	r.open = append(r.open, i)
	r.metrics.resume(i)
}

func fromTold(b *alert.BlindSpot, wall alert.Time) *interval {
	return &interval{
		Cause: b.Cause, Topic: b.Topic, Sink: b.Sink, From: b.From, To: b.To, First: wall, Last: wall,
		Partitions: listed(b.Partitions), Rules: listed(b.Rules), Kinds: listed(b.Kinds),
		Count: b.Count, Detail: strings.TrimSpace(strings.TrimPrefix(b.Detail, Advice(b.Cause))), DetailAt: wall,
		ID: b.ID, Version: b.Version, Told: wall, Grown: true,
	}
}

// catchUp brings a restored interval to what was told of it later.
func (i *interval) catchUp(b *alert.BlindSpot) {
	i.From, i.To = min(i.From, b.From), max(i.To, b.To)
	i.Version, i.Count = max(i.Version, b.Version), max(i.Count, b.Count)
	i.Partitions.join(listed(b.Partitions), MaxPartitions)
	i.Rules.join(listed(b.Rules), MaxNames)
	i.Kinds.join(listed(b.Kinds), MaxNames)
}

// check reports what no recorder would have written.
func (i *interval) check() error {
	switch {
	case i == nil:
		return errors.New("an interval is missing")
	case !slices.Contains(alert.Causes(), i.Cause):
		return fmt.Errorf("cause %q is not known", i.Cause)
	case i.From > i.To || i.First > i.Last:
		return fmt.Errorf("an interval of cause %s ends before it begins", i.Cause)
	case i.ID == "" || i.Version < 0:
		return fmt.Errorf("an interval of cause %s has id %q and version %d", i.Cause, i.ID, i.Version)
	case !i.Partitions.valid(MaxPartitions) || !i.Rules.valid(MaxNames) || !i.Kinds.valid(MaxNames):
		return fmt.Errorf("an interval of cause %s has lists that are too long or not sorted", i.Cause)
	}
	return nil
}
