package kafka

import (
	"errors"
	"io"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/event"
)

// metrics of a source. Partitions are a bounded label: the topics' owner decides how many there are.
type metrics struct {
	records, bytes, gap *prometheus.CounterVec // by topic and partition
	lag                 *prometheus.GaugeVec   // by topic and partition, of assigned ones
	errors              *prometheus.CounterVec // by kind
	commits             *prometheus.CounterVec // by result
	rebalances          prometheus.Counter
	resets              prometheus.Counter
	unreadable          prometheus.Counter
	partitions          prometheus.Gauge
}

// The results of a commit, counted for each partition.
const (
	commitDone   = "done"
	commitStale  = "stale"
	commitFailed = "failed"
)

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "gatewatch", Subsystem: "kafka", Name: name, Help: help}
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	m := &metrics{
		records:    counters("records_total", "Records read.", "topic", "partition"),
		bytes:      counters("bytes_total", "Bytes read, as they came over the network.", "topic", "partition"),
		gap:        counters("offset_gap_records_total", "Records that were deleted before they were read.", "topic", "partition"),
		lag:        prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("lag_records", "Records not read yet.")), []string{"topic", "partition"}),
		errors:     counters("fetch_errors_total", "Failures to talk to Kafka, by what to look at.", "kind"),
		commits:    counters("commits_total", "Commits of offsets, for each partition.", "result"),
		rebalances: counter("rebalances_total", "Times that partitions were assigned anew."),
		resets:     counter("offset_resets_total", "Times that reading began again at the earliest record because the wanted one was gone."),
		unreadable: counter("unreadable_batches_total", "Batches of records that were skipped because they were damaged or too large."),
		partitions: prometheus.NewGauge(prometheus.GaugeOpts(opts("partitions", "Partitions assigned."))),
	}
	for _, kind := range kinds {
		m.errors.WithLabelValues(kind)
	}
	for _, result := range []string{commitDone, commitStale, commitFailed} {
		m.commits.WithLabelValues(result)
	}
	if r != nil {
		r.MustRegister(m.records, m.bytes, m.gap, m.lag, m.errors, m.commits, m.rebalances, m.resets, m.unreadable, m.partitions)
	}
	return m
}

func (m *metrics) failed(err error) { m.errors.WithLabelValues(kindOf(err)).Inc() }

// partitionMetrics are the metrics of one partition while it is assigned.
type partitionMetrics struct {
	records, bytes, gap prometheus.Counter
	lag                 prometheus.Gauge
	close               func() // forgets the lag: it is somebody else's
}

func (m *metrics) partition(p event.Partition) *partitionMetrics {
	id := strconv.Itoa(int(p.ID))
	return &partitionMetrics{
		records: m.records.WithLabelValues(p.Topic, id), bytes: m.bytes.WithLabelValues(p.Topic, id),
		gap: m.gap.WithLabelValues(p.Topic, id), lag: m.lag.WithLabelValues(p.Topic, id),
		close: func() { m.lag.DeleteLabelValues(p.Topic, id) },
	}
}

// isEnd reports whether err is the end of a connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
