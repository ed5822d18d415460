package disk

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a [Store] needs.
type Options struct {
	Dir        string                // is made if it is not there
	Version    string                // of gatewatch, noted in a new folder
	Log        *slog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: no metrics

	// Reserve is how many bytes must be free before a full disk counts as usable again, at most an eighth of the disk; 0:
	// 64 MiB.
	Reserve uint64
	// Poll is how often a full disk is looked at; 0: 1 s.
	Poll time.Duration
	// FS is the file system; nil: that of the operating system.
	FS vfs.FS
	// Now is the clock on the wall; nil: time.Now.
	Now func() time.Time

	readOnly bool
	memTable uint64 // bytes; 0: the default
	slack    uint64 // bytes of obsolete chunks that may lie about beyond as many as are live; 0: the default
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.memTable == 0 {
		o.memTable = memTable
	}
	if o.slack == 0 {
		o.slack = deadSlack
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

const (
	blockCache   = 8 << 20
	memTable     = 4 << 20
	deadSlack    = 16 << 20
	syncEvery    = 1 << 20 // bytes after which the kernel is told to write, so that the sync at the end is short
	maxOpenFiles = 500

	// formatVersion is pinned so that a newer library does not make folders that an older gatewatch cannot open. It has the
	// log that tells damage from a torn end.
	formatVersion = pebble.FormatTableFormatV6
)

// compression of the tables. Checkpoints are written once, often and read rarely: the cheapest that still helps.
var compression = pebble.DBCompressionFastest

// database returns the settings of the database: little memory, one compaction at a time.
func (o Options) database(fs vfs.FS, cache *pebble.Cache, log *databaseLog) *pebble.Options {
	options := &pebble.Options{
		FS: fs, Cache: cache, Logger: log, EventListener: log.listener(),
		FormatMajorVersion: formatVersion,
		MemTableSize:       o.memTable, MemTableStopWritesThreshold: 4,
		L0CompactionThreshold: 4, L0StopWritesThreshold: 40,
		MaxOpenFiles: maxOpenFiles, BytesPerSync: syncEvery, WALBytesPerSync: syncEvery,
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 1 },
		ReadOnly:                   o.readOnly, ErrorIfNotExists: o.readOnly,
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return compression })
	return options
}

// table returns the settings of the table of a checkpoint.
func table(options *pebble.Options) sstable.WriterOptions {
	return options.MakeWriterOptions(6, formatVersion.MaxTableFormat())
}
