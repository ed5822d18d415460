package accesslog

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// Names of formats with a meaning of their own; the others are those of gateways.
const (
	Auto      = "auto" // found by content, for each object
	Canonical = "canonical"
	Mapped    = "mapping" // whatever the mapping says
)

// Formats lists the names of all formats.
func Formats() []string {
	names := []string{Auto}
	for i := range definitions {
		if !definitions[i].skip {
			names = append(names, definitions[i].name)
		}
	}
	return append(names, Mapped)
}

// Options says how records are read. The zero value of each field means its default.
type Options struct {
	Format           string           // one of Formats; default Auto
	Mapping          Mapping          // valid; sources that come before those of Format, which must not be Auto then
	MaxFuture        time.Duration    // how far ahead of the clock an event may be; default 5 minutes
	MaxRecordBytes   int              // default 1 MiB
	MaxUnpackedBytes int              // of a record that was compressed; default 8 MiB
	TrustedProxies   []netip.Prefix   // whose X-Forwarded-For counts; none: nobody's
	ReadJWT          bool             // the gateway verifies tokens: claims of logged ones count, of requests that succeeded
	Now              func() time.Time // default time.Now
	Query            *QueryNames      // the query parameters to keep; nil: none
}

// Defaults and fixed limits.
const (
	DefaultMaxFuture        = 5 * time.Minute
	DefaultMaxRecordBytes   = 1 << 20
	DefaultMaxUnpackedBytes = 8 << 20
	MaxPathBytes            = 8 << 10 // without the query string
)

// Record is what one Kafka message, or one line of a file, brings.
type Record struct {
	Value   []byte
	Key     []byte
	Headers []Header
}

// Header is a header of a Kafka message.
type Header struct{ Name, Value []byte }

// Decoder reads records of any format. It is used by one goroutine.
type Decoder struct {
	opts    Options
	horizon event.Time // later events are of the future, unless the clock has moved since

	// formats are made when they are first met: few of them ever are.
	formats []*format
	latest  *format // that of the latest object, which the next one is read for first
	fixed   bool    // latest is the only one
	format  *format // of the object at hand
	answer  answer  // of the detection

	// The record being read.
	record   Record
	unpacked []byte // the record's text, which positions of problems refer to
	scan     scanner
	mem      *arena.Arena
	events   []event.Event
	elements [][]byte
	problems []Problem
	rejected [reasonCount]int
	index    int32  // of the next event in the record
	tried    int    // up to here there is no line, only values
	broken   int    // arrays
	nesting  int    // of texts that are records themselves
	outside  [2]int // the object around them, for problems

	// The event being made.
	status int32
	jwt    []byte // claims that count

	list    list
	ignored [canonicalCount]int
	skipped int
	scratch []byte
	inflate inflater
	otlp    otlpWriter
}

