package ruletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/rules"
)

// request is one request of a test, not written yet.
type request struct {
	at      time.Duration // from the start
	traffic *rules.Traffic
	n, r    int32 // of the request and of the repetition, from 1
}

// requests lists the requests of a test in the order of their times; at the same time, in that of the file.
func requests(t *rules.Test) []request {
	all := make([]request, 0, t.Events())
	for i := range t.Traffic {
		tr := &t.Traffic[i]
		for r := range tr.Rounds {
			for n := range tr.Times {
				at := tr.At + time.Duration(r)*tr.RoundEvery + time.Duration(n)*tr.Every
				all = append(all, request{at, tr, int32(n + 1), int32(r + 1)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b request) int { return cmp.Compare(a.at, b.at) })
	return all
}

// turn returns the item of a list whose turn it is.
func turn[T any](list []T, n int32) T { return list[(int(n)-1)%len(list)] }

// writer writes requests as canonical JSON.
type writer struct {
	start  time.Time
	places map[*rules.Place]*location
	line   []byte
	text   []byte
}

// location is a place with an address of its own.
type location struct {
	geo     *event.Geo
	address string
}

// networks are the addresses of places: those for benchmarks, which nobody owns (RFC 2544).
var networks = netip.MustParseAddr("198.18.0.1")

func newWriter(t *rules.Test) *writer {
	w := &writer{start: t.Start.Std(), places: map[*rules.Place]*location{}}
	known := map[string]*location{}
	next := networks
	for _, tr := range t.Traffic {
		for _, p := range tr.Places {
			g := p.Geo
			if g.Continent == "" {
				g.Continent = geo.Continent(g.Country)
			}
			key := fmt.Sprintf("%+v", g)
			if known[key] == nil {
				known[key] = &location{&g, next.String()}
				next = next.Next()
			}
			w.places[p] = known[key]
		}
	}
	return w
}

// geo returns what is known of where the request comes from.
func (w *writer) geo(q request) *event.Geo {
	if len(q.traffic.Places) == 0 {
		return nil
	}
	return w.places[turn(q.traffic.Places, q.n)].geo
}

// field returns the text of a field of the request.
func (w *writer) field(f *rules.TestField, q request) []byte {
	w.text = turn(f.Values, q.n).AppendTo(w.text[:0], int(q.n), int(q.r))
	return w.text
}

// json writes the request. What it returns is valid until the next call.
func (w *writer) json(q request) []byte {
	c := turn(q.traffic.Calls, q.n)
	w.line = append(w.line[:0], `{"time":"`...)
	w.line = w.start.Add(q.at).AppendFormat(w.line, time.RFC3339Nano)
	w.line = append(w.line, `","method":"`...)
	w.line = append(w.line, c.Method...)
	w.line = append(w.line, `","path":`...)
	w.text = c.Target.AppendTo(w.text[:0], int(q.n), int(q.r))
	w.line = appendString(w.line, w.text)
	w.line = append(w.line, `,"status":`...)
	w.line = strconv.AppendInt(w.line, int64(c.Status), 10)
	w.fields(q)
	return append(w.line, '}')
}

func (w *writer) fields(q request) {
	addressed := false
	var attributes []byte
	for i := range q.traffic.Fields {
		f := &q.traffic.Fields[i]
		text := w.field(f, q)
		if name, ok := strings.CutPrefix(f.Name, "attributes."); ok {
			attributes = append(appendString(append(attributes, ','), []byte(name)), ':')
			attributes = appendString(attributes, text)
			continue
		}
		addressed = addressed || f.Name == "source_ip"
		w.line = append(w.line, `,"`+f.Name+`":`...)
		switch f.Name {
		case "duration_ms", "request_bytes", "response_bytes":
			w.line = append(w.line, text...)
		case "scopes":
			w.line = appendList(w.line, strings.Fields(string(text)))
		default:
			w.line = appendString(w.line, text)
		}
	}
	if !addressed && len(q.traffic.Places) > 0 {
		w.line = append(w.line, `,"source_ip":"`+w.places[turn(q.traffic.Places, q.n)].address+`"`...)
	}
	if len(attributes) > 0 {
		attributes[0] = '{'
		w.line = append(append(append(w.line, `,"attributes":`...), attributes...), '}')
	}
}

// appendString appends a JSON string. Text that needs no escapes is the rule.
func appendString(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			quoted, err := json.Marshal(string(text))
			if err != nil {
				panic(fmt.Sprintf("ruletest: %v", err)) // a string always has a JSON form
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

func appendList(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, []byte(s))
	}
	return append(b, ']')
}
