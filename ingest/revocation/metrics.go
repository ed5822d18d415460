package revocation

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	tokens, badLines prometheus.Gauge
	reloads          *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		tokens:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_revocation_tokens", Help: "Tokens that revocation lists name."}),
		badLines: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_revocation_bad_lines", Help: "Lines of revocation lists that cannot be read."}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewatch_revocation_reloads_total", Help: "Changed revocation lists that were read again.",
		}, []string{"result"}),
	}
	for _, result := range []string{"loaded", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	if r != nil {
		r.MustRegister(m.tokens, m.badLines, m.reloads)
	}
	return m
}
