package kafka

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all stores of a topic. Those that package disk has too have its names: a process has one kind of store.
type metrics struct {
	commits      prometheus.Counter
	seconds      prometheus.Histogram
	written      prometheus.Counter
	transactions prometheus.Histogram
	fenced       prometheus.Counter
	recovered    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "gatewatch", Subsystem: "state", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "gatewatch", Subsystem: "state", Name: name, Help: help, Buckets: buckets,
		})
	}
	m := &metrics{
		commits:      counter("commits_total", "Checkpoints that were committed."),
		seconds:      histogram("commit_seconds", "Time that a commit took until it was durable.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600),
		written:      counter("written_bytes_total", "Bytes written to Kafka for checkpoints and outbox, before compression."),
		transactions: histogram("transaction_seconds", "Time that a transaction of the state's topic took, troubles included.", .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600),
		fenced:       counter("fenced_total", "Partitions of the state's topic that another process took over while they were in use."),
		recovered:    counter("recoveries_total", "Times that the outcome of a transaction had to be read back from the state's topic."),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.commits, m.seconds, m.written, m.transactions, m.fenced, m.recovered} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
