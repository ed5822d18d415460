package rules

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Traffic is requests of a test that are alike. The keys of an entry:
//
//	call    METHOD PATH [STATUS], such as GET /users/{n}/profile 404; the status is 200 unless given
//	at      when the first one comes: a duration from the start of the test, or RFC 3339; default 0s
//	times   how many; default: as many as the longest list of the entry has items
//	every   the time between two of them
//	over    instead of every: the time over which they are spread evenly
//	repeat  {every: 24h, times: 8}: all of that again, as on the following days
//	from    the place, see [Place]
//	revoked_at
//	        when a revocation list says that the tokens were revoked, written as at, also before the start; default: no list names them
//	operation
//	        what the API inventory says, see [operationKeys]; default: there is no inventory
//	client_id, subject, token_id, session_id, source_ip, user_agent, api, environment, route, request_id, scopes, duration_ms,
//	request_bytes, response_bytes, token_issued_at, token_expires_at, attributes.<name>
//	        fields of the event. scopes are words with blanks between
//
// In call and in the fields, route apart, {n} is the number of the request from 1 and {r} that of the repetition from 1;
// {n+100} adds, and {n%5} runs through 0..4. Where call, from and fields are lists, the first request takes the first item,
// the second the second, and so on; a list that ends begins again.
type Traffic struct {
	Line       int
	Calls      []Call
	Fields     []TestField
	Places     []*Place // none: nowhere
	At         time.Duration
	RevokedAt  *time.Duration   // from the start; nil: not revoked
	Operation  *event.Operation // nil: no inventory
	Times      int
	Every      time.Duration
	Rounds     int
	RoundEvery time.Duration
}

// Events returns how many requests there are.
func (t *Traffic) Events() int { return t.Times * t.Rounds }

// Call is what is called, and what came of it.
type Call struct {
	Method string
	Target Numbered // path, with the query
	Status int
}

// TestField is one field of the event and the values that it takes in turn.
type TestField struct {
	Name   string // as in the canonical format; attributes.<name>
	Values []Numbered
}

// Numbered is text with counters in it.
type Numbered struct{ parts []counter }

// counter is literal text, and a number behind it.
type counter struct {
	literal  string
	variable byte // n or r; 0: no number follows
	operator byte // +, % or 0
	operand  int
}

// AppendTo appends the text for the nth request of the rth repetition, both from 1.
func (c Numbered) AppendTo(b []byte, n, r int) []byte {
	for _, p := range c.parts {
		b = append(b, p.literal...)
		v := n
		switch p.variable {
		case 0:
			continue
		case 'r':
			v = r
		}
		switch p.operator {
		case '+':
			v += p.operand
		case '%':
			v %= p.operand
		}
		b = strconv.AppendInt(b, int64(v), 10)
	}
	return b
}

var (
	braces      = regexp.MustCompile(`\{[^{}]*\}`)
	counterForm = regexp.MustCompile(`^\{([nr])(?:([+%])(\d{1,9}))?\}$`)
	callForm    = regexp.MustCompile(`^([A-Za-z]+) +(/\S*)(?: +([1-5]\d\d))?$`)
)

// counted reads text with counters.
func (r testReader) numbered(n ast.Node, what, text string) Numbered {
	var c Numbered
	for {
		at := braces.FindStringIndex(text)
		if at == nil {
			c.parts = append(c.parts, counter{literal: text})
			return c
		}
		found := text[at[0]:at[1]]
		m := counterForm.FindStringSubmatch(found)
		if m == nil || m[2] == "%" && strings.Trim(m[3], "0") == "" {
			r.errorf(n, "%s: %s is no counter; known are {n}, {n+100}, {n%%5}, and the same of r", what, shorten(found))
			return Numbered{}
		}
		p := counter{literal: text[:at[0]], variable: m[1][0]}
		if m[2] != "" {
			p.operator = m[2][0]
			p.operand, _ = strconv.Atoi(m[3])
		}
		c.parts = append(c.parts, p)
		text = text[at[1]:]
	}
}

var trafficKeys = []string{"call", "at", "times", "every", "over", "repeat", "from", "revoked_at", "operation"}

// textFields are the fields of events that an entry gives by their name: all that the gateway logs, and call does not say.
var textFields = func() []string {
	var names []string
	for _, name := range fixedFields() {
		f, _ := event.ParseField(name)
		if !f.NeedsGeo() && !slices.Contains(calledFields, name) {
			names = append(names, name)
		}
	}
	return append(names, "token_issued_at", "token_expires_at")
}()

var calledFields = []string{"method", "path", "status"}

const attributePrefix = "attributes."

func (r testReader) traffic(n ast.Node, start time.Time) Traffic {
	t := Traffic{Times: 1, Rounds: 1}
	t.Line, _ = position(n)
	o := r.trafficObject(n, &t)
	if o.node == nil || len(o.keys) == 0 && len(t.Fields) == 0 {
		return t
	}
	for _, item := range r.items(r.need(o, "an entry of traffic", "call"), "call") {
		t.Calls = append(t.Calls, r.call(item))
	}
	for _, item := range r.items(o.get("from"), "from") {
		t.Places = append(t.Places, r.place(item))
	}
	t.At = r.offset(o.get("at"), "at", start, 0)
	if o.has("revoked_at") {
		at := r.moment(o.get("revoked_at"), "revoked_at", start, 0)
		t.RevokedAt = &at
	}
	t.Operation = r.operation(o.get("operation"), start)
	t.Times = r.integer(o.get("times"), "times", 1, MaxTestEvents, t.longest())
	r.pace(o, &t)
	r.repetition(o, &t)
	r.bounded(n, &t)
	return t
}

