package accesslog

import (
	"iter"
	"slices"
	"unicode/utf8"
)

// otlp is OpenTelemetry: spans of HTTP servers, and log records of HTTP requests, as the collector's Kafka exporter writes
// them in JSON or protobuf. Attributes have the names of the semantic conventions, old and new. A log record whose body is
// what a gateway wrote, as text or as a map, is read as that record.
//
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/
//
// client.address is what the caller's headers say where there are any: it counts as X-Forwarded-For does.
var otlp = definition{
	name:  "otlp",
	outer: "resource",
	extra: []string{"kind", "body.stringValue", "body.kvlistValue"},
	mapping: Mapping{
		"time":           in("ns", "startTimeUnixNano", "timeUnixNano", "observedTimeUnixNano"),
		"method":         attributes("http.request.method", "http.method"),
		"path":           attributes("url.path", "http.target", "url.full", "http.url"),
		"query":          attributes("url.query"),
		"status":         attributes("http.response.status_code", "http.status_code"),
		"environment":    resource("deployment.environment.name", "deployment.environment"),
		"api":            resource("service.name"),
		"client_id":      attributes("client_id", "client.id"),
		"subject":        attributes("enduser.id", "user.id", "subject"),
		"token_id":       attributes("token_id"),
		"session_id":     attributes("session.id"),
		"source_ip":      attributes("network.peer.address", "net.sock.peer.addr", "net.peer.ip", "client.address", "http.client_ip"),
		"route":          attributes("http.route"),
		"duration_ms":    {{Path: "endTimeUnixNano", Since: "startTimeUnixNano", Unit: "ns"}},
		"request_bytes":  attributes("http.request.body.size", "http.request_content_length"),
		"response_bytes": attributes("http.response.body.size", "http.response_content_length"),
		"user_agent":     attributes("user_agent.original", "http.user_agent", "http.request.header.user-agent"),
		"scopes":         attributes("enduser.scope", "scopes"),
		"request_id":     path("traceId"),
		"authorization":  attributes("http.request.header.authorization"),
		"forwarded_for":  attributes("http.request.header.x-forwarded-for", "client.address", "http.client_ip"),
	},
}

// attributes makes sources of attributes of a span or log record.
func attributes(names ...string) Sources {
	var sources Sources
	for _, name := range names {
		sources = append(sources, Source{Path: `attributes."` + name + `"`})
	}
	return sources
}

// resource makes sources of attributes of what the spans or log records come from.
func resource(names ...string) Sources {
	sources := attributes(names...)
	for i := range sources {
		sources[i].Path = "resource." + sources[i].Path
	}
	return sources
}

// extra are paths that decide what to do with a record of OTLP.
const (
	otlpKind = iota
	otlpBodyText
	otlpBodyMap
)

// telemetryFormat returns the format to read OTLP with, nil if another one is set.
func (d *Decoder) telemetryFormat() *format {
	if d.fixed && d.latest.name != otlp.name {
		return nil
	}
	if d.fixed {
		return d.latest
	}
	return d.known(otlpNumber)
}

// otlpNumber is the place of otlp in definitions.
var otlpNumber = slices.IndexFunc(definitions, func(d definition) bool { return d.name == "otlp" })

// telemetry reads the resourceSpans or resourceLogs at i of an object that ends at end. Of a broken one nothing is read.
func (d *Decoder) telemetry(end, i int, kind envelope) int {
	if end < 0 {
		return d.badLine(i)
	}
	f := d.telemetryFormat()
	if f == nil {
		d.rejectElement(UnknownForm, "OpenTelemetry's tree, but another format is set", i, end)
		return end
	}
	if d.nesting > 0 { // perhaps in the body of a log record: those that follow it still need their own resource
		outer := slices.Clone(f.tree.values[:f.tree.outer])
		defer copy(f.tree.values, outer)
	}
	for i = d.scan.space(i + 1); d.scan.buf[i] != ']'; {
		i = d.next(d.telemetryResource(f, i, kind))
	}
	return end
}

// telemetryResource reads one element of resourceSpans or resourceLogs and returns where it ends, as the following do. All has
// been read before: it is JSON.
func (d *Decoder) telemetryResource(f *format, i int, kind envelope) int {
	s := &d.scan
	if s.buf[i] != '{' {
		return d.noObject(i)
	}
	groups := "scopeSpans"
	if kind == logsEnvelope {
		groups = "scopeLogs"
	}
	d.resource(f, s.child(i, "resource"))
	for i = s.space(i + 1); s.buf[i] != '}'; {
		from, to, v := s.key(i)
		if string(s.buf[from:to]) != groups || s.buf[v] != '[' {
			i = d.next(s.value(v, 0))
			continue
		}
		for v = s.space(v + 1); s.buf[v] != ']'; {
			v = d.next(d.telemetryScope(f, v, kind))
		}
		i = d.next(v + 1)
	}
	return i + 1
}

