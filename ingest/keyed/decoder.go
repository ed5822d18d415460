package keyed

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
	"github.com/gatewatch/gatewatch/ingest/geo"
)

// maxUnpacked is the most that a record may hold, in bytes: events and a header.
const maxUnpacked = MaxSize + 1<<20

// Options are what a decoder works with.
type Options struct {
	Geo      *geo.Databases // nil: places stay unknown, unless the router wrote them
	GeoCache int            // addresses remembered by each decoder; default geo.DefaultCacheEntries
}

// Decoder reads records. One goroutine uses it; runs may be released by any.
type Decoder struct {
	geo      *geo.Cache // nil: none
	unpacker *zstd.Decoder
	unpacked []byte
	shapes   shapes
	free     chan *memory

	// of the record being read
	columns [numberColumns]column
	texts   [textColumns]textColumn
	places  []place // what the words of textAddress stand for
	hidden  bool    // they are pseudonyms
	version byte
	offset  int64 // of the last event
	time    event.Time
	scopes  []string
	pairs   []event.Attribute
}

// memory is a run and what its events point into.
type memory struct {
	run   Run
	batch event.Batch
	arena arena.Arena
	taken atomic.Bool
}

// Bounds on the memory that is kept for further runs.
const (
	maxFree       = 64      // runs
	maxFreeEvents = 1 << 12 // of one run
	maxKept       = 4 << 20 // bytes for decompression
)

// NewDecoder makes a decoder.
func NewDecoder(o Options) *Decoder {
	d := &Decoder{free: make(chan *memory, maxFree)}
	if o.Geo != nil {
		d.geo = o.Geo.NewCache(o.GeoCache)
	}
	return d
}

// Decode decodes the value of a record, which may be reused afterwards. What it returns is to be released by its batch. The
// error is [ErrCorrupt] or says that the version is not known.
func (d *Decoder) Decode(offset int64, value []byte) (*Run, error) {
	r := &reader{rest: value}
	d.version = r.byte()
	if r.err == nil && (d.version < oldestVersion || d.version > Version) {
		return nil, fmt.Errorf("decode record: unknown version %d; this gatewatch knows %d to %d", d.version, oldestVersion, Version)
	}
	if err := d.unpack(r); err != nil {
		return nil, err
	}
	m := d.fresh()
	m.run.Offset = offset
	if err := d.read(r, m); err != nil {
		d.keep(m)
		return nil, err
	}
	if d.geo != nil {
		d.geo.Flush()
	}
	m.taken.Store(true)
	return &m.run, nil
}

func (d *Decoder) unpack(r *reader) (err error) {
	switch packing := r.byte(); {
	case r.err != nil:
		return r.err
	case packing == packedNot:
		return nil
	case packing != packedZstd:
		return fmt.Errorf("%w: unknown packing %d", ErrCorrupt, packing)
	}
	if d.unpacker == nil {
		if d.unpacker, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked)); err != nil {
			return fmt.Errorf("decompress record: %w", err)
		}
	}
	if cap(d.unpacked) > maxKept {
		d.unpacked = nil
	}
	if d.unpacked, err = d.unpacker.DecodeAll(r.rest, d.unpacked[:0]); err != nil {
		return fmt.Errorf("%w: decompress: %w", ErrCorrupt, err)
	}
	r.rest = d.unpacked
	return nil
}

func (d *Decoder) read(r *reader, m *memory) (err error) {
	h := &m.run.Header
	shape := r.text()
	if r.err != nil {
		return r.err
	}
	if h.Shape, err = d.shapes.read(shape); err != nil {
		return err
	}
	h.read(r)
	m.batch.Partition, m.batch.First, m.batch.Next = h.Partition, h.From, h.Next
	if n := r.count(MaxEvents); n > 0 {
		d.readEvents(r, m, n)
	}
	if len(r.rest) > 0 {
		r.fail("bytes behind the last event")
	}
	return r.err
}

// readEvents reads n events. Each takes at least a byte of the column of kinds.
func (d *Decoder) readEvents(r *reader, m *memory, n int) {
	d.begin(r, m)
	if n > len(d.columns[colKinds].rest) {
		r.fail("more events than there can be")
		return
	}
	m.batch.Events = slices.Grow(m.batch.Events, n)[:n]
	m.run.Kinds = slices.Grow(m.run.Kinds, n)[:n]
	for i := range n {
		e := &m.batch.Events[i]
		*e = event.Event{}
		m.run.Kinds[i] = d.readEvent(e, &m.arena)
	}
	d.check(r, &m.run)
}

// check takes over the failures of the columns.
func (d *Decoder) check(r *reader, run *Run) {
	ended := func(c *reader) {
		if c.err == nil && len(c.rest) > 0 {
			c.fail("a column that is too long")
		}
		if r.err == nil && c.err != nil {
			r.err = c.err
		}
	}
	for i := range d.columns {
		ended(&d.columns[i].reader)
	}
	for i := range d.texts {
		ended(&d.texts[i].reader)
	}
	for _, kinds := range run.Kinds {
		if kinds == 0 || len(run.Header.Kinds) < 64 && kinds>>len(run.Header.Kinds) != 0 {
			r.fail("a copy for no kind of entity that is written")
		}
	}
}

// fresh returns empty memory, used before if there is some.
func (d *Decoder) fresh() (m *memory) {
	select {
	case m = <-d.free:
		m.clear()
		return m
	default:
	}
	m = &memory{}
	m.batch.Release = func() { d.release(m) }
	m.run.Batch = &m.batch
	return m
}

// release takes memory back. Doing so twice would give it to two runs: the second time does nothing.
func (d *Decoder) release(m *memory) {
	if m.taken.CompareAndSwap(true, false) {
		d.keep(m)
	}
}

func (d *Decoder) keep(m *memory) {
	select {
	case d.free <- m:
	default: // enough is kept: this one is left to the garbage collector
	}
}

func (m *memory) clear() {
	m.arena.Reset()
	if cap(m.batch.Events) > maxFreeEvents {
		m.batch.Events, m.run.Kinds = nil, nil
	}
	m.batch.Events, m.run.Kinds = m.batch.Events[:0], m.run.Kinds[:0]
	m.run.Header = Header{}
}
