package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/rules"
)

// Metrics shows what the engine does. A nil Metrics shows nothing.
//
// The figures of rules and of kinds of entities come from the live rule set, so that a removed rule disappears.
type Metrics struct {
	snapshot atomic.Pointer[snapshot]
	delay    prometheus.Histogram
	now      func() time.Time
	next     time.Time // of the next snapshot; belongs to the owner of the engine
}

type snapshot struct {
	stats     detector.Stats
	rules     []*rules.Rule
	watermark float64 // Unix seconds; 0: none yet
}

// snapshotEvery is how old the figures may be: adding them up over all lanes is not free.
const snapshotEvery = 250 * time.Millisecond

var (
	eventsDesc    = desc("events_total", "Events that were handed to the engine.")
	lateDesc      = desc("late_events_total", "Events that came behind the watermark of their partition.")
	skippedDesc   = desc("late_skips_total", "Times that a rule left a late event out because it means the order of events.")
	pendingDesc   = desc("pending_events", "Events that wait for the watermark.")
	watermarkDesc = desc("watermark_timestamp_seconds", "Event time before which everything was applied.")
	delayDesc     = desc("watermark_delay_seconds", "How far the watermark is behind the clock on the wall.")
	entitiesDesc  = desc("entities", "Entities that something is known of.", "kind")
	bytesDesc     = desc("entity_bytes", "Memory that the knowledge of entities takes.", "kind")
	matchesDesc   = desc("rule_matches_total", "Events that a rule looked at.", "rule")
	alertsDesc    = desc("rule_alerts_total", "Versions of alerts that a rule raised.", "rule", "mode")
	rulesDesc     = desc("rules", "Rules in use.", "mode")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gatewatch_engine_"+name, help, labels, nil)
}

// NewMetrics registers the engine's metrics. now is the clock on the wall.
func NewMetrics(r prometheus.Registerer, now func() time.Time) (*Metrics, error) {
	m := &Metrics{now: now, delay: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "gatewatch_engine_event_to_alert_seconds",
		Help:    "From the time of the event to the moment its alert was raised.",
		Buckets: []float64{.1, .5, 1, 2, 2.1, 2.25, 2.5, 3, 4, 5, 10, 30, 60, 300, 3600},
	})}
	m.snapshot.Store(&snapshot{})
	for _, c := range []prometheus.Collector{m, m.delay} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe takes note of what one step of the engine brought.
func (m *Metrics) observe(e *detector.Engine, alerts []*alert.Alert) {
	if m == nil {
		return
	}
	now := m.now()
	for _, a := range alerts {
		if a.State != alert.Closed {
			m.delay.Observe(now.Sub(a.DetectedAt.Std()).Seconds())
		}
	}
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(snapshotEvery)
	s := &snapshot{stats: e.Stats(), rules: e.Rules().Rules}
	if t, ok := e.Watermark(); ok {
		s.watermark = float64(t) / 1000
	}
	m.snapshot.Store(s)
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{eventsDesc, lateDesc, skippedDesc, pendingDesc, watermarkDesc, delayDesc, entitiesDesc,
		bytesDesc, matchesDesc, alertsDesc, rulesDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s := m.snapshot.Load()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter(eventsDesc, s.stats.Events)
	counter(lateDesc, s.stats.Late)
	counter(skippedDesc, s.stats.Skipped)
	gauge(pendingDesc, float64(s.stats.Pending))
	if s.watermark != 0 {
		gauge(watermarkDesc, s.watermark)
		gauge(delayDesc, max(0, float64(m.now().UnixMilli())/1000-s.watermark))
	}
	for _, g := range s.stats.Groups {
		gauge(entitiesDesc, float64(g.Entities), g.Kind)
		gauge(bytesDesc, float64(g.Bytes), g.Kind)
	}
	modes := map[rules.Mode]int{rules.Enforce: 0, rules.Shadow: 0}
	for i, r := range s.rules {
		modes[r.Mode]++
		counter(matchesDesc, s.stats.Rules[i].Matches, r.ID)
		counter(alertsDesc, s.stats.Rules[i].Alerts, r.ID, modeName(r.Mode))
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
