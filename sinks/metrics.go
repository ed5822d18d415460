package sinks

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those of all queues; label sink is bounded by the configuration.
type metrics struct {
	enqueued, delivered, refused, retried, splits, unburied *prometheus.CounterVec
	seconds                                                 *prometheus.HistogramVec
	append                                                  prometheus.Histogram
	unkeepable                                              prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	make := promauto.With(reg)
	counter := func(name, help string) *prometheus.CounterVec {
		return make.NewCounterVec(prometheus.CounterOpts{Name: "gatewatch_sink_" + name, Help: help}, []string{"sink"})
	}
	return &metrics{
		enqueued:  counter("enqueued_total", "Alerts and blind spots handed to the sink's queue in memory."),
		delivered: counter("delivered_total", "Alerts and blind spots that the destination has taken."),
		refused:   counter("refused_total", "Alerts and blind spots that the destination will never take, kept in the dead letters."),
		retried:   counter("retried_total", "Alerts whose delivery failed and was tried again."),
		splits:    counter("splits_total", "Batches refused as a whole and delivered in halves."),
		unburied:  counter("dead_letter_errors_total", "Failed attempts to write dead letters."),
		seconds: make.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gatewatch_sink_delivery_seconds",
			Help:    "Duration of one delivery, failed ones included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"sink"}),
		unkeepable: make.NewCounter(prometheus.CounterOpts{
			Name: "gatewatch_outbox_refused_total",
			Help: "Alerts that have no JSON form, kept in the dead letters instead of the outbox.",
		}),
		append: make.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatewatch_outbox_append_seconds",
			Help:    "Duration of making a group of alerts durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
		}),
	}
}

// lineMetrics are the metrics of one sink.
type lineMetrics struct {
	enqueued, delivered, refused, retried, splits, unburied prometheus.Counter
	seconds                                                 prometheus.Observer
}

func (m *metrics) of(sink string) lineMetrics {
	return lineMetrics{
		enqueued: m.enqueued.WithLabelValues(sink), delivered: m.delivered.WithLabelValues(sink),
		refused: m.refused.WithLabelValues(sink), retried: m.retried.WithLabelValues(sink),
		splits: m.splits.WithLabelValues(sink), unburied: m.unburied.WithLabelValues(sink),
		seconds: m.seconds.WithLabelValues(sink),
	}
}

// depth collects, at each scrape, how full the queues are.
type depth struct {
	queue                                                     *Queue
	alerts, bytes, maxAlerts, maxBytes, age, blocking, failed *prometheus.Desc
	spilled, unsettled, slow                                  *prometheus.Desc // of outboxes
}

func newDepth(q *Queue) *depth {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("gatewatch_sink_"+name, help, []string{"sink"}, nil)
	}
	return &depth{
		queue:     q,
		alerts:    desc("queue_alerts", "Alerts waiting or under way."),
		bytes:     desc("queue_bytes", "JSON size of the alerts waiting or under way."),
		maxAlerts: desc("queue_max_alerts", "Bound of queue_alerts."),
		maxBytes:  desc("queue_max_bytes", "Bound of queue_bytes."),
		age:       desc("oldest_age_seconds", "How long the oldest undelivered alert has been waiting."),
		blocking:  desc("blocking", "1 while the sink's full queue holds up detection."),
		failed:    desc("failing", "1 while the latest delivery has failed."),
		spilled: prometheus.NewDesc("gatewatch_outbox_spilled",
			"Alerts and blind spots that the sink has yet to read from the outbox.", []string{"sink"}, nil),
		unsettled: prometheus.NewDesc("gatewatch_outbox_records", "Alerts and blind spots that not every sink has settled.", nil, nil),
		slow:      prometheus.NewDesc("gatewatch_outbox_blocking", "1 while a slow outbox holds up detection.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (d *depth) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		d.alerts, d.bytes, d.maxAlerts, d.maxBytes, d.age, d.blocking, d.failed, d.spilled, d.unsettled, d.slow,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *depth) Collect(ch chan<- prometheus.Metric) {
	for _, s := range d.queue.Status() {
		gauge := func(desc *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, s.Sink)
		}
		gauge(d.alerts, float64(s.Alerts))
		gauge(d.bytes, float64(s.Bytes))
		gauge(d.maxAlerts, float64(s.MaxAlerts))
		gauge(d.maxBytes, float64(s.MaxBytes))
		gauge(d.age, s.Age.Seconds())
		gauge(d.blocking, boolean(s.Blocking))
		gauge(d.failed, boolean(s.Failure != ""))
		gauge(d.spilled, float64(s.Spilled))
	}
	unsettled, slow := d.queue.backlog()
	ch <- prometheus.MustNewConstMetric(d.unsettled, prometheus.GaugeValue, float64(unsettled))
	ch <- prometheus.MustNewConstMetric(d.slow, prometheus.GaugeValue, boolean(slow))
}

// backlog returns how many records of outboxes not every sink has settled, and whether an outbox holds up detection.
func (q *Queue) backlog() (unsettled uint64, slow bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.feeds {
		if f.outbox != nil && !f.stopped {
			unsettled += f.last - f.acknowledged()
			slow = slow || f.blocked > 0
		}
	}
	return unsettled, slow
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