// New makes a decoder.
func New(opts Options) *Decoder {
	if opts.MaxFuture == 0 {
		opts.MaxFuture = DefaultMaxFuture
	}
	if opts.MaxRecordBytes == 0 {
		opts.MaxRecordBytes = DefaultMaxRecordBytes
	}
	if opts.MaxUnpackedBytes == 0 {
		opts.MaxUnpackedBytes = DefaultMaxUnpackedBytes
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	d := &Decoder{opts: opts, formats: make([]*format, len(definitions))}
	d.choose(opts.Format)
	return d
}

// choose makes the format that was asked for.
func (d *Decoder) choose(name string) {
	if name == "" || name == Auto {
		d.latest = d.known(0)
		return
	}
	d.fixed = true
	def := definition{name: Mapped}
	for i := range definitions {
		if definitions[i].name == name {
			def = definitions[i]
		}
	}
	if len(d.opts.Mapping) > 0 {
		def.mapping, def.strict = d.opts.Mapping.over(def.mapping), false
	}
	d.latest = compile(def, nil)
}

// known returns the nth format that is told by content.
func (d *Decoder) known(n int) *format {
	if d.formats[n] == nil {
		d.formats[n] = compile(definitions[n], detecting.parts)
	}
	return d.formats[n]
}

// Decode appends the events of a record to events. Their strings are memory of mem; record itself may be reused. What
// [Decoder.Elements] and [Decoder.Problems] return is about the latest record.
func (d *Decoder) Decode(record []byte, mem *arena.Arena, events []event.Event) []event.Event {
	return d.DecodeRecord(Record{Value: record}, mem, events)
}

// DecodeRecord is Decode with what Kafka carries beside the value.
func (d *Decoder) DecodeRecord(r Record, mem *arena.Arena, events []event.Event) []event.Event {
	d.mem, d.events, d.index, d.record, d.unpacked = mem, events, 0, r, r.Value
	d.elements, d.problems, d.broken = d.elements[:0], d.problems[:0], 0
	clear(d.rejected[:])
	if len(r.Value) > d.opts.MaxRecordBytes {
		d.reject(TooLarge, fmt.Sprintf("record of %d bytes, the limit is %d", len(r.Value), d.opts.MaxRecordBytes), 0, len(r.Value))
		return d.take()
	}
	if text, ok := d.unpack(r.Value); ok {
		d.unpacked = text
		d.load(text)
		d.text()
	}
	return d.take()
}

// Whole reports whether the mapping uses what Kafka carries beside values.
func (d *Decoder) Whole() bool { return len(d.latest.kafka) > 0 }

// load makes text what is scanned. What Kafka carries beside it goes behind it, so that it can be a value like all others.
func (d *Decoder) load(text []byte) {
	f := d.latest
	size := len(text) + pad
	for _, k := range f.kafka {
		size += len(d.beside(k))
	}
	buf := append(d.mem.Reserve(size), text...)
	buf = append(buf, make([]byte, pad)...)
	for _, k := range f.kafka {
		from := len(buf)
		buf = append(buf, d.beside(k)...)
		f.tree.values[k.slot] = value{}
		if len(buf) > from {
			f.tree.values[k.slot] = value{int32(from), int32(len(buf)), rawText}
		}
		if !utf8.Valid(buf[from:]) {
			f.tree.values[k.slot].first = rawBytes
		}
	}
	d.mem.Commit(buf)
	d.scan = scanner{buf: buf, end: len(text)}
}

// beside returns the key, or the value of a header.
func (d *Decoder) beside(k kafkaSlot) []byte {
	if k.header == "" {
		return d.record.Key
	}
	for _, h := range d.record.Headers {
		if string(h.Name) == k.header {
			return h.Value
		}
	}
	return nil
}

func (d *Decoder) take() []event.Event {
	events := d.events
	d.events, d.mem, d.scan, d.record = nil, nil, scanner{}, Record{}
	return events
}

// Unpacked returns the text of the latest record, decompressed and as JSON, until the next Decode.
func (d *Decoder) Unpacked() []byte { return d.unpacked }

// Elements returns what the events of the latest record were decoded from, in their order, until the next Decode. Strings
// in it have been decoded in place: every text of an event is a part of its element, but for a slash that was put in front
// and for percent signs.
func (d *Decoder) Elements() [][]byte { return d.elements }

// Problems returns what of the latest record could not become an event, until the next Decode.
func (d *Decoder) Problems() []Problem { return d.problems }

// Rejected counts the problems of the latest record by reason; unlike the list, the counts are complete.
func (d *Decoder) Rejected(count func(Reason, int)) {
	for i, n := range d.rejected {
		if n > 0 {
			count(reasons[i], n)
		}
	}
}

// text reads objects, arrays of objects, envelopes and lines, one or many, usually one for each line.
func (d *Decoder) text() {
	s := &d.scan
	d.tried = 0
	i := s.space(len(s.buf[:s.end]) - len(bytes.TrimPrefix(s.buf[:s.end], []byte("\ufeff"))))
	if i == s.end {
		d.reject(NotJSON, "empty record", 0, s.end)
	}
	for i < s.end {
		i = s.space(d.top(i))
	}
}

// top reads one value of the record's top level and returns where to go on.
func (d *Decoder) top(i int) int {
	s := &d.scan
	if s.buf[i] == '{' {
		return d.object(i)
	}
	if end := d.line(i); end >= 0 {
		return end
	}
	if s.buf[i] == '[' {
		end, _ := d.array(i)
		return end
	}
	if end := s.value(i, 0); end > 0 {
		d.rejectElement(UnknownForm, "neither an object nor an array", i, end)
		return end
	}
	return d.badLine(i)
}

func (d *Decoder) object(i int) int {
	end := d.element(i)
	known := end >= 0 && d.recognise(i)
	if end >= 0 && !known && d.control() {
		d.skipped++
		return end
	}
	if t := &d.format.tree; t.kind != noEnvelope && !known && !t.values[d.format.time].present() {
		return d.envelope(end, t.at, t.kind)
	}
	if end < 0 {
		return d.badLine(i)
	}
	d.finish(i, end, known)
	return end
}

// envelope reads the array at records inside an object that ends at end, -1 if it is broken.
func (d *Decoder) envelope(end, records int, kind envelope) int {
	if kind != listEnvelope {
		return d.telemetry(end, records, kind)
	}
	after, whole := d.array(records)
	if end >= 0 || !whole {
		return max(end, after)
	}
	if end = d.scan.passMembers(after); end < 0 {
		d.reject(NotJSON, notJSON(after), after, d.scan.end)
		return d.scan.end
	}
	return end
}

// array reads the elements of an array. When the array itself is broken it rejects the rest of it once and says so with
// whole = false.
func (d *Decoder) array(i int) (end int, whole bool) {
	s := &d.scan
	if i = s.space(i + 1); s.buf[i] == ']' {
		return i + 1, true
	}
	lost := i
	for {
		next, good := d.item(i)
		if next < 0 {
			break
		}
		if i = s.space(next); good {
			lost = next
		}
		if s.buf[i] == ']' {
			return i + 1, true
		}
		if s.buf[i] != ',' {
			break
		}
		i = s.space(i + 1)
		lost = i
	}
	end = d.resume(lost)
	d.rejectElement(NotJSON, fmt.Sprintf("the array is broken from byte %d on: the rest of it is lost", i), min(i, end), end)
	return end, false
}

// maxBroken is how many broken arrays of one record are read on behind: looking for the end of each can cost a look at all that
// follows.
const maxBroken = 16

// resume returns where to go on after a broken array: at the next line that begins as a record does. A text of JSON holds no
// end of line, so that no caller begins one.
func (d *Decoder) resume(i int) int {
	s := &d.scan
	if d.broken++; d.broken > maxBroken {
		return s.end
	}
	for {
		n := bytes.IndexByte(s.buf[i:s.end], '\n')
		if n < 0 {
			return s.end
		}
		if i += n + 1; s.buf[i] == '{' || s.buf[i] == '[' {
			return i
		}
	}
}

// item reads one element of an array and returns where it ends, -1 if nowhere, and whether it is JSON.
func (d *Decoder) item(i int) (end int, good bool) {
	s := &d.scan
	if s.buf[i] == '{' {
		if end = d.element(i); end > 0 {
			d.finish(i, end, d.recognise(i))
			return end, true
		}
	} else if end = s.value(i, 0); end > 0 {
		d.rejectElement(UnknownForm, "an element that is no object", i, end)
		return end, true
	}
	failed := s.failed
	if end = s.pass(i); end >= 0 {
		d.rejectElement(NotJSON, notJSON(failed), i, end)
	}
	return end, false
}

// element reads the object at i without looking at what its fields mean, as if it had the format of the one before.
func (d *Decoder) element(i int) int {
	d.scan.escaped, d.scan.seen = false, 0
	d.format = d.latest
	return d.format.tree.read(&d.scan, i)
}

// recognise finds out which format the object at start has, which was just read, and reads it again if that is another than
// the latest. It reports whether there is one. The answer depends on nothing but the object: the latest format is only
// a guess that saves the second reading.
func (d *Decoder) recognise(start int) bool {
	if d.fixed {
		return d.complete()
	}
	n := detecting.of(&d.scan, d.format, &d.answer)
	f := d.known(max(n, 0)) // what is unknown is judged as canonical
	if f != d.format {
		d.format = f
		f.tree.read(&d.scan, start)
	}
	if n >= 0 {
		d.latest = f
	}
	return n >= 0
}

// complete reports whether the object has what an event of the only format needs.
func (d *Decoder) complete() bool {
	return d.missing() == ""
}

// finish makes an event of the object that was just read.
func (d *Decoder) finish(start, end int, known bool) {
	text := d.scan.buf[start:end]
	if d.scan.seen&high != 0 && !utf8.Valid(text) {
		d.rejectElement(NotJSON, "invalid UTF-8", start, end)
		return
	}
	if known && d.format.skip {
		d.skipped++
		return
	}
	if !known && d.within(start, end) {
		return
	}
	d.event(start, end)
}

// event appends the event that the values found make.
func (d *Decoder) event(start, end int) {
	d.events = slices.Grow(d.events, 1)
	e := &d.events[:len(d.events)+1][len(d.events)] // not append, which would copy a zero event of 350 bytes
	*e = event.Event{Index: d.index}
	if reason, detail := d.fill(e); reason == noRequest {
		d.skipped++
		return
	} else if reason != "" {
		d.rejectElement(reason, detail, start, end)
		return
	}
	d.events = d.events[:len(d.events)+1]
	d.elements = append(d.elements, d.readable(e, start, end))
	d.index++
}

// readable returns what an event was made of, with its escapes decoded, so that secrets in it can be seen: with what Kafka
// carried beside the record, and what stood around the object.
func (d *Decoder) readable(e *event.Event, start, end int) []byte {
	text := d.scan.buf[start:end]
	if d.format.strict {
		return text // its strings were decoded in place
	}
	beside := d.scan.buf[d.scan.end+pad:]
	if outer := d.format.outer != ""; len(beside) > 0 || outer {
		text = append(append(d.mem.Reserve(len(text)+len(beside)+len(e.API)+len(e.Environment)+3), text...), ' ')
		text = append(append(text, beside...), ' ')
		if outer {
			text = append(append(append(text, e.API...), ' '), e.Environment...)
		}
		d.mem.Commit(text)
	}
	if d.scan.escaped {
		text = unescape(d.mem.Copy(text, 0))
	}
	return text
}

// badLine rejects what starts at i and goes on at the next line: a record of several lines is NDJSON, and one bad line
// harms no other.
func (d *Decoder) badLine(i int) int {
	end := d.scan.end
	if n := bytes.IndexByte(d.scan.buf[i:end], '\n'); n >= 0 {
		end = i + n + 1
	}
	d.rejectElement(NotJSON, notJSON(d.scan.failed), i, end)
	return end
}

func notJSON(at int) string { return fmt.Sprintf("not JSON at byte %d of the record", at) }

func (d *Decoder) rejectElement(reason Reason, detail string, start, end int) {
	d.reject(reason, detail, start, end)
	d.index++
}

func (d *Decoder) reject(reason Reason, detail string, start, end int) {
	if d.nesting > 0 {
		start, end = d.outside[0], d.outside[1]
	}
	d.rejected[reason.number()]++
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Index: d.index, Reason: reason, Detail: detail, Start: start, End: end})
		return
	}
	last := &d.problems[maxProblems-1]
	last.Detail = "this and all further problems of the record, which has too many to list"
	last.End = end
}

// IgnoredFields reports how often each optional field was left empty because its value could not be used, and starts
// counting anew.
func (d *Decoder) IgnoredFields(count func(field string, n int)) {
	for f, n := range d.ignored {
		if n > 0 {
			count(mappable[f], n)
			d.ignored[f] = 0
		}
	}
}

// Skipped returns how many parts of records were no requests and are not missed, such as the spans of clients, and starts
// counting anew.
func (d *Decoder) Skipped() int {
	n := d.skipped
	d.skipped = 0
	return n
}

// future reports whether t is further ahead than the clock allows. The clock is asked only when the last answer does
// not suffice.
func (d *Decoder) future(t event.Time) bool {
	if t <= d.horizon {
		return false
	}
	d.horizon = event.TimeOf(d.opts.Now().Add(d.opts.MaxFuture))
	return t > d.horizon
}
