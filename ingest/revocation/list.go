package revocation

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/privacy"
)

// Options says what lists are opened with. The zero Options do.
type Options struct {
	Key        []byte                // of the pseudonyms, as events have them; empty: privacy.DefaultKey
	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: no log
}

// List is the tokens that are revoked. It is safe for concurrent use.
type List struct {
	config  Config
	key     []byte
	log     *slog.Logger
	metrics *metrics
	current atomic.Pointer[table]

	reload sync.Mutex // guards what follows
	stamps []stamp
	failed string // error already logged
}

// Open reads the lists. It fails when one of them cannot be read or together they are too large; lines that cannot be read are
// left out, counted and logged by number.
func Open(c Config, o Options) (*List, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &List{config: c, key: slices.Clone(o.Key), log: o.Logger, metrics: newMetrics(o.Registerer)}
	stamps, err := l.look()
	if err != nil {
		return nil, err
	}
	if err := l.load(stamps); err != nil {
		return nil, err
	}
	return l, nil
}

// RevokedAt returns when the token with the pseudonym was revoked, 0 if no list names it. It does not allocate.
func (l *List) RevokedAt(tokenID string) event.Time {
	s, ok := privacy.ParseToken(tokenID)
	if !ok {
		return 0
	}
	return l.current.Load().times[s]
}

// Len returns the number of revoked tokens.
func (l *List) Len() int { return len(l.current.Load().times) }

// Reload reads the lists again if a file has changed. If one cannot be read, all stay in use as they were; the error says why, and
// is logged when it is new.
func (l *List) Reload() error {
	l.reload.Lock()
	defer l.reload.Unlock()
	stamps, err := l.look()
	if err == nil && slices.Equal(stamps, l.stamps) {
		return nil
	}
	if err == nil {
		err = l.load(stamps)
	}
	if err == nil {
		l.failed = ""
		l.metrics.reloads.WithLabelValues("loaded").Inc()
		l.log.Info("revocation lists reloaded", "tokens", l.Len())
		return nil
	}
	if l.failed != err.Error() {
		l.failed = err.Error()
		l.metrics.reloads.WithLabelValues("failed").Inc()
		l.log.Error("revocation lists not reloaded, the old ones stay in use", "error", err)
	}
	return err
}

// look returns the stamps of the files. They are taken before the files are read: what is written meanwhile is read next time.
func (l *List) look() ([]stamp, error) {
	var stamps []stamp
	for _, path := range l.config.Files {
		s, err := stampOf(path)
		if err != nil {
			return nil, err
		}
		stamps = append(stamps, s)
	}
	return stamps, nil
}

func (l *List) load(stamps []stamp) error {
	t, err := readFiles(l.config.Files, l.config.MaxEntries, privacy.New(privacy.Options{Key: l.key}))
	if err != nil {
		return err
	}
	l.stamps = stamps
	l.current.Store(t)
	l.metrics.tokens.Set(float64(len(t.times)))
	l.metrics.badLines.Set(float64(t.bad))
	for _, b := range t.told {
		l.log.Warn("a line of a revocation list cannot be read", "file", b.file, "line", b.line, "reason", string(b.why))
	}
	if more := t.bad - len(t.told); more > 0 {
		l.log.Warn("more lines of revocation lists cannot be read", "lines", more)
	}
	return nil
}
