package detector

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
	"github.com/gatewatch/gatewatch/detector/wire"
	"github.com/gatewatch/gatewatch/rules"
)

// inventory finds calls to endpoints that should not be there: that no specification names (shadow), that are past their date
// (zombie), that nobody owns (ownerless).
//
// The rule's filter lets only such calls through, so who calls what he should costs nothing. What counts is their number in the
// window, which covers (time-window, time]. The endpoints are kept from the first such call until there was none for as long as an
// alert stays open, up to 16 of one entity; calls of more are counted together. A late event counts as long as its window is
// still there.
type inventory struct {
	noDetail
	rule  *rules.Rule
	spec  *rules.Inventory
	width int64
	rest  event.Time // how long the endpoints are kept
	slots int
}

// maxEndpoints is how many endpoints of one entity are told apart.
const maxEndpoints = 16

func newInventory(r *rules.Rule, spec *rules.Inventory, o Options) *inventory {
	return &inventory{
		rule: r, spec: spec, width: r.Window.Milliseconds(), slots: o.Limits.values(fewSlots),
		rest: event.Time(max(r.Window, r.CloseAfter).Milliseconds()),
	}
}

func (d *inventory) newState() state { return &inventoryState{d: d} }

type inventoryState struct {
	d         *inventory
	requests  window.Counter[uint32]
	newest    event.Time
	endpoints []endpoint // in the order of their first calls
	others    uint64     // calls of further ones
}

// endpoint is one that should not be called.
type endpoint struct {
	hash     uint64 // of all that tells it from others
	problems rules.InventoryProblems
	method   string
	route    string
	api      string
	owner    string
	sunset   event.Time
	requests uint64
}

func (s *inventoryState) observe(o observation) finding {
	d := s.d
	if o.now-s.newest > d.rest {
		clear(s.endpoints)
		s.endpoints, s.others = s.endpoints[:0], 0
	}
	s.newest = max(s.newest, o.event.Time)
	s.note(o.event)
	s.requests.Add(int64(o.event.Time), 1, d.width, d.slots)
	total := s.requests.Total(int64(o.now), d.width)
	f := finding{value: float64(total), limit: float64(d.spec.Limit), growing: true}
	f.over, f.suspicious = f.value > f.limit, 2*f.value >= f.limit
	if f.suspicious {
		f.err = s.requests.Error(int64(o.now), d.width)
	}
	return f
}

// note counts the event's endpoint.
func (s *inventoryState) note(e *event.Event) {
	problems := rules.ProblemsOf(e) & s.d.spec.Find
	if problems == 0 {
		return
	}
	route := e.Operation.Route
	if route == "" {
		route = e.Route
	}
	hash := xxh3.HashStringSeed(route, xxh3.HashStringSeed(e.Method, uint64(problems)))
	for i := range s.endpoints {
		if s.endpoints[i].hash == hash {
			s.endpoints[i].requests++
			return
		}
	}
	if len(s.endpoints) == maxEndpoints {
		s.others++
		return
	}
	s.endpoints = append(s.endpoints, endpoint{
		hash: hash, problems: problems, method: shortName(e.Method), route: shortText(route),
		api: shortText(e.Operation.API), owner: shortText(e.Operation.Owner), sunset: e.Operation.Sunset, requests: 1,
	})
}

func (s *inventoryState) touch() int { return s.requests.Touch() + len(s.endpoints) }

func (s *inventoryState) idle(now event.Time) bool { return now-s.newest > s.d.rest }

func (s *inventoryState) size() int {
	n := int(unsafe.Sizeof(*s)-unsafe.Sizeof(s.requests)) + s.requests.Size() + room(len(s.endpoints))*int(unsafe.Sizeof(endpoint{}))
	for i := range s.endpoints {
		n += len(s.endpoints[i].method) + len(s.endpoints[i].route) + len(s.endpoints[i].api) + len(s.endpoints[i].owner)
	}
	return n
}

// worst lists the endpoints, those that were called most first.
func (s *inventoryState) worst() []endpoint {
	return slices.SortedFunc(slices.Values(s.endpoints), func(a, b endpoint) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), cmp.Compare(a.route, b.route), cmp.Compare(a.method, b.method), cmp.Compare(a.problems, b.problems))
	})
}

func (d *inventory) describe(a *alert.Alert, known state, f finding) {
	s := known.(*inventoryState)
	a.Observed.Window = shortDuration(d.rule.Window)
	a.Observed.Unit = "requests"
	a.Observed.Detail = s.detail()
	a.Summary = a.Entity.ID + " called " + s.summary(f, "in "+longDuration(d.rule.Window))
	if slices.Contains(d.rule.By, event.FieldOf(event.Route)) { // who called stands in related
		a.Summary = callers(a) + " called " + s.summary(f, "in "+longDuration(d.rule.Window))
	}
}

// callers names who called an endpoint: clients, else what else is known of them.
func callers(a *alert.Alert) string {
	for _, kind := range []string{"client_id", "subject", "source_ip", "token_id"} {
		switch names := shortTexts(a.Related[kind]); {
		case len(names) == 1:
			return names[0]
		case len(names) > 1 && len(names) <= fewNames:
			return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
		case len(names) > fewNames:
			return strings.Join(names[:fewNames], ", ") + " and others" // of many, not all are kept
		}
	}
	return "somebody"
}

