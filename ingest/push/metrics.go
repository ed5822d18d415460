package push

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	records  prometheus.Counter
	bytes    prometheus.Counter
}

// answers are the codes of answers, each a label that starts at 0.
var answers = []int{
	http.StatusNoContent, http.StatusBadRequest, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusServiceUnavailable,
}

func newMetrics(reg prometheus.Registerer, inFlight *atomic.Int64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewatch_push_requests_total", Help: "Requests with telemetry by the code of the answer; 204 is success.",
		}, []string{"code"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewatch_push_records_total", Help: "Records put into the topic for gateways that push.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewatch_push_bytes_total", Help: "Bytes of telemetry put into the topic for gateways that push.",
		}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatewatch_push_in_flight_bytes", Help: "Bytes of requests that are not in the topic yet, at most ingest.http.max_in_flight_bytes.",
	}, func() float64 { return float64(inFlight.Load()) })
	for _, code := range answers {
		m.requests.WithLabelValues(strconv.Itoa(code))
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.records, m.bytes, waiting} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) answered(code int) { m.requests.WithLabelValues(strconv.Itoa(code)).Inc() }
