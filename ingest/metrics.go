package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/ingest/accesslog"
)

// Metrics counts what decoders do. All decoders of a process share one.
type Metrics struct {
	records, bytes, events, skipped prometheus.Counter
	rejected, ignored               *prometheus.CounterVec
}

// NewMetrics makes the counters, registered with r unless it is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "gatewatch_decode_" + name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gatewatch_decode_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		records:  counter("records_total", "Records read, good and bad."),
		bytes:    counter("bytes_total", "Bytes of the records read."),
		events:   counter("events_total", "Events decoded."),
		skipped:  counter("skipped_total", "Parts of records that are no requests to a gateway and not missed: spans of clients, other logs, sums, control messages, garbage."),
		rejected: vector("rejected_total", "Records and parts of records that could not become events.", "reason"),
		ignored:  vector("ignored_fields_total", "Optional fields left empty because their value could not be used.", "field"),
	}
	for _, reason := range Reasons() {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, field := range accesslog.Fields() {
		m.ignored.WithLabelValues(field)
	}
	if r != nil {
		r.MustRegister(m.records, m.bytes, m.events, m.skipped, m.rejected, m.ignored)
	}
	return m
}

func (m *Metrics) countIgnored(field string, n int) {
	m.ignored.WithLabelValues(field).Add(float64(n))
}

func (m *Metrics) countRejected(reason Reason, n int) {
	m.rejected.WithLabelValues(string(reason)).Add(float64(n))
}
