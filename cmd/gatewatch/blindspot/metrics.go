package blindspot

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Metrics shows blind spots by cause. Several recorders may share it; a nil one shows nothing.
type Metrics struct {
	open           *prometheus.GaugeVec
	begun, seconds *prometheus.CounterVec
}

// NewMetrics registers the metrics, all at 0.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	labels := []string{"cause"}
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewatch_blind_spots", Help: "Blind spots in progress."}, labels),
		begun: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewatch_blind_spots_total", Help: "Blind spots that have begun."}, labels),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewatch_blind_seconds_total", Help: "Time that blind spots cover."}, labels),
	}
	for _, c := range []prometheus.Collector{m.open, m.begun, m.seconds} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of blind spots: %w", err)
		}
	}
	for _, cause := range alert.Causes() {
		m.open.WithLabelValues(string(cause))
		m.begun.WithLabelValues(string(cause))
		m.seconds.WithLabelValues(string(cause))
	}
	return m, nil
}

func (m *Metrics) begin(i *interval) {
	if m == nil {
		return
	}
	m.open.WithLabelValues(string(i.Cause)).Inc()
	m.begun.WithLabelValues(string(i.Cause)).Inc()
	m.grow(i.Cause, i.length())
}

// resume counts an interval that an earlier process began.
func (m *Metrics) resume(i *interval) {
	if m != nil {
		m.open.WithLabelValues(string(i.Cause)).Inc()
	}
}

func (m *Metrics) grow(cause alert.Cause, by alert.Time) {
	if m != nil {
		m.seconds.WithLabelValues(string(cause)).Add(float64(by) / 1000)
	}
}

func (m *Metrics) end(i *interval) {
	if m != nil {
		m.open.WithLabelValues(string(i.Cause)).Dec()
	}
}