// trafficObject reads the keys. Those that are fields are read at once.
func (r testReader) trafficObject(n ast.Node, t *Traffic) object {
	o := object{node: n, fields: map[string]ast.Node{}, keys: map[string]ast.Node{}}
	known := slices.Concat(trafficKeys, textFields, []string{"attributes.<name>"})
	for _, e := range r.entries(n, "an entry of traffic") {
		switch {
		case slices.Contains(trafficKeys, e.name):
			o.fields[e.name], o.keys[e.name] = e.value, e.key
		case slices.Contains(textFields, e.name) || strings.HasPrefix(e.name, attributePrefix) && e.name != attributePrefix:
			t.Fields = append(t.Fields, r.testField(e))
		case slices.Contains(calledFields, e.name):
			r.errorf(e.key, "unknown key %q in an entry of traffic: method, path and status stand in call, such as GET /users/{n} 200", e.name)
			o.misspelt(entry{"call", e.key, nil}, trafficKeys)
		case needsGeo(e.name):
			r.errorf(e.key, "unknown key %q in an entry of traffic: the place stands in from, such as from: {country: DE, asn: 3320}", e.name)
		default:
			r.errorf(e.key, "unknown key %q in an entry of traffic%s", e.name, nearestOr(e.name, known))
			o.misspelt(e, trafficKeys)
		}
	}
	return o
}

func needsGeo(name string) bool {
	f, ok := event.ParseField(name)
	return ok && f.NeedsGeo()
}

func (r testReader) testField(e entry) TestField {
	f := TestField{Name: e.name}
	for _, item := range r.items(e.value, e.name) {
		text := r.text(item, e.name, "")
		if e.name == "route" { // its braces are parameters
			f.Values = append(f.Values, Numbered{[]counter{{literal: text}}})
			continue
		}
		c := r.numbered(item, e.name, text)
		if sample := string(c.AppendTo(nil, 1, 1)); sample != "" && !formed(e.name, sample) {
			r.errorf(item, "%s cannot be %q", e.name, shorten(sample))
		}
		f.Values = append(f.Values, c)
	}
	return f
}

// formed reports whether a text can be a value of the field.
func formed(field, text string) bool {
	switch field {
	case "source_ip":
		_, err := netip.ParseAddr(text)
		return err == nil
	case "duration_ms", "request_bytes", "response_bytes":
		return strings.Trim(text, "0123456789.") == "" && json.Valid([]byte(text))
	case "token_issued_at", "token_expires_at":
		_, err := time.Parse(time.RFC3339Nano, text)
		return err == nil
	}
	return true
}

func (r testReader) call(n ast.Node) Call {
	text := r.text(n, "call", "")
	m := callForm.FindStringSubmatch(text)
	if m == nil {
		if text != "" {
			r.errorf(n, "call must be METHOD PATH or METHOD PATH STATUS, such as GET /users/{n}/profile 200, not %s", kindOf(n))
		}
		return Call{}
	}
	c := Call{Method: strings.ToUpper(m[1]), Target: r.numbered(n, "call", m[2]), Status: 200}
	if m[3] != "" {
		c.Status, _ = strconv.Atoi(m[3])
	}
	return c
}

// longest is how many requests let every item of every list take its turn.
func (t *Traffic) longest() int {
	n := max(1, len(t.Calls), len(t.Places))
	for _, f := range t.Fields {
		n = max(n, len(f.Values))
	}
	return n
}

// pace reads how the requests follow each other.
func (r testReader) pace(o object, t *Traffic) {
	switch {
	case o.has("every") && o.has("over"):
		r.errorf(o.keys["over"], "over and every say the same: give one of them")
	case o.has("over"):
		t.Every = r.duration(o.get("over"), "over", time.Millisecond, MaxTestSpan, 0) / time.Duration(t.Times)
	case o.has("every"):
		t.Every = r.duration(o.get("every"), "every", time.Millisecond, MaxTestSpan, 0)
	case t.Times > 1:
		r.errorf(o.node, "an entry of %d requests needs the key \"every\" or \"over\"", t.Times)
	}
}

func (r testReader) repetition(o object, t *Traffic) {
	if o.get("repeat") == nil {
		return
	}
	again := r.object(o.get("repeat"), "repeat", "every", "times")
	t.RoundEvery = r.duration(r.need(again, "repeat", "every"), "every", time.Millisecond, MaxTestSpan, 0)
	t.Rounds = r.integer(r.need(again, "repeat", "times"), "times", 1, MaxTestEvents, 1)
}

// bounded holds an entry to what a test can bear. The events are bounded first, so that nothing overflows.
func (r testReader) bounded(n ast.Node, t *Traffic) {
	if t.Events() > MaxTestEvents {
		r.errorf(n, "times and repeat make %d requests, more than %d", t.Events(), MaxTestEvents)
		t.Times, t.Rounds = 1, 1
	}
	room := MaxTestSpan - t.At
	for _, step := range []struct {
		times int
		every time.Duration
	}{{t.Times, t.Every}, {t.Rounds, t.RoundEvery}} {
		if step.times > 1 && step.every > room/time.Duration(step.times-1) {
			r.errorf(n, "the last request comes more than %s after the start of the test", formatDuration(MaxTestSpan))
			return
		}
		room -= step.every * time.Duration(step.times-1)
	}
}
