package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/rules"
)

// meter is what one pipeline contributes to [Metrics]. It belongs to the owner of the engine but for the snapshot.
type meter struct {
	metrics  *Metrics
	snapshot atomic.Pointer[snapshot]
	next     time.Time // of the next snapshot
	saved    float64   // cut of the latest committed checkpoint, Unix seconds; 0: none yet
}

type snapshot struct {
	stats     detector.Stats
	rules     []*rules.Rule
	watermark float64 // Unix seconds; 0: none yet
	saved     float64
}

// snapshotEvery is how old the figures may be: adding them up over all lanes is not free.
const snapshotEvery = 250 * time.Millisecond

// observe takes note of what one step of the engine brought.
func (m *meter) observe(e *detector.Engine, alerts []*alert.Alert) {
	if m == nil {
		return
	}
	now := m.metrics.now()
	for _, a := range alerts {
		if a.State != alert.Closed {
			m.metrics.delay.Observe(now.Sub(a.DetectedAt.Std()).Seconds())
		}
	}
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(snapshotEvery)
	s := &snapshot{stats: e.Stats(), rules: e.Rules().Rules, saved: m.saved}
	if t, ok := e.Watermark(); ok {
		s.watermark = float64(t) / 1000
	}
	m.snapshot.Store(s)
}

// paused takes note of how long a checkpoint has held events up.
func (m *meter) paused(d time.Duration) {
	if m != nil {
		m.metrics.pause.Observe(d.Seconds())
	}
}

// committed takes note of a committed checkpoint and how long it took from its cut.
func (m *meter) committed(r result, took time.Duration) {
	if m != nil {
		m.metrics.saving.Observe(took.Seconds())
		m.metrics.savedSize.Add(float64(r.bytes))
		m.saved = float64(r.manifest.At.UnixMilli()) / 1000
	}
}

// close leaves the counters and takes the rest away.
func (m *meter) close() {
	if m == nil {
		return
	}
	m.metrics.mu.Lock()
	defer m.metrics.mu.Unlock()
	m.metrics.retired.count(m.snapshot.Load())
	delete(m.metrics.meters, m)
}

// totals is figures of several pipelines added up.
type totals struct {
	events, late, skipped uint64
	rules                 map[string]detector.RuleStats  // by id
	evicted               map[string]detector.GroupStats // by kind: what was evicted, the rest is empty

	pending          int
	maxBytes         int64
	groups           map[string]detector.GroupStats // by kind
	live             []*rules.Rule
	watermark, saved float64 // the earliest; 0: none
}

func newTotals() totals {
	return totals{rules: map[string]detector.RuleStats{}, evicted: map[string]detector.GroupStats{}, groups: map[string]detector.GroupStats{}}
}

// total adds up all pipelines.
func (m *Metrics) total() totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := newTotals()
	t.events, t.late, t.skipped = m.retired.events, m.retired.late, m.retired.skipped
	for id, r := range m.retired.rules {
		t.rules[id] = r
	}
	for kind, g := range m.retired.evicted {
		t.evicted[kind] = g
	}
	for mt := range m.meters {
		s := mt.snapshot.Load()
		t.count(s)
		t.gauge(s)
	}
	return t
}

// count adds what only grows.
func (t *totals) count(s *snapshot) {
	t.events += s.stats.Events
	t.late += s.stats.Late
	t.skipped += s.stats.Skipped
	for _, r := range s.stats.Rules {
		sum := t.rules[r.ID]
		sum.Matches += r.Matches
		sum.Alerts += r.Alerts
		t.rules[r.ID] = sum
	}
	for _, g := range s.stats.Groups {
		sum := t.evicted[g.Kind]
		sum.Evicted += g.Evicted
		sum.EvictedSuspicious += g.EvictedSuspicious
		t.evicted[g.Kind] = sum
	}
}

// gauge adds what is true now.
func (t *totals) gauge(s *snapshot) {
	t.pending += s.stats.Pending
	t.maxBytes += s.stats.MaxBytes
	for _, g := range s.stats.Groups {
		sum := t.groups[g.Kind]
		sum.Entities += g.Entities
		sum.Bytes += g.Bytes
		sum.Limit += g.Limit
		t.groups[g.Kind] = sum
	}
	if len(s.rules) > 0 {
		t.live = s.rules
	}
	t.watermark = earliest(t.watermark, s.watermark)
	t.saved = earliest(t.saved, s.saved)
}

func earliest(a, b float64) float64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