// telemetryScope reads one element of scopeSpans or scopeLogs.
func (d *Decoder) telemetryScope(f *format, i int, kind envelope) int {
	s := &d.scan
	if s.buf[i] != '{' {
		return d.noObject(i)
	}
	records := "spans"
	if kind == logsEnvelope {
		records = "logRecords"
	}
	for i = s.space(i + 1); s.buf[i] != '}'; {
		from, to, v := s.key(i)
		if string(s.buf[from:to]) != records || s.buf[v] != '[' {
			i = d.next(s.value(v, 0))
			continue
		}
		for v = s.space(v + 1); s.buf[v] != ']'; {
			v = d.next(d.telemetryRecord(f, v, kind))
		}
		i = d.next(v + 1)
	}
	return i + 1
}

func (d *Decoder) noObject(i int) int {
	end := d.scan.value(i, 0)
	d.rejectElement(UnknownForm, "an element that is no object", i, end)
	return end
}

// resource reads what several records have in common.
func (d *Decoder) resource(f *format, i int) {
	clear(f.tree.values[:f.tree.outer])
	if m := f.tree.root.lookup([]byte(f.outer)); i >= 0 && m != nil {
		f.tree.put(&d.scan, m, i, 2)
	}
}

// telemetryRecord reads a span or a log record.
func (d *Decoder) telemetryRecord(f *format, start int, kind envelope) int {
	s := &d.scan
	if s.buf[start] != '{' {
		return d.noObject(start)
	}
	d.format = f
	end := f.tree.read(s, start)
	switch {
	case end < 0:
		end = s.value(start, 0)
		d.rejectElement(NotJSON, "nested too deep", start, end)
	case s.seen&high != 0 && !utf8.Valid(s.buf[start:end]):
		d.rejectElement(NotJSON, "invalid UTF-8", start, end)
	case kind == spansEnvelope && (!d.serverSpan(f) || !d.has(fieldMethod)):
		d.skipped++
	case kind == spansEnvelope || d.has(fieldMethod) && d.has(fieldStatus):
		d.event(start, end)
	case !d.body(f, start, end):
		d.skipped++
	}
	return end
}

// serverSpan reports whether a span is that of a server: the spans of its clients are about the same requests.
func (d *Decoder) serverSpan(f *format) bool {
	text, _ := d.scalar(f.extra[otlpKind])
	return string(text) == "2" || string(text) == "SPAN_KIND_SERVER"
}

// body reads the record that the body of a log record is, and reports whether it is one.
func (d *Decoder) body(f *format, start, end int) bool {
	if d.nesting == maxNesting {
		return false
	}
	v := f.tree.values[f.extra[otlpBodyText]]
	if v.first == '"' {
		if text := d.nestedText(v); d.isRecord(text) {
			d.nest(text, start, end)
			return true
		}
	}
	if v = f.tree.values[f.extra[otlpBodyMap]]; v.first == '{' {
		d.scratch = d.scan.appendMap(d.scratch[:0], int(v.from), 0)
		d.nest(d.mem.Copy(d.scratch, 0), start, end)
		return true
	}
	return false
}

// elements goes through the elements of the array at i, which has been read before; of what is no array it gives none.
func (s *scanner) elements(i int) iter.Seq2[int, int] {
	return func(yield func(start, end int) bool) {
		if i < 0 || s.buf[i] != '[' {
			return
		}
		for i = s.space(i + 1); s.buf[i] != ']'; {
			end := s.value(i, 0)
			if !yield(i, end) {
				return
			}
			if i = s.space(end); s.buf[i] == ',' {
				i = s.space(i + 1)
			}
		}
	}
}

// child returns where the value of the first member of that name in the object at i is, -1 if there is none.
func (s *scanner) child(i int, name string) int {
	if i < 0 || s.buf[i] != '{' {
		return -1
	}
	for i = s.space(i + 1); s.buf[i] != '}'; {
		from, to, v := s.key(i)
		if string(s.buf[from:to]) == name {
			return v
		}
		if i = s.space(s.value(v, 0)); s.buf[i] == ',' {
			i = s.space(i + 1)
		}
	}
	return -1
}

// appendMap appends the object that a KeyValueList at i stands for.
func (s *scanner) appendMap(b []byte, i, depth int) []byte {
	b = append(b, '{')
	n := len(b)
	for pair := range s.elements(s.child(i, "values")) {
		key := s.child(pair, "key")
		if key < 0 || s.buf[key] != '"' {
			continue
		}
		if len(b) > n {
			b = append(b, ',')
		}
		b = append(append(b, s.buf[key:s.value(key, 0)]...), ':')
		b = s.appendAny(b, s.child(pair, "value"), depth+1)
	}
	return append(b, '}')
}

// appendAny appends the value that an AnyValue at i stands for.
func (s *scanner) appendAny(b []byte, i, depth int) []byte {
	if i < 0 || s.buf[i] != '{' || depth > maxDepth/4 {
		return append(b, "null"...)
	}
	k := s.space(i + 1)
	if s.buf[k] != '"' {
		return append(b, "null"...)
	}
	from, to, v := s.key(k)
	switch string(s.buf[from:to]) {
	case "kvlistValue":
		return s.appendMap(b, v, depth)
	case "arrayValue":
		b = append(b, '[')
		n := len(b)
		for element := range s.elements(s.child(v, "values")) {
			if len(b) > n {
				b = append(b, ',')
			}
			b = s.appendAny(b, element, depth+1)
		}
		return append(b, ']')
	}
	return append(b, s.buf[v:s.value(v, 0)]...)
}
