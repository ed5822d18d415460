package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	bytes   prometheus.Gauge
	commits prometheus.Counter
	seconds prometheus.Histogram
	written prometheus.Counter
	full    prometheus.Gauge

	seen uint64 // bytes that the database had written when it was looked at last; of the goroutine that commits
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		bytes:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_state_bytes", Help: "Size of the state on disk, at the last commit."}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{Name: "gatewatch_state_commits_total", Help: "Checkpoints that were committed."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatewatch_state_commit_seconds", Help: "Time that a commit took until it was durable.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600},
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "gatewatch_state_written_bytes_total",
			Help: "Bytes written to disk for checkpoints and outbox, those of compactions included, at the last commit."}),
		full: prometheus.NewGauge(prometheus.GaugeOpts{Name: "gatewatch_state_disk_full", Help: "1 while the disk is full and detection waits, else 0."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.bytes, m.commits, m.seconds, m.written, m.full} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// committed takes note of a commit. The database is asked here rather than when metrics are read: it may be stuck then.
func (m *metrics) committed(took time.Duration, db *pebble.DB) {
	m.commits.Inc()
	m.seconds.Observe(took.Seconds())
	m.look(db)
}

func (m *metrics) look(db *pebble.DB) {
	now := db.Metrics()
	m.bytes.Set(float64(now.DiskSpaceUsage()))
	written := now.WAL.BytesWritten
	for _, level := range now.Levels {
		written += level.TableBytesFlushed + level.TableBytesCompacted + level.TableBytesIngested
	}
	m.written.Add(float64(written - min(written, m.seen)))
	m.seen = written
}
