package router

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events, uncopied, records, bytes, marks, tooLarge prometheus.Counter
	copies                                            *prometheus.CounterVec
	waiting                                           prometheus.Gauge
	delay                                             prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "gatewatch_route_" + name, Help: help})
	}
	m := &metrics{
		events:   counter("events_total", "Events read from the raw topics."),
		uncopied: counter("uncopied_events_total", "Events that no rule looks at, or of entities that are unknown: they are in no partition of the keyed topic."),
		records:  counter("records_total", "Records with events that were acknowledged."),
		bytes:    counter("bytes_total", "Bytes of acknowledged records, before compression."),
		marks:    counter("marks_total", "Acknowledged records without events, which say how far a raw partition is done."),
		tooLarge: counter("too_large_total", "Records of which a copy is larger than a broker takes; they are dead letters."),
		copies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewatch_route_copies_total", Help: "Events written for a kind of entity. One copy can be for several kinds.",
		}, []string{"kind"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewatch_route_waiting_bytes", Help: "Bytes of records that are not acknowledged yet; at route.max_bytes, reading waits.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatewatch_route_acknowledge_seconds", Help: "From taking events over to the acknowledgement of the record they are in.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.events, m.uncopied, m.records, m.bytes, m.marks, m.tooLarge, m.copies, m.waiting, m.delay} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// acknowledged takes note of a record.
func (m *metrics) acknowledged(bytes int, mark bool, since time.Time) {
	m.bytes.Add(float64(bytes))
	if mark {
		m.marks.Inc()
		return
	}
	m.records.Inc()
	m.delay.Observe(time.Since(since).Seconds())
}
