package accesslog

import (
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The protobuf form of OTLP becomes its JSON form, of which there is one reader. Only what that looks at is written.
//
// https://github.com/open-telemetry/opentelemetry-proto

// telemetryKind reports whether b is a TracesData or LogsData message. Both begin with a byte that may begin JSON too, a
// newline; so the whole of b must be fields of the right number and length, and records in it must look like spans or like
// log records.
func telemetryKind(b []byte) envelope {
	if len(b) == 0 || b[0] != 0x0a {
		return noEnvelope
	}
	kind := noEnvelope
	whole := eachField(b, func(f wireField) bool {
		if f.number != 1 || f.kind != protowire.BytesType {
			return false
		}
		if kind == noEnvelope {
			kind = groupKind(f.bytes)
		}
		return true
	})
	if !whole {
		return noEnvelope
	}
	return kind
}

// groupKind finds out what the records of a ResourceSpans or ResourceLogs message are.
func groupKind(b []byte) (kind envelope) {
	ok := eachField(b, func(f wireField) bool {
		if f.kind != protowire.BytesType {
			return false
		}
		if f.number != 2 {
			return true
		}
		return eachField(f.bytes, func(r wireField) bool {
			if r.number == 2 && r.kind == protowire.BytesType && kind == noEnvelope {
				kind = recordKind(r.bytes)
			}
			return true
		})
	})
	if !ok {
		return noEnvelope
	}
	return kind
}

// recordKind tells a Span from a LogRecord by their times: fields 7 and 8 of the one, 1 and 11 of the other.
func recordKind(b []byte) (kind envelope) {
	eachField(b, func(f wireField) bool {
		if f.kind == protowire.Fixed64Type {
			switch f.number {
			case 7, 8:
				kind = spansEnvelope
			case 1, 11:
				kind = logsEnvelope
			}
		}
		return kind == noEnvelope
	})
	return kind
}

// wireField is one field of a message.
type wireField struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte // of BytesType
	value  uint64 // of the others
}

// eachField gives the fields of a message in order, and reports whether all of it was read.
func eachField(b []byte, yield func(wireField) bool) bool {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		f := wireField{number: number, kind: kind}
		switch kind {
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.value, n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 || !yield(f) {
			return false
		}
		b = b[n:]
	}
	return true
}

// otlpWriter writes OTLP as JSON, one message after the other into the same memory.
type otlpWriter struct{ out []byte }

// json returns the message as JSON, valid until the next call.
func (w *otlpWriter) json(b []byte, kind envelope) []byte {
	root, groups, records := `{"resourceSpans":[`, `,"scopeSpans":[{"spans":[`, w.span
	if kind == logsEnvelope {
		root, groups, records = `{"resourceLogs":[`, `,"scopeLogs":[{"logRecords":[`, w.logRecord
	}
	if cap(w.out) > maxKept {
		w.out = nil
	}
	w.out = append(w.out[:0], root...)
	eachField(b, func(f wireField) bool {
		w.resource(f.bytes)
		w.raw(groups)
		w.groups(f.bytes, records)
		w.raw("]}]},")
		return true
	})
	w.close("]}")
	return w.out
}

func (w *otlpWriter) raw(s string) { w.out = append(w.out, s...) }

// close drops the comma behind the last element and closes what it is in.
func (w *otlpWriter) close(s string) {
	if w.out[len(w.out)-1] == ',' {
		w.out = w.out[:len(w.out)-1]
	}
	w.raw(s)
}

func (w *otlpWriter) resource(b []byte) {
	w.raw(`{"resource":{"attributes":[`)
	eachField(b, func(f wireField) bool {
		if f.number == 1 {
			w.attributes(f.bytes, 1)
		}
		return true
	})
	w.close("]}")
}

// groups writes the records of all scopes as if they were of one.
func (w *otlpWriter) groups(b []byte, record func([]byte)) {
	eachField(b, func(f wireField) bool {
		if f.number == 2 {
			eachField(f.bytes, func(f wireField) bool {
				if f.number == 2 && f.kind == protowire.BytesType {
					record(f.bytes)
					w.raw(",")
				}
				return true
			})
		}
		return true
	})
	if w.out[len(w.out)-1] == ',' {
		w.out = w.out[:len(w.out)-1]
	}
}

// attributes writes the repeated KeyValue of that number in b, with commas behind.
func (w *otlpWriter) attributes(b []byte, number protowire.Number) {
	eachField(b, func(f wireField) bool {
		if f.number == number && f.kind == protowire.BytesType {
			w.pair(f.bytes, 0)
			w.raw(",")
		}
		return true
	})
}

