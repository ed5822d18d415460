package pipeline

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/rules"
)

// Metrics shows what the engines of a process do, one for each pipeline, added up. A nil Metrics shows nothing.
//
// The figures of rules and of kinds of entities come from the live rule set, so that a removed rule disappears.
type Metrics struct {
	now       func() time.Time
	delay     prometheus.Histogram
	saving    prometheus.Histogram
	pause     prometheus.Histogram
	savedSize prometheus.Counter

	mu      sync.Mutex
	meters  map[*meter]bool
	retired totals // counters of pipelines that have ended
}

var (
	eventsDesc    = desc("events_total", "Events that were handed to the engine.")
	lateDesc      = desc("late_events_total", "Events that came behind the watermark of their partition.")
	skippedDesc   = desc("late_skips_total", "Times that a rule left a late event out because it means the order of events.")
	pendingDesc   = desc("pending_events", "Events that wait for the watermark.")
	watermarkDesc = desc("watermark_timestamp_seconds", "Event time before which everything was applied.")
	delayDesc     = desc("watermark_delay_seconds", "How far the watermark is behind the clock on the wall.")
	entitiesDesc  = desc("entities", "Entities that something is known of.", "kind")
	bytesDesc     = desc("entity_bytes", "Memory that the knowledge of entities takes.", "kind")
	maxEntities   = desc("entities_max", "Limit of entities; 0: none.", "kind")
	maxBytes      = desc("entity_bytes_max", "Limit of the memory that the knowledge of all entities takes; 0: none.")
	evictedDesc   = desc("evictions_total", "Entities that were forgotten to stay within limits.", "kind", "suspicious")
	matchesDesc   = desc("rule_matches_total", "Events that a rule looked at.", "rule")
	alertsDesc    = desc("rule_alerts_total", "Versions of alerts that a rule raised.", "rule", "mode")
	rulesDesc     = desc("rules", "Rules in use.", "mode")
	savedDesc     = prometheus.NewDesc("gatewatch_checkpoint_timestamp_seconds", "Cut of the latest committed checkpoint, the oldest of all pipelines.", nil, nil)
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gatewatch_engine_"+name, help, labels, nil)
}

// NewMetrics registers the metrics of engines and their checkpoints. now is the clock on the wall.
func NewMetrics(r prometheus.Registerer, now func() time.Time) (*Metrics, error) {
	m := &Metrics{now: now, meters: map[*meter]bool{}, retired: newTotals(), delay: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "gatewatch_engine_event_to_alert_seconds",
		Help:    "From the time of the event to the moment its alert was raised.",
		Buckets: []float64{.1, .5, 1, 2, 2.1, 2.25, 2.5, 3, 4, 5, 10, 30, 60, 300, 3600},
	}), saving: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "gatewatch_checkpoint_seconds",
		Help:    "From the cut of a checkpoint to its commit.",
		Buckets: []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60},
	}), pause: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "gatewatch_checkpoint_pause_seconds",
		Help:    "For how long a checkpoint held events up at a time.",
		Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .5},
	}), savedSize: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatewatch_checkpoint_bytes_total",
		Help: "Bytes of entities in committed checkpoints.",
	})}
	for _, c := range []prometheus.Collector{m, m.delay, m.saving, m.pause, m.savedSize} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// open returns the meter of a new pipeline.
func (m *Metrics) open() *meter {
	if m == nil {
		return nil
	}
	mt := &meter{metrics: m}
	mt.snapshot.Store(&snapshot{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meters[mt] = true
	return mt
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{eventsDesc, lateDesc, skippedDesc, pendingDesc, watermarkDesc, delayDesc, entitiesDesc,
		bytesDesc, maxEntities, maxBytes, evictedDesc, matchesDesc, alertsDesc, rulesDesc, savedDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	t := m.total()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter(eventsDesc, t.events)
	counter(lateDesc, t.late)
	counter(skippedDesc, t.skipped)
	gauge(pendingDesc, float64(t.pending))
	if t.watermark != 0 {
		gauge(watermarkDesc, t.watermark)
		gauge(delayDesc, max(0, float64(m.now().UnixMilli())/1000-t.watermark))
	}
	if t.saved != 0 {
		gauge(savedDesc, t.saved)
	}
	for kind, g := range t.groups {
		gauge(entitiesDesc, float64(g.Entities), kind)
		gauge(bytesDesc, float64(g.Bytes), kind)
		gauge(maxEntities, float64(g.Limit), kind)
		evicted := t.evicted[kind]
		counter(evictedDesc, evicted.Evicted-evicted.EvictedSuspicious, kind, "no")
		counter(evictedDesc, evicted.EvictedSuspicious, kind, "yes")
	}
	gauge(maxBytes, float64(t.maxBytes))
	modes := map[rules.Mode]int{rules.Enforce: 0, rules.Shadow: 0}
	for _, r := range t.live {
		modes[r.Mode]++
		counter(matchesDesc, t.rules[r.ID].Matches, r.ID)
		counter(alertsDesc, t.rules[r.ID].Alerts, r.ID, modeName(r.Mode))
	}
	for mode, n := range modes {
		gauge(rulesDesc, float64(n), modeName(mode))
	}
}

func modeName(m rules.Mode) string {
	if m == rules.Shadow {
		return "shadow"
	}
	return "enforce"
}
