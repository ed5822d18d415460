package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/blindspot"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/pipeline"
	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/sinks"
)

// sight watches whether gatewatch can see: it collects what impairs detection and tells the blind spots that come of it.
// What notices something may call its methods from any goroutine; run belongs to one.
type sight struct {
	log     *slog.Logger
	lag     *blindspot.LagWatch
	engines func(ctx context.Context, look func(*detector.Engine)) error
	unread  func() map[event.Partition]int64
	sinks   func() []sinks.Status
	tell    func(ctx context.Context, records []sinks.Record) (bool, error)
	held    func(bool) // told at each look whether detection is held up

	skipped map[string]uint64 // late events that each rule had left out at the last look
	waiting []sinks.Record    // not handed to delivery yet

	mu       sync.Mutex
	recorder *blindspot.Recorder
}

func newSight(c blindspot.Config, m *blindspot.Metrics, log *slog.Logger) *sight {
	return &sight{log: log, lag: blindspot.NewLagWatch(c.Lag), recorder: blindspot.New(c.Options(m)), skipped: map[string]uint64{}, held: func(bool) {}}
}

const (
	// sightEvery is how often it is looked whether detection is impaired.
	sightEvery = time.Second
	// sightWait is how long a look, or handing blind spots over, may wait for an engine that is held up.
	sightWait = 2 * time.Second
)

func (s *sight) note(c blindspot.Condition) {
	c.Wall = alert.Time(time.Now().UnixMilli())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Note(c)
}

// restarted says that nothing was watched between a checkpoint and now.
func (s *sight) restarted(since time.Time, partitions ...event.Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Restart(alert.Time(since.UnixMilli()), alert.Time(time.Now().UnixMilli()), partitions...)
}

// gap says that Kafka deleted records before they were read.
func (s *sight) gap(p event.Partition, records int64) {
	s.note(blindspot.Condition{Cause: alert.Retention, Topic: p.Topic, Partition: p.ID, Count: uint64(records)})
}

// blocked says that delivery has held detection up; sink is "" for the outbox.
func (s *sight) blocked(sink string, from, to time.Time) {
	if to.Sub(from) < time.Second {
		return // a pause, not an impairment
	}
	s.note(blindspot.Condition{
		Cause: alert.BackPressure, Sink: sink, Partition: -1, From: alert.Time(from.UnixMilli()), To: alert.Time(to.UnixMilli()),
	})
}

// sightedLetters are dead letters that count as blind spots.
type sightedLetters struct {
	pipeline.DeadLetters
	sight *sight
}

// Write implements [pipeline.DeadLetters].
func (l sightedLetters) Write(ctx context.Context, rejected []ingest.Rejected) error {
	counts := map[event.Partition]uint64{}
	for _, r := range rejected {
		counts[r.Partition]++
	}
	for p, n := range counts {
		l.sight.note(blindspot.Condition{Cause: alert.DecodeErrors, Topic: p.Topic, Partition: p.ID, Count: n, Detail: "The first reason was " + string(rejected[0].Reason) + "."})
	}
	return l.DeadLetters.Write(ctx, rejected)
}

// run looks and tells until ctx ends.
func (s *sight) run(ctx context.Context) {
	tick := time.NewTicker(sightEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.look(ctx, now)
			s.mu.Lock()
			spots := s.recorder.Take(alert.Time(now.UnixMilli()))
			s.mu.Unlock()
			s.deliver(ctx, spots)
		}
	}
}

// end ends all intervals and tells them.
func (s *sight) end(ctx context.Context) {
	s.mu.Lock()
	spots := s.recorder.Close()
	s.mu.Unlock()
	s.deliver(ctx, spots)
}

func (s *sight) look(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, sightWait)
	defer cancel()
	seen := seen{skipped: map[string]uint64{}}
	err := s.engines(ctx, func(e *detector.Engine) { s.lookInto(e, &seen) })
	switch {
	case err == nil:
		s.noteSkipped(&seen)
	case errors.Is(err, context.DeadlineExceeded):
		s.note(blindspot.Condition{Cause: alert.BackPressure, Partition: -1, Detail: "The engine waits: for its store, if the disk is full, or for a sink."})
	}
	s.held(err != nil && ctx.Err() != nil)
	s.noteLag(now, &seen)
	for _, status := range s.sinks() {
		if status.Blocking {
			s.note(blindspot.Condition{Cause: alert.BackPressure, Sink: status.Sink, Partition: -1})
		}
	}
}

// seen is what engines know together.
type seen struct {
	watermark event.Time // the earliest
	running   bool       // watermark means something
	skipped   map[string]uint64
}

// lookInto takes note of what an engine has lost. Its owner calls it.
func (s *sight) lookInto(e *detector.Engine, all *seen) {
	if t, ok := e.Watermark(); ok && (!all.running || t < all.watermark) {
		all.watermark, all.running = t, true
	}
	for _, ev := range e.Evictions() {
		s.note(blindspot.Condition{
			Cause: alert.Eviction, Partition: -1, Kind: ev.Kind, From: alert.Time(ev.From), To: alert.Time(ev.To), Count: ev.Count,
		})
	}
	for _, r := range e.Stats().Rules {
		all.skipped[r.ID] += r.Skipped
	}
}

// noteSkipped notes which rules have left late events out since the last look. The watermark says about when that was: late is
// what comes behind it.
func (s *sight) noteSkipped(all *seen) {
	for rule, n := range all.skipped {
		if before := s.skipped[rule]; n > before {
			s.note(blindspot.Condition{
				Cause: alert.LateEvents, Partition: -1, Rule: rule, From: alert.Time(all.watermark), Count: n - before,
			})
		}
	}
	s.skipped = all.skipped
}

func (s *sight) noteLag(now time.Time, all *seen) {
	var progress []blindspot.Progress
	for p, records := range s.unread() {
		progress = append(progress, blindspot.Progress{Partition: p, Unread: records, Behind: now.Sub(all.watermark.Std()), Known: all.running})
	}
	for _, c := range s.lag.Conditions(alert.Time(now.UnixMilli()), progress) {
		s.note(c)
	}
}

// deliver logs blind spots and hands them to delivery; what cannot be handed over now is kept for the next time.
func (s *sight) deliver(ctx context.Context, spots []*alert.BlindSpot) {
	for _, b := range spots {
		s.log.Warn("blind spot: "+b.Detail, "state", b.State, "cause", b.Cause, "from", b.From, "to", b.To, "topic", b.Topic,
			"partitions", b.Partitions, "rules", b.Rules, "kinds", b.Kinds, "sink", b.Sink, "count", b.Count)
		if len(s.waiting) < maxWaiting {
			s.waiting = append(s.waiting, sinks.Record{BlindSpot: b})
		}
	}
	if len(s.waiting) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sightWait)
	defer cancel()
	if told, err := s.tell(ctx, slices.Clone(s.waiting)); told && err == nil {
		s.waiting = nil
	}
}

// maxWaiting bounds the blind spots that wait for delivery: those beyond are in the log alone.
const maxWaiting = 1000