func (w *otlpWriter) span(b []byte) {
	if kind := spanKind(b); kind != 2 {
		w.raw("{")
		w.number("kind", kind)
		w.close("}") // nothing else of it will be looked at
		return
	}
	w.raw("{")
	eachField(b, func(f wireField) bool {
		switch f.number {
		case 1:
			w.hex("traceId", f.bytes)
		case 6:
			w.number("kind", f.value)
		case 7:
			w.number("startTimeUnixNano", f.value)
		case 8:
			w.number("endTimeUnixNano", f.value)
		}
		return true
	})
	w.raw(`"attributes":[`)
	w.attributes(b, 9)
	w.close("]}")
}

func spanKind(b []byte) (kind uint64) {
	eachField(b, func(f wireField) bool {
		if f.number == 6 && f.kind == protowire.VarintType {
			kind = f.value
		}
		return true
	})
	return kind
}

func (w *otlpWriter) logRecord(b []byte) {
	w.raw("{")
	eachField(b, func(f wireField) bool {
		switch f.number {
		case 1:
			w.number("timeUnixNano", f.value)
		case 5:
			w.raw(`"body":`)
			w.any(f.bytes, 0)
			w.raw(",")
		case 9:
			w.hex("traceId", f.bytes)
		case 11:
			w.number("observedTimeUnixNano", f.value)
		}
		return true
	})
	w.raw(`"attributes":[`)
	w.attributes(b, 6)
	w.close("]}")
}

func (w *otlpWriter) number(name string, n uint64) {
	w.out = append(append(append(w.out, '"'), name...), `":`...)
	w.out = append(strconv.AppendUint(w.out, n, 10), ',')
}

func (w *otlpWriter) hex(name string, b []byte) {
	w.out = append(append(append(w.out, '"'), name...), `":"`...)
	w.out = append(hex.AppendEncode(w.out, b), `",`...)
}

func (w *otlpWriter) pair(b []byte, depth int) {
	var key, value []byte
	eachField(b, func(f wireField) bool {
		switch f.number {
		case 1:
			key = f.bytes
		case 2:
			value = f.bytes
		}
		return true
	})
	w.raw(`{"key":`)
	w.text(key)
	w.raw(`,"value":`)
	w.any(value, depth)
	w.raw("}")
}

// any writes an AnyValue. What is nested deeper than anybody needs is left out.
func (w *otlpWriter) any(b []byte, depth int) {
	w.raw("{")
	eachField(b, func(f wireField) bool {
		switch {
		case f.number == 1 && f.kind == protowire.BytesType:
			w.raw(`"stringValue":`)
			w.text(f.bytes)
		case f.number == 2:
			w.raw(`"boolValue":` + strconv.FormatBool(f.value != 0))
		case f.number == 3:
			w.raw(`"intValue":`)
			w.out = strconv.AppendInt(w.out, int64(f.value), 10)
		case f.number == 4:
			w.double(math.Float64frombits(f.value))
		case f.number == 5 && depth < maxDepth/8:
			w.list(`"arrayValue":{"values":[`, f.bytes, func(b []byte) { w.any(b, depth+1) })
		case f.number == 6 && depth < maxDepth/8:
			w.list(`"kvlistValue":{"values":[`, f.bytes, func(b []byte) { w.pair(b, depth+1) })
		default:
			return true
		}
		return false // one of them is all there is
	})
	w.raw("}")
}

func (w *otlpWriter) double(f float64) {
	w.raw(`"doubleValue":`)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.raw("null")
		return
	}
	w.out = strconv.AppendFloat(w.out, f, 'g', -1, 64)
}

func (w *otlpWriter) list(open string, b []byte, element func([]byte)) {
	w.raw(open)
	eachField(b, func(f wireField) bool {
		if f.number == 1 && f.kind == protowire.BytesType {
			element(f.bytes)
			w.raw(",")
		}
		return true
	})
	w.close("]}")
}

// text writes a JSON string. What is no UTF-8 becomes U+FFFD.
func (w *otlpWriter) text(b []byte) {
	w.raw(`"`)
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		switch {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', byte(c))
		case c < ' ':
			w.out = append(w.out, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		case c == utf8.RuneError && n == 1:
			w.raw("\ufffd")
		default:
			w.out = append(w.out, b[:n]...)
		}
		b = b[n:]
	}
	w.raw(`"`)
}
