package geo

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	hits, misses   prometheus.Counter
	lookupErrors   prometheus.Counter
	reloadFailures prometheus.Counter
	databases      prometheus.Gauge
	oldest         prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatewatch_geo_lookups_total",
		Help: "Addresses looked up, by whether the answer was remembered.",
	}, []string{"result"})
	m := &metrics{
		hits:   lookups.WithLabelValues("hit"),
		misses: lookups.WithLabelValues("miss"),
		lookupErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewatch_geo_lookup_errors_total",
			Help: "Lookups in which a database turned out to be broken.",
		}),
		reloadFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewatch_geo_reload_failures_total",
			Help: "Changed databases that could not be used; the old one stays.",
		}),
		databases: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewatch_geo_databases",
			Help: "GeoIP databases in use.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewatch_geo_oldest_build_timestamp_seconds",
			Help: "When the oldest database in use was built, 0 without databases.",
		}),
	}
	if r != nil {
		r.MustRegister(lookups, m.lookupErrors, m.reloadFailures, m.databases, m.oldest)
	}
	return m
}

func (m *metrics) loaded(files []*file) {
	m.databases.Set(float64(len(files)))
	oldest := uint(0)
	for i, f := range files {
		if built := f.reader.Metadata.BuildEpoch; i == 0 || built < oldest {
			oldest = built
		}
	}
	m.oldest.Set(float64(oldest))
}
