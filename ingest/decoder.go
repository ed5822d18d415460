package ingest

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/arena"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/privacy"
	"github.com/gatewatch/gatewatch/ingest/route"
)

// Options says how records become events. The zero value of each field means its default.
type Options struct {
	Format           string                // one of accesslog.Formats; default auto
	Mapping          accesslog.Mapping     // valid; nil: none
	MaxUnpackedBytes int                   // of a record that was compressed; default 8 MiB
	TrustedProxies   []netip.Prefix        // whose X-Forwarded-For counts
	ReadJWT          bool                  // claims of logged tokens count, of requests that succeeded
	MaxFuture        time.Duration         // default 5 minutes
	MaxRecordBytes   int                   // default 1 MiB
	Query            *accesslog.QueryNames // query parameters that rules name; may change at any time; nil: none
	Privacy          privacy.Options
	Geo              *geo.Databases // nil: places and networks stay unknown
	GeoCache         int            // addresses remembered by each decoder; default geo.DefaultCacheEntries
	Metrics          *Metrics       // nil: none
	Now              func() time.Time
}

// Decoder turns records of one partition into batches of events: it decodes them, finds places, replaces secrets and
// learns routes. It is used by one goroutine:
//
//	d.Begin(partition)
//	for each record {
//		d.Add(offset, value)
//		if events, bytes := d.Len(); … { receiver.Receive(ctx, d.Take()) }
//	}
//
// Batches are memory that is used again when they are released.
type Decoder struct {
	format  *accesslog.Decoder
	privacy *privacy.Filter
	geo     *geo.Cache
	metrics *Metrics

	partition event.Partition
	current   *memory
	bytes     int
	records   int
	rejected  []Rejected
	free      chan *memory
}

// memory is a batch and what its events point into.
type memory struct {
	batch event.Batch
	arena arena.Arena
	taken atomic.Bool // between Take and Release
}

// Bounds on the memory that is kept for further batches.
const (
	maxFree       = 32      // batches
	maxFreeEvents = 1 << 14 // of one batch; 5 MiB
)

// NewDecoder makes a decoder.
func NewDecoder(opts Options) *Decoder {
	d := &Decoder{
		format: accesslog.New(accesslog.Options{
			Format:           opts.Format,
			Mapping:          opts.Mapping,
			MaxUnpackedBytes: opts.MaxUnpackedBytes,
			TrustedProxies:   opts.TrustedProxies,
			ReadJWT:          opts.ReadJWT,
			MaxFuture:        opts.MaxFuture,
			MaxRecordBytes:   opts.MaxRecordBytes,
			Now:              opts.Now,
			Query:            opts.Query,
		}),
		privacy: privacy.New(opts.Privacy),
		metrics: opts.Metrics,
		free:    make(chan *memory, maxFree),
	}
	if opts.Geo != nil {
		d.geo = opts.Geo.NewCache(opts.GeoCache)
	}
	if d.metrics == nil {
		d.metrics = NewMetrics(nil)
	}
	d.current = d.fresh()
	return d
}

// Begin says what partition the next records are of. What was added before and not taken is dropped.
func (d *Decoder) Begin(p event.Partition) {
	d.partition = p
	d.current.clear()
	d.bytes, d.records, d.rejected = 0, 0, nil
}

// Add decodes one record. value may be reused afterwards. Offsets rise; they may have gaps.
func (d *Decoder) Add(offset int64, value []byte) {
	d.AddRecord(offset, accesslog.Record{Value: value})
}

// Whole reports whether events need more of a record than its value: AddRecord in place of Add.
func (d *Decoder) Whole() bool { return d.format.Whole() }

// AddRecord is Add with what Kafka carries beside the value.
func (d *Decoder) AddRecord(offset int64, record accesslog.Record) {
	value := record.Value
	b := &d.current.batch
	if d.records == 0 {
		b.First = offset
	}
	b.Next = offset + 1
	d.records++
	d.bytes += len(value)

	first := len(b.Events)
	b.Events = d.format.DecodeRecord(record, &d.current.arena, b.Events)
	for i, element := range d.format.Elements() {
		e := &b.Events[first+i]
		e.Offset = offset
		d.enrich(e, element)
	}
	if problems := d.format.Problems(); len(problems) > 0 {
		d.reject(offset, value, problems)
	}
}

func (d *Decoder) enrich(e *event.Event, element []byte) {
	if d.geo != nil && e.SourceIP.IsValid() {
		e.Geo = d.geo.Lookup(e.SourceIP)
	}
	mem := &d.current.arena
	d.privacy.Apply(e, element, mem)
	if e.Route == "" {
		e.Route = mem.CommitString(route.Append(mem.Reserve(len(e.Path)+route.Slack), e.Path))
	}
}

func (d *Decoder) reject(offset int64, value []byte, problems []accesslog.Problem) {
	for _, p := range problems {
		d.rejected = append(d.rejected, Rejected{
			Partition: d.partition,
			Offset:    offset,
			Index:     p.Index,
			Reason:    p.Reason,
			Detail:    p.Detail,
			Size:      len(value),
			Excerpt:   Excerpt(d.format.Unpacked()[p.Start:p.End]),
		})
	}
	d.format.Rejected(d.metrics.countRejected)
}

// Len returns how much Take would give: events, and bytes of the records they came from.
func (d *Decoder) Len() (events, bytes int) { return len(d.current.batch.Events), d.bytes }

// Take returns what was added since the last Take, nil if that is no record at all, and starts a new batch of the same
// partition. A batch without events still tells that its records are done with.
func (d *Decoder) Take() (*event.Batch, []Rejected) {
	if d.records == 0 {
		return nil, nil
	}
	m, rejected := d.current, d.rejected
	m.batch.Partition = d.partition
	m.taken.Store(true)
	d.count(len(m.batch.Events))
	d.current = d.fresh()
	d.bytes, d.records, d.rejected = 0, 0, nil
	return &m.batch, rejected
}

func (d *Decoder) count(events int) {
	d.metrics.records.Add(float64(d.records))
	d.metrics.bytes.Add(float64(d.bytes))
	d.metrics.events.Add(float64(events))
	d.format.IgnoredFields(d.metrics.countIgnored)
	d.metrics.skipped.Add(float64(d.format.Skipped()))
	if d.geo != nil {
		d.geo.Flush()
	}
}

// fresh returns empty memory, used before if there is some.
func (d *Decoder) fresh() *memory {
	select {
	case m := <-d.free:
		m.clear()
		return m
	default:
	}
	m := &memory{}
	m.batch.Release = func() { d.release(m) }
	return m
}

// release takes memory back. Releasing twice would give it to two batches: the second time does nothing.
func (d *Decoder) release(m *memory) {
	if !m.taken.CompareAndSwap(true, false) {
		return
	}
	select {
	case d.free <- m:
	default: // enough is kept: this one is left to the garbage collector
	}
}

func (m *memory) clear() {
	m.arena.Reset()
	m.batch.First, m.batch.Next = 0, 0
	if cap(m.batch.Events) > maxFreeEvents {
		m.batch.Events = nil
	}
	m.batch.Events = m.batch.Events[:0]
}
