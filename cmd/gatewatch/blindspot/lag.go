package blindspot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// Progress is how far one assigned partition has been read.
type Progress struct {
	Partition event.Partition
	Unread    int64         // records that wait in Kafka; negative: unknown
	Behind    time.Duration // how far the watermark is behind the clock on the wall
	Known     bool          // false: there is no watermark yet, Behind says nothing
}

// LagWatch decides from the progress of partitions whether telemetry is read too late. One goroutine at a time may use it.
//
// A partition is late when records wait in it and its watermark is further behind than the limit. Without records that wait
// the watermark says how late the gateway ships its logs, not how late gatewatch reads them. A partition without a watermark
// is late when records have been waiting for longer than the limit.
type LagWatch struct {
	limit   time.Duration
	waiting map[event.Partition]alert.Time // without a watermark, since when; assigned partitions only
}

// NewLagWatch returns a watch for the limit of the configuration.
func NewLagWatch(limit time.Duration) *LagWatch {
	return &LagWatch{limit: limit, waiting: map[event.Partition]alert.Time{}}
}

// Conditions returns one condition for each partition that is late now, those of one topic after each other, the worst last:
// its words count. progress holds all assigned partitions.
func (w *LagWatch) Conditions(now alert.Time, progress []Progress) []Condition {
	late := w.late(now, progress)
	slices.SortFunc(late, func(a, b Progress) int {
		return cmp.Or(strings.Compare(a.Partition.Topic, b.Partition.Topic), cmp.Compare(a.Behind, b.Behind),
			cmp.Compare(a.Partition.ID, b.Partition.ID))
	})
	var all []Condition
	for i, p := range late {
		c := Condition{Cause: alert.Lag, Wall: now, Topic: p.Partition.Topic, Partition: p.Partition.ID}
		if i+1 == len(late) || late[i+1].Partition.Topic != c.Topic {
			c.Detail = fmt.Sprintf("At last partition %d was %v behind, with %d records unread.",
				p.Partition.ID, p.Behind.Round(time.Second), p.Unread)
		}
		all = append(all, c)
	}
	return all
}

// late returns the partitions that are, all with Behind.
func (w *LagWatch) late(now alert.Time, progress []Progress) []Progress {
	waiting := make(map[event.Partition]alert.Time, len(w.waiting))
	var late []Progress
	for _, p := range progress {
		if p.Unread <= 0 {
			continue
		}
		if !p.Known {
			since, ok := w.waiting[p.Partition]
			if !ok || since > now {
				since = now
			}
			waiting[p.Partition] = since
			p.Behind = (now.Std()).Sub(since.Std())
		}
		if p.Behind > w.limit {
			late = append(late, p)
		}
	}
	w.waiting = waiting
	return late
}
