// Package blindspot turns what impairs detection into intervals that an analyst can ask for: was gatewatch able to see at the
// time?
//
// Whoever notices something notes a [Condition], as often as it holds. A [Recorder] merges conditions of one cause, topic and
// sink that follow each other closely, and says from time to time which intervals have begun, grown and ended. It has no
// clock and no goroutine: all times are parameters.
//
//	r := blindspot.New(blindspot.DefaultOptions())
//	r.Note(blindspot.Condition{Cause: alert.DecodeErrors, Wall: now, Topic: "gateway-access", Partition: 3, Count: 12})
//	deliver(r.Take(now)) // once a second or so
//
// Each interval uses the clock of its cause, the wall's or that of the events, as package alert says. Whether it has ended is
// judged by the clock on the wall in any case: event time stands still when nothing is read.
package blindspot

import (
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// Bounds of what is kept and of what one blind spot names. They are far beyond what a configuration leads to.
const (
	MaxOpen       = 256  // intervals in progress; conditions of further topics and sinks are told without their names
	MaxEnded      = 1024 // intervals that nobody took yet; beyond, an interval does not end
	MaxApart      = 8    // intervals in progress of one cause, topic and sink, at different event times
	MaxPartitions = 1024 // beyond, the blind spot names none, which means all
	MaxNames      = 256  // of rules and of kinds; beyond, the blind spot names none, which means all
	MaxDetail     = 512  // bytes of a condition's own words
)

// Reach is how far apart on the clock of its cause a condition and an interval may be and belong together. Without it one
// event that is a month late would make a blind spot of a month.
const Reach = time.Hour

// Condition is one observation of something that impairs detection.
type Condition struct {
	Cause     alert.Cause
	Wall      alert.Time // when it was noticed, on the wall; always
	From, To  alert.Time // when it held, on the clock of the cause; To is 0: From; both are 0: Wall
	Topic     string
	Partition int32  // of Topic; negative: all
	Rule      string // empty: all
	Kind      string // of entities; empty: all
	Sink      string
	Count     uint64 // what is concerned, as the cause says; added up
	Detail    string // what the cause alone does not say; the latest is told
}

// Options says how conditions become intervals. No field may be zero.
type Options struct {
	Quiet    time.Duration // an interval ends when nothing was noted for so long
	Update   time.Duration // one that goes on is told again after so long
	Announce time.Duration // one that lasts this long is told before its end
	Metrics  *Metrics      // nil: none
}

// DefaultOptions returns half a minute, five minutes and ten seconds.
func DefaultOptions() Options {
	return Options{Quiet: 30 * time.Second, Update: 5 * time.Minute, Announce: 10 * time.Second}
}

// Recorder keeps the blind spots in progress. One goroutine at a time may use it.
type Recorder struct {
	quiet, update, announce alert.Time
	metrics                 *Metrics
	open                    []*interval // in the order in which they began
	ended                   []*interval // and not taken yet, in the order in which they ended
}

// New returns a recorder that knows of nothing.
func New(o Options) *Recorder {
	return &Recorder{
		quiet: alert.Time(o.Quiet.Milliseconds()), update: alert.Time(o.Update.Milliseconds()),
		announce: alert.Time(o.Announce.Milliseconds()), metrics: o.Metrics,
	}
}

// Note takes a condition in. Conditions that are noted within the quiet time of each other may come in any order.
func (r *Recorder) Note(c Condition) {
	c = c.normal()
	r.settle(c.Wall)
	i := r.nearest(c)
	if i == nil && len(r.open) >= MaxOpen {
		c.Topic, c.Sink = "", ""
		i = r.nearest(c)
	}
	if i == nil {
		i = begin(c)
		r.open = append(r.open, i)
		r.metrics.begin(i)
		return
	}
	before := i.length()
	i.merge(c)
	r.metrics.grow(i.Cause, i.length()-before)
}

// Restart notes that gatewatch did not run from the one time to the other on the wall, for each topic of the partitions. Without
// partitions it is one interval that names no topic.
func (r *Recorder) Restart(from, to alert.Time, partitions ...event.Partition) {
	if len(partitions) == 0 {
		r.Note(Condition{Cause: alert.Restart, Wall: to, From: from, To: to})
	}
	for _, p := range partitions {
		r.Note(Condition{Cause: alert.Restart, Wall: to, From: from, To: to, Topic: p.Topic, Partition: p.ID})
	}
	r.endWhere(func(i *interval) bool { return i.Cause == alert.Restart })
}

// Take returns what is to be told now: intervals that have ended, then those that have lasted long enough to be told while
// they last.
func (r *Recorder) Take(now alert.Time) []*alert.BlindSpot {
	r.settle(now)
	told := r.tellEnded()
	for _, i := range r.open {
		if r.due(i, now) {
			told = append(told, i.tell(now))
		}
	}
	return told
}

// Close ends all intervals and returns what is to be told of them.
func (r *Recorder) Close() []*alert.BlindSpot {
	r.end(func(*interval) bool { return true })
	return r.tellEnded()
}

// Open returns the intervals in progress as they are known, in the order in which they began, told or not.
func (r *Recorder) Open() []alert.BlindSpot {
	open := make([]alert.BlindSpot, 0, len(r.open))
	for _, i := range r.open {
		open = append(open, i.blindSpot())
	}
	return open
}

// settle ends the intervals that have become quiet.
func (r *Recorder) settle(now alert.Time) {
	r.endWhere(func(i *interval) bool { return elapsed(i.Last, now, r.quiet) })
}

// endWhere ends intervals as long as there is a place for them. Ending one too late tells less exactly; dropping it would hide
// it.
func (r *Recorder) endWhere(over func(*interval) bool) {
	room := MaxEnded - len(r.ended)
	r.end(func(i *interval) bool {
		if room <= 0 || !over(i) {
			return false
		}
		room--
		return true
	})
}

func (r *Recorder) end(over func(*interval) bool) {
	open := r.open[:0]
	for _, i := range r.open {
		if !over(i) {
			open = append(open, i)
			continue
		}
		i.Ended = true
		r.ended = append(r.ended, i)
		r.metrics.end(i)
	}
	clear(r.open[len(open):])
	r.open = open
}

func (r *Recorder) tellEnded() []*alert.BlindSpot {
	var told []*alert.BlindSpot
	for _, i := range r.ended {
		told = append(told, i.tell(i.Last))
	}
	r.ended = nil
	return told
}

// due says whether an interval in progress is to be told.
func (r *Recorder) due(i *interval, now alert.Time) bool {
	if i.Version == 0 {
		return i.Last-i.First >= r.announce
	}
	return i.Grown && elapsed(i.Told, now, r.update)
}

// nearest returns the interval that c belongs to, or nil. When there are many of its kind it is the nearest, however far.
func (r *Recorder) nearest(c Condition) *interval {
	var found *interval
	apart := 0
	for _, i := range r.open {
		if i.Cause != c.Cause || i.Topic != c.Topic || i.Sink != c.Sink {
			continue
		}
		apart++
		if found == nil || i.distance(c) < found.distance(c) {
			found = i
		}
	}
	if found != nil && apart < MaxApart && found.distance(c) > alert.Time(Reach.Milliseconds()) {
		return nil
	}
	return found
}

// elapsed says whether d has passed since then. A clock that was set back by more than d counts as well: waiting until it has
// caught up could take for ever.
func elapsed(since, now, d alert.Time) bool { return now-since >= d || since-now > d }
