package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
)

// stateSummary is what a state holds, as JSON; the names are stable. A folder is one unit, a topic one for each partition.
type stateSummary struct {
	Location string        `json:"location"`
	Units    []unitSummary `json:"units"`
}

type unitSummary struct {
	Partition  *int32               `json:"partition,omitempty"`
	Format     string               `json:"format"`
	Made       *time.Time           `json:"made,omitempty"`
	MadeBy     string               `json:"made_by,omitempty"`
	Checkpoint *checkpointSummary   `json:"checkpoint"` // null: there is none yet
	Kinds      []kindSummary        `json:"kinds"`
	Rules      []detector.KnownRule `json:"rules"`
	Outbox     outboxSummary        `json:"outbox"`
}

type checkpointSummary struct {
	Number     uint64            `json:"number"`
	At         time.Time         `json:"at"`
	AgeSeconds float64           `json:"age_seconds"`
	Watermark  *alert.Time       `json:"watermark,omitempty"`
	Lanes      int               `json:"lanes"`
	Chunks     int               `json:"chunks"`
	Bytes      int64             `json:"bytes"`
	Positions  []positionSummary `json:"positions"`
}

type positionSummary struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

type kindSummary struct {
	Kind     string `json:"kind"`
	Entities int    `json:"entities"`
	Bytes    int64  `json:"bytes"` // of memory
}

type outboxSummary struct {
	Alerts     int           `json:"alerts"`
	BlindSpots int           `json:"blind_spots"`
	Last       uint64        `json:"last"`
	Sinks      []sinkSummary `json:"sinks"`
}

type sinkSummary struct {
	Sink    string `json:"sink"`
	Settled uint64 `json:"settled"`
	Waiting int    `json:"waiting"`
}

func (v *stateView) summarise(ctx context.Context, out io.Writer, asJSON bool) error {
	s := stateSummary{Location: v.location}
	for _, partition := range v.partitions {
		u, err := v.read(ctx, partition)
		if err != nil {
			return err
		}
		s.Units = append(s.Units, u.summary(time.Now()))
	}
	if asJSON {
		return writeJSON(out, s)
	}
	_, err := io.WriteString(out, s.text())
	return err
}

func (u *unit) summary(now time.Time) unitSummary {
	s := unitSummary{
		Partition: u.partitionNumber(), Format: u.about.Format, MadeBy: u.about.By, Kinds: []kindSummary{}, Rules: u.rules, Outbox: u.outbox.summary(),
	}
	if made := u.about.Made; !made.IsZero() {
		s.Made = &made
	}
	if s.Rules == nil {
		s.Rules = []detector.KnownRule{}
	}
	for _, g := range u.engine.Stats().Groups {
		s.Kinds = append(s.Kinds, kindSummary{g.Kind, g.Entities, g.Bytes})
	}
	slices.SortFunc(s.Kinds, func(a, b kindSummary) int { return cmp.Compare(a.Kind, b.Kind) })
	if u.manifest.Number > 0 {
		s.Checkpoint = u.checkpoint(now)
	}
	return s
}

func (u *unit) checkpoint(now time.Time) *checkpointSummary {
	m := u.manifest
	c := &checkpointSummary{
		Number: m.Number, At: m.At.UTC(), AgeSeconds: now.Sub(m.At).Round(time.Millisecond).Seconds(), Lanes: m.Lanes, Chunks: u.chunks, Bytes: u.bytes,
		Positions: []positionSummary{},
	}
	if t, ok := u.engine.Watermark(); ok {
		watermark := alert.Time(t)
		c.Watermark = &watermark
	}
	for p, offset := range m.Positions {
		c.Positions = append(c.Positions, positionSummary{p.Topic, p.ID, offset})
	}
	slices.SortFunc(c.Positions, func(a, b positionSummary) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return c
}

func (o outboxContent) summary() outboxSummary {
	s := outboxSummary{Alerts: o.alerts, BlindSpots: o.blindSpots, Last: o.last, Sinks: []sinkSummary{}}
	for _, sink := range slices.Sorted(maps.Keys(o.settled)) {
		s.Sinks = append(s.Sinks, sinkSummary{sink, o.settled[sink], o.waiting(sink)})
	}
	return s
}

func (s stateSummary) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Location)
	for _, u := range s.Units {
		u.write(&b)
	}
	return b.String()
}

func (s unitSummary) write(b *strings.Builder) {
	if s.Partition != nil {
		fmt.Fprintf(b, "\npartition %d\n", *s.Partition)
	}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(b, "  %-11s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("format", "%s", s.format())
	if c := s.Checkpoint; c == nil {
		line("checkpoint", "none yet")
	} else {
		c.write(line)
	}
	for _, k := range s.Kinds {
		line("entities", "%s %s, %s of memory", thousands(uint64(k.Entities)), k.Kind, fileSize(k.Bytes))
	}
	if s.Checkpoint != nil {
		s.writeRules(line)
	}
	s.Outbox.write(line)
}

func (s unitSummary) format() string {
	text := s.Format
	if s.Made != nil {
		text += ", made " + s.Made.UTC().Format(time.RFC3339)
	}
	if s.MadeBy != "" {
		text += " by gatewatch " + s.MadeBy
	}
	return text
}

func (c *checkpointSummary) write(line func(what, format string, args ...any)) {
	age := time.Duration(c.AgeSeconds * float64(time.Second)).Round(time.Second)
	line("checkpoint", "number %d of %s, %s ago: %s, %s", c.Number, c.At.Format(time.RFC3339), age, plural(c.Chunks, "chunk"), fileSize(c.Bytes))
	if c.Watermark != nil {
		line("watermark", "%s", c.Watermark)
	}
	for _, p := range c.Positions {
		line("position", "%s, partition %d: offset %s", p.Topic, p.Partition, thousands(uint64(max(0, p.Offset))))
	}
}

// ruleMeanings are the statuses that an operator has to know of.
var ruleMeanings = []struct {
	status  detector.RuleStatus
	meaning string
}{
	{detector.RuleChanged, "means something else now: what it knew is not shown, and a start with these rules drops it"},
	{detector.RuleRemoved, "is not among these rules: what it knew is not shown, and a start with these rules drops it"},
	{detector.RuleNew, "is not known to the state: it starts afresh"},
}

func (s unitSummary) writeRules(line func(what, format string, args ...any)) {
	kept := 0
	for _, r := range s.Rules {
		if r.Status == detector.RuleKept {
			kept++
		}
	}
	line("rules", "%d kept", kept)
	for _, m := range ruleMeanings {
		for _, r := range s.Rules {
			if r.Status == m.status {
				line("  "+string(m.status), "%s %s", r.ID, m.meaning)
			}
		}
	}
}

func (s outboxSummary) write(line func(what, format string, args ...any)) {
	line("outbox", "%s, %s", plural(s.Alerts, "alert"), plural(s.BlindSpots, "blind spot"))
	for _, sink := range s.Sinks {
		line("  "+sink.Sink, "%s waiting", plural(sink.Waiting, "record"))
	}
}
