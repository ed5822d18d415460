package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/axiomhq/hyperloglog"
	"github.com/zeebo/xxh3"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Bounds of a census.
const (
	maxShadows = 10_000 // endpoints without a specification that are told apart; requests to further ones are counted together
	maxCallers = 1000   // of one endpoint that are counted exactly
)

// Census counts who calls what. One goroutine uses it. What it says does not depend on the order of the events while there are no
// more than 10,000 endpoints without a specification.
type Census struct {
	inventory *Inventory
	numbers   map[*event.Operation]int
	used      []usage // by number of operation
	retired   []usage // past the date alone
	shadows   map[shadow]*usage
	others    uint64
	events    uint64
	from, to  event.Time
}

type shadow struct{ method, route string }

// usage is what was seen of one endpoint.
type usage struct {
	requests, successes uint64
	first, last         event.Time
	callers             map[uint64]struct{}
	many                *hyperloglog.Sketch // nil: callers is all of them
}

// NewCensus makes a census of what the inventory names and of what it does not.
func NewCensus(v *Inventory) *Census {
	c := &Census{
		inventory: v, numbers: make(map[*event.Operation]int, len(v.operations)), used: make([]usage, len(v.operations)),
		retired: make([]usage, len(v.operations)), shadows: map[shadow]*usage{},
	}
	for i := range v.operations {
		c.numbers[&v.operations[i].Operation] = i
	}
	return c
}

// Add counts an event that was decoded with the inventory.
func (c *Census) Add(e *event.Event) {
	if c.events++; c.events == 1 || e.Time < c.from {
		c.from = e.Time
	}
	c.to = max(c.to, e.Time)
	o := e.Operation
	if o == nil {
		return
	}
	if !o.Registered {
		c.addShadow(e)
		return
	}
	i := c.numbers[o]
	c.used[i].add(e)
	if o.Retired(e.Time) {
		c.retired[i].add(e)
	}
}

func (c *Census) addShadow(e *event.Event) {
	if !success(e) {
		return
	}
	u := c.shadows[shadow{e.Method, e.Route}]
	if u == nil {
		if len(c.shadows) == maxShadows {
			c.others++
			return
		}
		u = &usage{}
		c.shadows[shadow{strings.Clone(e.Method), strings.Clone(e.Route)}] = u
	}
	u.add(e)
}

func success(e *event.Event) bool { return e.Status >= 200 && e.Status <= 299 }

func (u *usage) add(e *event.Event) {
	if u.requests++; u.requests == 1 || e.Time < u.first {
		u.first = e.Time
	}
	u.last = max(u.last, e.Time)
	if success(e) {
		u.successes++
	}
	u.addCaller(caller(e))
}

// caller is who sent the request: the client, else the user, else the token, else the address.
func caller(e *event.Event) uint64 {
	for i, id := range [...]string{e.ClientID, e.Subject, e.TokenID, e.IPText} {
		if id != "" {
			return xxh3.HashStringSeed(id, uint64(i))
		}
	}
	return 0
}

func (u *usage) addCaller(hash uint64) {
	if u.many != nil {
		u.many.InsertHash(hash)
		return
	}
	if u.callers == nil {
		u.callers = map[uint64]struct{}{}
	}
	u.callers[hash] = struct{}{}
	if len(u.callers) <= maxCallers {
		return
	}
	u.many = hyperloglog.New14()
	for known := range u.callers {
		u.many.InsertHash(known)
	}
	u.callers = nil
}

func (u *usage) distinct() (n uint64, exact bool) {
	if u.many != nil {
		return u.many.Estimate(), false
	}
	return uint64(len(u.callers)), true
}

// Report is what a census says. The JSON names are stable. Its lists are sorted: by requests, the most first, then by API, route
// and method.
type Report struct {
	Events    uint64     `json:"events"`
	From      string     `json:"from,omitempty"` // RFC 3339; of the events
	To        string     `json:"to,omitempty"`
	Named     int        `json:"named"`                     // endpoints in the specifications
	Shadow    []Endpoint `json:"shadow"`                    // that no specification names and that answered 2xx
	Others    uint64     `json:"shadow_requests_to_others"` // that answered 2xx at more such endpoints than are listed
	Zombie    []Endpoint `json:"zombie"`                    // that were called past their date; only those requests count
	Ownerless []Endpoint `json:"ownerless"`                 // that nobody owns, called or not
	Unused    []Endpoint `json:"unused"`                    // that are specified and that nobody called
}

// Endpoint is one line of a report.
type Endpoint struct {
	Method         string `json:"method"`
	Route          string `json:"route"`
	API            string `json:"api,omitempty"`
	Owner          string `json:"owner,omitempty"`
	Classification string `json:"classification,omitempty"`
	Deprecated     bool   `json:"deprecated,omitempty"`
	Sunset         string `json:"sunset,omitempty"` // RFC 3339
	Requests       uint64 `json:"requests"`
	Successes      uint64 `json:"successes"` // of them, that answered 2xx
	Callers        uint64 `json:"callers"`   // different clients; where there is none, users, tokens or addresses
	CallersExact   bool   `json:"callers_exact"`
	FirstSeen      string `json:"first_seen,omitempty"`
	LastSeen       string `json:"last_seen,omitempty"`
	File           string `json:"file,omitempty"` // of the specification
	Line           int    `json:"line,omitempty"`
}

// Report says what was counted so far.
func (c *Census) Report() Report {
	r := Report{
		Events: c.events, Named: len(c.inventory.operations), Others: c.others,
		Shadow: []Endpoint{}, Zombie: []Endpoint{}, Ownerless: []Endpoint{}, Unused: []Endpoint{},
	}
	if c.events > 0 {
		r.From, r.To = c.from.String(), c.to.String()
	}
	for key, u := range c.shadows {
		r.Shadow = append(r.Shadow, u.endpoint(Endpoint{Method: key.method, Route: key.route}))
	}
	for i := range c.inventory.operations {
		o := &c.inventory.operations[i]
		line := o.endpoint()
		if c.retired[i].requests > 0 {
			r.Zombie = append(r.Zombie, c.retired[i].endpoint(line))
		}
		if o.Owner == "" {
			r.Ownerless = append(r.Ownerless, c.used[i].endpoint(line))
		}
		if c.used[i].requests == 0 {
			r.Unused = append(r.Unused, c.used[i].endpoint(line))
		}
	}
	for _, list := range [][]Endpoint{r.Shadow, r.Zombie, r.Ownerless, r.Unused} {
		slices.SortFunc(list, func(a, b Endpoint) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.API, b.API), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method))
		})
	}
	return r
}

func (o *Operation) endpoint() Endpoint {
	e := Endpoint{
		Method: o.Method, Route: o.Route, API: o.API, Owner: o.Owner, Classification: o.Classification, Deprecated: o.Deprecated,
		File: o.File, Line: o.Line,
	}
	if o.Sunset != 0 {
		e.Sunset = o.Sunset.String()
	}
	return e
}

// endpoint adds what was seen.
func (u *usage) endpoint(e Endpoint) Endpoint {
	e.Requests, e.Successes = u.requests, u.successes
	e.Callers, e.CallersExact = u.distinct()
	if u.requests > 0 {
		e.FirstSeen, e.LastSeen = u.first.String(), u.last.String()
	}
	return e
}