// summary says what was called, and how often.
func (s *inventoryState) summary(f finding, in string) string {
	often := times(f) + " " + in
	if f.limit > 0 {
		often += fmt.Sprintf(" (limit %s)", number(f.limit))
	}
	list := s.worst()
	if len(list) == 0 {
		return "no such endpoint " + in
	}
	first := list[0].method + " " + list[0].route
	if len(list) == 1 {
		return fmt.Sprintf("%s, %s, %s", first, list[0].trouble(), often)
	}
	many := one(len(list), "endpoint", "endpoints")
	if s.others > 0 {
		many = "more than " + many
	}
	return fmt.Sprintf("%s %s %s, most often %s", many, troubles(list), often, first)
}

func times(f finding) string {
	switch {
	case f.err != 0:
	case f.value == 1:
		return "once"
	case f.value == 2:
		return "twice"
	}
	return approximate(f) + " times"
}

// trouble says in a clause what is wrong with the endpoint.
func (p *endpoint) trouble() string {
	var clauses []string
	if p.problems&rules.InventoryShadow != 0 {
		clauses = append(clauses, "which no specification names")
	}
	if p.problems&rules.InventoryZombie != 0 {
		clauses = append(clauses, "which was to be retired on "+day(p.sunset))
	}
	if p.problems&rules.InventoryOwnerless != 0 {
		clauses = append(clauses, "which nobody owns")
	}
	return strings.Join(clauses, " and ")
}

func day(t event.Time) string { return t.Std().Format("2006-01-02") }

// troubles says what is wrong with several endpoints.
func troubles(list []endpoint) string {
	var all rules.InventoryProblems
	for i := range list {
		all |= list[i].problems
	}
	var clauses []string
	for _, c := range []struct {
		problem rules.InventoryProblems
		clause  string
	}{
		{rules.InventoryShadow, "that no specification names"},
		{rules.InventoryZombie, "that were to be retired"},
		{rules.InventoryOwnerless, "that nobody owns"},
	} {
		if all&c.problem != 0 {
			clauses = append(clauses, c.clause)
		}
	}
	return strings.Join(clauses, " or ")
}

func (s *inventoryState) detail() map[string]any {
	list := []map[string]any{}
	for _, p := range s.worst() {
		m := map[string]any{"endpoint": p.method + " " + p.route, "problem": p.problems.String(), "requests": p.requests}
		if p.api != "" {
			m["api"] = p.api
		}
		if p.owner != "" {
			m["owner"] = p.owner
		}
		if p.problems&rules.InventoryZombie != 0 {
			m["retired"] = day(p.sunset)
		}
		list = append(list, m)
	}
	detail := map[string]any{"endpoints": list}
	if s.others > 0 {
		detail["requests_to_others"] = s.others
	}
	return detail
}

func (d *inventory) explain(known state, now event.Time) explanation {
	s := known.(*inventoryState)
	f := finding{value: float64(s.requests.Total(int64(now), d.width)), limit: float64(d.spec.Limit), err: s.requests.Error(int64(now), d.width)}
	x := explanation{Detail: windowDetail(f, "requests", d.rule.Window)}
	for key, value := range s.detail() {
		x.Detail[key] = value
	}
	x.Summary = "called " + s.summary(f, inTheLast(d.rule.Window))
	x.span(s.requests.Oldest(), s.requests.Newest())
	return x
}

const inventoryVersion = 1

func (s *inventoryState) appendBinary(b []byte) ([]byte, error) {
	b = append(b, inventoryVersion)
	b, err := s.requests.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	b = binary.AppendVarint(b, int64(s.newest))
	b = binary.AppendUvarint(b, s.others)
	b = binary.AppendUvarint(b, uint64(len(s.endpoints)))
	for i := range s.endpoints {
		p := &s.endpoints[i]
		b = binary.LittleEndian.AppendUint64(b, p.hash)
		b = append(b, byte(p.problems))
		for _, text := range []string{p.method, p.route, p.api, p.owner} {
			b = wire.AppendString(b, text)
		}
		b = binary.AppendVarint(b, int64(p.sunset))
		b = binary.AppendUvarint(b, p.requests)
	}
	return b, nil
}

func (d *inventory) decode(b []byte, _ *interner) (state, []byte, error) {
	r := wire.Reader{Rest: b}
	r.Version("inventory", inventoryVersion)
	if r.Err != nil {
		return nil, nil, r.Err
	}
	s := &inventoryState{d: d}
	var err error
	if r.Rest, err = s.requests.DecodeBinary(r.Rest); err != nil {
		return nil, nil, err
	}
	s.newest = event.Time(r.Varint())
	s.others = r.Uvarint()
	for range r.Count(8 + 1 + 4 + 2) {
		p := endpoint{hash: r.Uint64(), problems: rules.InventoryProblems(r.Byte())}
		for _, text := range []*string{&p.method, &p.route, &p.api, &p.owner} {
			*text = r.String()
		}
		p.sunset, p.requests = event.Time(r.Varint()), r.Uvarint()
		s.endpoints = append(s.endpoints, p)
	}
	return s, r.Rest, r.Err
}
