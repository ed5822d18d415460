package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// The formats that can be asked for by name. The canonical one is the only one so far, so that both mean the same.
const (
	Auto      = "auto" // found by content, anew for each record
	Canonical = "canonical"
)

// Formats lists the names of all formats.
func Formats() []string { return []string{Auto, Canonical} }

// Options says how records are read. The zero value of each field means its default.
type Options struct {
	Format         string           // one of Formats; default Auto
	MaxFuture      time.Duration    // how far ahead of the clock an event may be; default 5 minutes
	MaxRecordBytes int              // default 1 MiB
	Now            func() time.Time // default time.Now
	Query          *QueryNames      // the query parameters to keep; nil: none
}

// Defaults and fixed limits.
const (
	DefaultMaxFuture      = 5 * time.Minute
	DefaultMaxRecordBytes = 1 << 20
	MaxPathBytes          = 8 << 10 // without the query string
)

// Decoder reads records of any format. It is used by one goroutine.
type Decoder struct {
	opts    Options
	horizon event.Time // later events are of the future, unless the clock has moved since

	// The record being read.
	scan     scanner
	mem      *arena.Arena
	events   []event.Event
	elements [][]byte
	problems []Problem
	rejected [reasonCount]int
	index    int32 // of the next event in the record

	canonical canonical
}

// New makes a decoder.
func New(opts Options) *Decoder {
	if opts.MaxFuture == 0 {
		opts.MaxFuture = DefaultMaxFuture
	}
	if opts.MaxRecordBytes == 0 {
		opts.MaxRecordBytes = DefaultMaxRecordBytes
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Decoder{opts: opts}
}

// Decode appends the events of a record to events. Their strings are memory of mem; record itself may be reused. What
// [Decoder.Elements] and [Decoder.Problems] return is about the latest record.
func (d *Decoder) Decode(record []byte, mem *arena.Arena, events []event.Event) []event.Event {
	d.mem, d.events, d.index = mem, events, 0
	d.elements, d.problems = d.elements[:0], d.problems[:0]
	clear(d.rejected[:])
	if len(record) > d.opts.MaxRecordBytes {
		d.reject(TooLarge, fmt.Sprintf("record of %d bytes, the limit is %d", len(record), d.opts.MaxRecordBytes), 0, len(record))
		return d.take()
	}
	text := mem.Copy(record, pad)
	d.scan = scanner{buf: text[:len(text)+pad], end: len(text)}
	d.record()
	return d.take()
}

func (d *Decoder) take() []event.Event {
	events := d.events
	d.events, d.mem, d.scan = nil, nil, scanner{}
	return events
}

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

// record reads objects, arrays of objects and {"records": […]} envelopes, one or many, usually one for each line.
func (d *Decoder) record() {
	s := &d.scan
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
	switch s.buf[i] {
	case '[':
		end, _ := d.array(i)
		return end
	case '{':
		return d.object(i)
	}
	if end := s.value(i, 0); end > 0 {
		d.rejectElement(UnknownForm, "neither an object nor an array", i, end)
		return end
	}
	return d.badLine(i)
}

func (d *Decoder) object(i int) int {
	end := d.element(i)
	if records := d.canonical.records; records >= 0 && !d.canonical.has(fieldTime) {
		return d.envelope(end, records)
	}
	if end < 0 {
		return d.badLine(i)
	}
	d.finish(i, end)
	return end
}

// envelope reads the array at records inside an object that ends at end, -1 if it is broken.
func (d *Decoder) envelope(end, records int) int {
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

// array reads the elements of an array. When the array itself is broken it rejects the rest of the record once and
// says so with whole = false.
func (d *Decoder) array(i int) (end int, whole bool) {
	s := &d.scan
	if i = s.space(i + 1); s.buf[i] == ']' {
		return i + 1, true
	}
	for {
		next := d.item(i)
		if next < 0 {
			break
		}
		i = s.space(next)
		if s.buf[i] == ']' {
			return i + 1, true
		}
		if s.buf[i] != ',' {
			break
		}
		i = s.space(i + 1)
	}
	d.reject(NotJSON, fmt.Sprintf("the array is broken from byte %d on: the rest of the record is lost", i), i, s.end)
	return s.end, false
}

// item reads one element of an array and returns where it ends, -1 if nowhere.
func (d *Decoder) item(i int) int {
	s := &d.scan
	if s.buf[i] == '{' {
		if end := d.element(i); end > 0 {
			d.finish(i, end)
			return end
		}
	} else if end := s.value(i, 0); end > 0 {
		d.rejectElement(UnknownForm, "an element that is no object", i, end)
		return end
	}
	failed := s.failed
	end := s.pass(i)
	if end >= 0 {
		d.rejectElement(NotJSON, notJSON(failed), i, end)
	}
	return end
}

// element reads the object at i without looking at what its fields mean.
func (d *Decoder) element(i int) int {
	d.scan.escaped, d.scan.seen = false, 0
	return d.canonical.read(&d.scan, i)
}

// finish makes an event of the object that was just read.
func (d *Decoder) finish(start, end int) {
	text := d.scan.buf[start:end]
	if d.scan.seen&high != 0 && !utf8.Valid(text) {
		d.rejectElement(NotJSON, "invalid UTF-8", start, end)
		return
	}
	d.events = slices.Grow(d.events, 1)
	e := &d.events[:len(d.events)+1][len(d.events)] // not append, which would copy a zero event of 350 bytes
	*e = event.Event{Index: d.index}
	if reason, detail := d.fill(e); reason != "" {
		d.rejectElement(reason, detail, start, end)
		return
	}
	d.events = d.events[:len(d.events)+1]
	d.elements = append(d.elements, text)
	d.index++
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
	d.rejected[reason.number()]++
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{Index: d.index, Reason: reason, Detail: detail, Start: start, End: end})
		return
	}
	last := &d.problems[maxProblems-1]
	last.Detail = "this and all further problems of the record, which has too many to list"
	last.End = end
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
