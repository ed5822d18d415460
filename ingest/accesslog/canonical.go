package accesslog

import (
	"bytes"

	"github.com/gatewatch/gatewatch/detector/event"
)

// field is a member of the canonical object.
type field uint8

const (
	fieldTime field = iota
	fieldMethod
	fieldPath
	fieldStatus
	fieldEnvironment
	fieldAPI
	fieldClientID
	fieldSubject
	fieldTokenID
	fieldSessionID
	fieldSourceIP
	fieldRoute
	fieldDuration
	fieldRequestBytes
	fieldResponseBytes
	fieldUserAgent
	fieldScopes
	fieldIssuedAt
	fieldExpiresAt
	fieldRequestID
	fieldAttributes
	fieldCount
	fieldUnknown = fieldCount
)

var fieldNames = [fieldCount]string{
	"time", "method", "path", "status", "environment", "api", "client_id", "subject", "token_id", "session_id",
	"source_ip", "route", "duration_ms", "request_bytes", "response_bytes", "user_agent", "scopes", "token_issued_at",
	"token_expires_at", "request_id", "attributes",
}

// Fields lists the names of the canonical fields.
func Fields() []string { return append([]string(nil), fieldNames[:]...) }

func fieldOf(name []byte) field {
	switch string(name) {
	case "time":
		return fieldTime
	case "method":
		return fieldMethod
	case "path":
		return fieldPath
	case "status":
		return fieldStatus
	case "environment":
		return fieldEnvironment
	case "api":
		return fieldAPI
	case "client_id":
		return fieldClientID
	case "subject":
		return fieldSubject
	case "token_id":
		return fieldTokenID
	case "session_id":
		return fieldSessionID
	case "source_ip":
		return fieldSourceIP
	case "route":
		return fieldRoute
	case "duration_ms":
		return fieldDuration
	case "request_bytes":
		return fieldRequestBytes
	case "response_bytes":
		return fieldResponseBytes
	case "user_agent":
		return fieldUserAgent
	case "scopes":
		return fieldScopes
	case "token_issued_at":
		return fieldIssuedAt
	case "token_expires_at":
		return fieldExpiresAt
	case "request_id":
		return fieldRequestID
	case "attributes":
		return fieldAttributes
	}
	return fieldUnknown
}

// canonical is what was read of one object: where the value of each field is, of duplicates the last. Nothing is
// decoded before the whole object has been read.
type canonical struct {
	present uint32 // bit set of fields
	values  [fieldCount]value
	records int // where the array named "records" is, -1 if there is none
	ignored [fieldCount]int

	// order is the field of the nth member of the previous object: a gateway writes its members in the same order again
	// and again, and comparing with one name is faster than finding it among twenty.
	order [32]field

	name       []byte // scratch: a name with escapes
	scopes     []string
	attributes []event.Attribute
}

// value is where a value is and the first byte of it, which tells its type.
type value struct {
	from, to int32
	first    byte
}

func (c *canonical) has(f field) bool { return c.present&(1<<f) != 0 }

// read reads the object at i and returns where it ends, -1 if it is no JSON.
func (c *canonical) read(s *scanner, i int) int {
	c.present, c.records = 0, -1
	if i = s.space(i + 1); s.buf[i] == '}' {
		return i + 1
	}
	for n := 0; ; n++ {
		f, start := c.expected(s, i, n)
		if start < 0 {
			if f, start = c.member(s, i, n); start < 0 {
				return -1
			}
		}
		if i = s.value(start, 1); i < 0 {
			return -1
		}
		if f != fieldUnknown {
			c.set(f, value{int32(start), int32(i), s.buf[start]})
		}
		if s.buf[i] != ',' {
			if i = s.space(i); s.buf[i] == '}' {
				return i + 1
			}
			if s.buf[i] != ',' {
				return s.fail(i)
			}
		}
		if i++; s.buf[i] != '"' {
			i = s.space(i)
		}
	}
}

func (c *canonical) set(f field, v value) {
	c.values[f] = v
	c.present |= 1 << f
	if v.first == 'n' { // null is absent, also when it comes after a value
		c.present &^= 1 << f
	}
}

// expected reads the name of the nth member at i when it is that of the previous object; value is -1 if it is not.
func (c *canonical) expected(s *scanner, i, n int) (f field, value int) {
	if n >= len(c.order) || c.order[n] >= fieldCount {
		return fieldUnknown, -1
	}
	f = c.order[n]
	quoted := quotedNames[f]
	if value = i + len(quoted); value > s.end || string(s.buf[i:value]) != quoted {
		return fieldUnknown, -1
	}
	if s.buf[value] <= ' ' {
		value = s.space(value)
	}
	return f, value
}

// quotedNames are the names as they stand in most records.
var quotedNames = func() (quoted [fieldCount]string) {
	for f, name := range fieldNames {
		quoted[f] = `"` + name + `":`
	}
	return quoted
}()

// member reads any name. It notices the array of an envelope before it is read, so that what is good in a truncated one
// can be kept.
func (c *canonical) member(s *scanner, i, n int) (f field, value int) {
	from, to, value := s.key(i)
	if value < 0 {
		return fieldUnknown, -1
	}
	name := s.buf[from:to]
	if s.escaped && bytes.IndexByte(name, '\\') >= 0 {
		c.name = append(c.name[:0], name...)
		name = unescape(c.name)
	}
	f = fieldOf(name)
	if n < len(c.order) {
		c.order[n] = f
	}
	if f == fieldUnknown && string(name) == "records" {
		c.records = -1
		if s.buf[value] == '[' {
			c.records = value
		}
	}
	return f, value
}

// IgnoredFields reports how often each optional field was left empty because its value could not be used, and starts
// counting anew.
func (d *Decoder) IgnoredFields(count func(field string, n int)) {
	for f, n := range d.canonical.ignored {
		if n > 0 {
			count(fieldNames[f], n)
			d.canonical.ignored[f] = 0
		}
	}
}
