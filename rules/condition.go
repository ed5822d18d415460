package rules

import (
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// condition is one test of an event. Conditions are immutable; testing cannot fail and does not allocate.
type condition interface {
	match(e *event.Event) bool

	// decide says what the fields environment, api, method, route and status of the event decide on their own, whatever
	// its other fields are, for a path of which no more is known than path says.
	decide(e *event.Event, path *template) verdict

	// appendTo appends the canonical form.
	appendTo(b []byte) []byte

	fields() []event.Field

	// String says what is wanted, as in "method: GET or POST".
	String() string
}

// verdict is what is known of a condition's outcome.
type verdict uint8

const (
	unknown verdict = iota
	never
	always
)

func verdictOf(b bool) verdict {
	if b {
		return always
	}
	return never
}

func (v verdict) negated() verdict {
	switch v {
	case never:
		return always
	case always:
		return never
	}
	return unknown
}

// textIs tests that a field's text is among values. An absent field has the text "", which no value is.
type textIs struct {
	field  event.Field
	values *values
}

func (c *textIs) match(e *event.Event) bool { return c.values.contains(c.field.Text(e)) }

func (c *textIs) decide(e *event.Event, _ *template) verdict {
	switch c.field.Kind() {
	case event.Environment, event.API:
		return verdictOf(c.match(e))
	}
	return unknown
}

func (c *textIs) appendTo(b []byte) []byte {
	return c.values.appendTo(appendField(append(b, 't'), c.field))
}
func (c *textIs) fields() []event.Field { return []event.Field{c.field} }
func (c *textIs) String() string        { return c.field.String() + ": " + c.values.String() }

// methodIs tests the HTTP method, in any case: a gateway that passes "get" on must not hide it.
type methodIs struct{ methods []string } // upper case, sorted

func (c *methodIs) match(e *event.Event) bool {
	for _, m := range c.methods {
		if len(m) == len(e.Method) && (m == e.Method || strings.EqualFold(m, e.Method)) {
			return true
		}
	}
	return false
}

func (c *methodIs) decide(e *event.Event, _ *template) verdict { return verdictOf(c.match(e)) }
func (c *methodIs) appendTo(b []byte) []byte                   { return appendStrings(append(b, 'm'), c.methods) }
func (*methodIs) fields() []event.Field                        { return []event.Field{event.FieldOf(event.Method)} }
func (c *methodIs) String() string                             { return "method: " + orList(c.methods) }

// statusIs tests the HTTP status.
type statusIs struct {
	set  [10]uint64 // bit i of the whole is status i
	text string
}

const maxStatus = 599

func (c *statusIs) match(e *event.Event) bool {
	return uint32(e.Status) <= maxStatus && c.set[e.Status>>6]&(1<<(e.Status&63)) != 0
}

func (c *statusIs) decide(e *event.Event, _ *template) verdict { return verdictOf(c.match(e)) }

func (c *statusIs) appendTo(b []byte) []byte {
	b = append(b, 's')
	for _, word := range c.set {
		b = appendInt(b, int(word))
	}
	return b
}

func (*statusIs) fields() []event.Field { return []event.Field{event.FieldOf(event.Status)} }
func (c *statusIs) String() string      { return "status: " + c.text }

// numberIs tests that a numeric field lies in one of the intervals. An absent number lies in none.
type numberIs struct {
	field     event.Field
	intervals []interval // sorted
	text      string
}

func (c *numberIs) match(e *event.Event) bool {
	v, ok := c.field.Number(e)
	if !ok {
		return false
	}
	for _, i := range c.intervals {
		if i.contains(v) {
			return true
		}
	}
	return false
}

func (*numberIs) decide(*event.Event, *template) verdict { return unknown }

func (c *numberIs) appendTo(b []byte) []byte {
	b = appendInt(appendField(append(b, 'n'), c.field), len(c.intervals))
	for _, i := range c.intervals {
		b = appendFloat(appendFloat(b, i.low), i.high)
		b = appendBool(appendBool(b, i.openLow), i.openHigh)
	}
	return b
}

func (c *numberIs) fields() []event.Field { return []event.Field{c.field} }
func (c *numberIs) String() string        { return c.field.String() + ": " + c.text }

// addressIn tests the source address. It looks at the address itself, also where only its pseudonym may be shown.
type addressIn struct{ networks *Networks }

func (c *addressIn) match(e *event.Event) bool            { return c.networks.Contains(e.SourceIP) }
func (*addressIn) decide(*event.Event, *template) verdict { return unknown }
func (c *addressIn) appendTo(b []byte) []byte             { return c.networks.appendTo(append(b, 'a')) }
func (*addressIn) fields() []event.Field                  { return []event.Field{event.FieldOf(event.SourceIP)} }
func (c *addressIn) String() string                       { return "source_ip: " + c.networks.String() }

// scopesHave tests that one of the token's scopes is among values.
type scopesHave struct{ values *values }

func (c *scopesHave) match(e *event.Event) bool {
	return slices.ContainsFunc(e.Scopes, c.values.contains)
}
func (*scopesHave) decide(*event.Event, *template) verdict { return unknown }
func (c *scopesHave) appendTo(b []byte) []byte             { return c.values.appendTo(append(b, 'c')) }
func (*scopesHave) fields() []event.Field                  { return []event.Field{event.FieldOf(event.Scopes)} }
func (c *scopesHave) String() string                       { return "scopes: " + c.values.String() }

// anonymousIs tests that the source address is an anonymiser of one of the kinds.
type anonymousIs struct{ kinds event.Anonymity }

func (c *anonymousIs) match(e *event.Event) bool {
	return e.Geo != nil && e.Geo.Anonymous&c.kinds != 0
}

func (*anonymousIs) decide(*event.Event, *template) verdict { return unknown }
func (c *anonymousIs) appendTo(b []byte) []byte             { return append(b, 'y', byte(c.kinds)) }
func (*anonymousIs) fields() []event.Field                  { return []event.Field{event.FieldOf(event.Anonymous)} }
func (c *anonymousIs) String() string                       { return "anonymous: " + c.kinds.String() }

// exists tests that a field has a value, or that it has none.
type exists struct {
	field event.Field
	want  bool
}

func (c *exists) match(e *event.Event) bool { return present(c.field, e) == c.want }

// present reports whether the event has a value of the field. It takes the fields apart whose text would allocate.
func present(f event.Field, e *event.Event) bool {
	switch f.Kind() {
	case event.SourceIP:
		return e.SourceIP.IsValid()
	case event.Scopes:
		return len(e.Scopes) > 0
	case event.Anonymous:
		return e.Geo != nil && e.Geo.Anonymous != 0
	case event.Status, event.DurationMS, event.RequestBytes, event.ResponseBytes, event.ASN:
		v, ok := f.Number(e)
		return ok && v != 0
	}
	return f.Text(e) != ""
}

func (*exists) decide(*event.Event, *template) verdict { return unknown }
func (c *exists) appendTo(b []byte) []byte {
	return appendBool(appendField(append(b, 'x'), c.field), c.want)
}
func (c *exists) fields() []event.Field { return []event.Field{c.field} }

func (c *exists) String() string {
	if c.want {
		return c.field.String() + ": any value"
	}
	return c.field.String() + ": absent"
}
