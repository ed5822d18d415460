package blindspot

import (
	"fmt"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// interval is a blind spot in the making. Its form in JSON goes into checkpoints.
type interval struct {
	Cause      alert.Cause     `json:"cause"`
	Topic      string          `json:"topic,omitempty"`
	Sink       string          `json:"sink,omitempty"`
	From       alert.Time      `json:"from"` // on the clock of the cause, as To
	To         alert.Time      `json:"to"`
	First      alert.Time      `json:"first"` // on the wall: when it was noted first and last
	Last       alert.Time      `json:"last"`
	Partitions members[int32]  `json:"partitions"`
	Rules      members[string] `json:"rules"`
	Kinds      members[string] `json:"kinds"`
	Count      uint64          `json:"count"`
	Detail     string          `json:"detail,omitempty"`
	DetailAt   alert.Time      `json:"detail_at"`
	ID         string          `json:"id,omitempty"` // from when it is told or kept first
	Version    int             `json:"version"`      // as told last; 0: not yet
	Told       alert.Time      `json:"told"`         // on the wall
	Grown      bool            `json:"grown"`        // since then
	Ended      bool            `json:"ended"`
}

// normal returns c with all its times, and its words cut.
func (c Condition) normal() Condition {
	if c.From == 0 && c.To == 0 {
		c.From = c.Wall
	}
	if c.To == 0 {
		c.To = c.From
	}
	if c.From > c.To {
		c.From, c.To = c.To, c.From
	}
	if len(c.Detail) > MaxDetail {
		c.Detail = strings.ToValidUTF8(c.Detail[:MaxDetail], "") + "…"
	}
	return c
}

func begin(c Condition) *interval {
	i := &interval{Cause: c.Cause, Topic: c.Topic, Sink: c.Sink, From: c.From, To: c.To, First: c.Wall, Last: c.Wall}
	i.merge(c)
	return i
}

func (i *interval) merge(c Condition) {
	i.From, i.To = min(i.From, c.From), max(i.To, c.To)
	i.First, i.Last = min(i.First, c.Wall), max(i.Last, c.Wall)
	i.Partitions.add(c.Partition, c.Partition < 0, MaxPartitions)
	i.Rules.add(c.Rule, c.Rule == "", MaxNames)
	i.Kinds.add(c.Kind, c.Kind == "", MaxNames)
	i.Count += c.Count
	i.Grown = true
	if c.Detail != "" && (c.Wall > i.DetailAt || c.Wall == i.DetailAt && c.Detail > i.Detail) {
		i.Detail, i.DetailAt = c.Detail, c.Wall
	}
}

func (i *interval) length() alert.Time { return i.To - i.From }

// distance is the time between the interval and c on the clock of the cause, 0 when they touch.
func (i *interval) distance(c Condition) alert.Time { return max(0, c.From-i.To, i.From-c.To) }

// tell makes the next version.
func (i *interval) tell(now alert.Time) *alert.BlindSpot {
	i.name()
	i.Version++
	i.Told, i.Grown = now, false
	b := i.blindSpot()
	return &b
}

// name gives the interval its id, which stays when the interval grows to earlier times.
func (i *interval) name() {
	if i.ID == "" {
		i.ID = alert.NewBlindSpotID(i.Cause, i.scope(), i.From)
	}
}

// scope tells intervals of one cause apart. The clock on the wall is part of it: a device whose clock stands still makes blind
// spots that all begin at the same event time.
func (i *interval) scope() string { return fmt.Sprintf("%s|%s|%d", i.Topic, i.Sink, i.First) }

// blindSpot returns the interval as it was told last, apart from what has grown.
func (i *interval) blindSpot() alert.BlindSpot {
	b := alert.BlindSpot{
		Schema: alert.SchemaVersion, ID: i.ID, Version: i.Version, State: i.state(), Cause: i.Cause, From: i.From, To: i.To,
		Topic: i.Topic, Rules: i.Rules.named(), Kinds: i.Kinds.named(), Sink: i.Sink, Count: i.Count, Detail: i.detail(),
	}
	if i.Topic != "" {
		b.Partitions = i.Partitions.named()
	}
	return b
}

func (i *interval) state() alert.State {
	switch {
	case i.Ended:
		return alert.Closed
	case i.Version > 1:
		return alert.Update
	}
	return alert.Open
}

func (i *interval) detail() string {
	return strings.TrimSpace(Advice(i.Cause) + " " + i.Detail)
}
