package geo

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/event"
)

// MaxDatabases is how many databases can be used together.
const MaxDatabases = 8

// Config names the databases. It is the YAML form.
type Config struct {
	Databases []string `yaml:"databases"` // MaxMind DB files in any order; what is in them is detected
}

// DefaultConfig names no database: places and networks are then unknown.
func DefaultConfig() Config { return Config{Databases: []string{}} }

// Validate checks that each file is named once. That the files are there is checked when they are opened.
func (c Config) Validate() error {
	if len(c.Databases) > MaxDatabases {
		return fmt.Errorf("databases: %d files, the limit is %d", len(c.Databases), MaxDatabases)
	}
	for i, path := range c.Databases {
		if path == "" {
			return fmt.Errorf("databases: file name %d is empty", i+1)
		}
		if slices.Contains(c.Databases[:i], path) {
			return fmt.Errorf("databases: %s is named twice", path)
		}
	}
	return nil
}

// Options says what databases are opened with. The zero Options do.
type Options struct {
	Registerer prometheus.Registerer // nil: no metrics
	Logger     *slog.Logger          // nil: no log
}

// Databases is a set of databases of which each adds to the answer; where two know the same, the first one counts. It is
// safe for concurrent use.
type Databases struct {
	current atomic.Pointer[set]
	reload  sync.Mutex // serialises Reload
	log     *slog.Logger
	metrics *metrics
	failed  map[string]string // error already logged, by file
}

// set is one generation of databases.
type set struct{ files []*file }

// Open reads the files. It fails when one of them cannot be used.
func Open(paths []string, opts Options) (*Databases, error) {
	var files []*file
	var all error
	for _, path := range paths {
		f, err := openFile(path)
		files, all = append(files, f), errors.Join(all, err)
	}
	if all != nil {
		return nil, all
	}
	return newDatabases(files, opts)
}

// OpenBytes uses databases that are in memory already, such as embedded ones. The bytes must not be changed.
func OpenBytes(contents [][]byte, opts Options) (*Databases, error) {
	var files []*file
	for i, content := range contents {
		f, err := openBytes(content)
		if err != nil {
			return nil, fmt.Errorf("read GeoIP database %d: %w", i+1, err)
		}
		files = append(files, f)
	}
	return newDatabases(files, opts)
}

func newDatabases(files []*file, opts Options) (*Databases, error) {
	if len(files) > MaxDatabases {
		return nil, fmt.Errorf("open GeoIP databases: %d files, the limit is %d", len(files), MaxDatabases)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	db := &Databases{log: opts.Logger, metrics: newMetrics(opts.Registerer), failed: map[string]string{}}
	db.current.Store(&set{files})
	db.metrics.loaded(files)
	return db, nil
}

// Knows says what kinds of question the databases answer.
func (db *Databases) Knows() (places, networks, anonymisers bool) {
	var all form
	for _, f := range db.current.Load().files {
		all |= f.form
	}
	return all&(nestedPlace|flatPlace) != 0, all&network != 0, all&anonymousFlags != 0
}

// Reload opens the files that have changed since they were read. One that is gone or broken stays in use as it was; the
// error says why, and is logged when it is new.
func (db *Databases) Reload() error {
	db.reload.Lock()
	defer db.reload.Unlock()
	old := db.current.Load()
	files := slices.Clone(old.files)
	var all error
	for i, f := range files {
		next, err := f.refresh()
		if err != nil {
			db.broken(f.path, err)
			all = errors.Join(all, err)
		} else if next != f {
			files[i] = next
			delete(db.failed, f.path)
		}
	}
	if slices.Equal(files, old.files) {
		return all
	}
	db.current.Store(&set{files})
	db.metrics.loaded(files)
	for i, f := range files {
		if f != old.files[i] {
			db.log.Info("GeoIP database reloaded", "file", f.path, "built", f.reader.Metadata.BuildTime())
		}
	}
	return all
}

// refresh returns f itself when its file has not changed.
func (f *file) refresh() (*file, error) {
	if f.path == "" {
		return f, nil
	}
	s, err := stampOf(f.path)
	if err == nil && s == f.stamp {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	return openFile(f.path)
}

func (db *Databases) broken(path string, err error) {
	if db.failed[path] == err.Error() {
		return
	}
	db.failed[path] = err.Error()
	db.metrics.reloadFailures.Inc()
	db.log.Error("GeoIP database not reloaded, the old one stays in use", "file", path, "error", err)
}

// records says where the databases have their records for one address, 0 where one has none: all addresses with the same
// records have the same answer.
type records [MaxDatabases]uintptr

// find asks all databases for their records, but does not read those.
func (s *set) find(addr netip.Addr) (at records, results [MaxDatabases]maxminddb.Result, err error) {
	for i, f := range s.files {
		results[i] = f.reader.Lookup(addr)
		if e := results[i].Err(); e != nil {
			err = errors.Join(err, e)
		} else if results[i].Found() {
			at[i] = results[i].Offset() + 1
		}
	}
	return at, results, err
}

// answer puts together what the records say.
func (s *set) answer(at records, results [MaxDatabases]maxminddb.Result) (*event.Geo, error) {
	found := new(event.Geo)
	var err error
	for i, f := range s.files {
		if at[i] > 0 {
			err = errors.Join(err, f.form.add(found, results[i]))
		}
	}
	if found.Continent == "" {
		found.Continent = continentOf[found.Country]
	}
	if *found == (event.Geo{}) {
		return nil, err
	}
	return found, err
}
