package rules

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of an access contract, an item of the top-level list contracts. Only id, applies_to and one thing that is agreed are
// needed; what is left out is not restricted.
//
//	id              words of a-z and 0-9 joined by -
//	title           what people call it
//	applies_to      matchers, as in where: who belongs to the category of consumers
//	may             list of grants, each matchers as in where: a request must be covered by one of them. Routes are compared byte by
//	                byte here, and a path that is spelled oddly (dots, semicolons, encoded slashes) is covered by no route
//	countries       from which countries
//	networks, asns  from which networks; if both are given, one of them must hold
//	hours, days, time_zone  when, as detect: off_hours has them
//	scopes          what scopes tokens may have; * is any run of characters
//	environments    in which environments; * is any run of characters
//	token_lifetime  how long a token may live from when it is issued to when it expires, 1s to 366d
//
// What an event does not tell deviates from nothing: no country, no network, no scopes, no environment, no times of the token.
var contractKeys = []string{
	"id", "title", "applies_to", "may", "countries", "networks", "asns", "hours", "days", "time_zone", "scopes", "environments", "token_lifetime",
}

// Bounds on contracts.
const (
	MaxContracts = 256
	maxGrants    = 256
	maxLifetime  = 366 * 24 * time.Hour
)

// Contract is what is agreed with one category of consumers: who may call what, from where, when, and with which tokens. It is
// immutable and shared between goroutines.
type Contract struct {
	ID    string
	Title string
	File  string // where it was read from
	Line  int

	applies      *Filter
	grants       []grant // nil: any operation
	countries    *values // nil: any; so are those that follow
	networks     *Networks
	asns         []uint32 // sorted
	hours        *Schedule
	location     *time.Location
	scopes       *values
	environments *values
	lifetime     event.Time // 0: any

	column int
}

// grant is one thing that a contract allows.
type grant struct {
	filter *Filter
	text   string // "GET or POST /orders/** of orders-v1"
}

// AppliesTo reports whether the event is one of a consumer of the contract's category.
func (c *Contract) AppliesTo(e *event.Event) bool { return c.applies.Match(e) }

// Consumers says who belongs to the category, in the words of the file.
func (c *Contract) Consumers() string { return c.applies.String() }

// Agreed names what the contract restricts, as deviations from it are named.
func (c *Contract) Agreed() []string {
	var names []string
	for kind, agreed := range [...]bool{
		c.grants != nil, c.countries != nil, c.networks != nil || c.asns != nil, c.hours != nil, c.scopes != nil, c.environments != nil, c.lifetime > 0,
	} {
		if agreed {
			names = append(names, Deviation(kind).String())
		}
	}
	return names
}

// contracts reads the list of contracts.
func (r *reader) contracts(n ast.Node) []*Contract {
	items, ok := n.(*ast.SequenceNode)
	if !ok {
		if n != nil {
			r.errorf(n, "contracts must be a list of contracts, not %s", kindOf(n))
		}
		return nil
	}
	var list []*Contract
	for _, item := range r.items(items, "contracts") {
		list = append(list, r.contract(item))
	}
	return list
}

func (r *reader) contract(n ast.Node) *Contract {
	c := &Contract{File: r.file}
	c.Line, c.column = position(n)
	o := r.object(n, "a contract", contractKeys...)
	if _, ok := mapping(n); !ok {
		return c
	}
	c.ID = r.text(r.need(o, "a contract", "id"), "id", "")
	if c.ID != "" && (!idForm.MatchString(c.ID) || len(c.ID) > maxID) {
		r.errorf(o.get("id"), "id must be words of a-z and 0-9 joined by -, at most %d long, such as partners, not %q", maxID, shorten(c.ID))
	}
	c.Title = strings.TrimSpace(r.text(o.get("title"), "title", c.ID))
	c.applies = r.consumers(r.need(o, "a contract", "applies_to"))
	c.grants = r.grants(o.get("may"))
	r.origin(c, o)
	r.times(c, o)
	c.scopes = r.agreed(o.get("scopes"), "scopes")
	c.environments = r.agreed(o.get("environments"), "environments")
	c.lifetime = event.Time(r.duration(o.get("token_lifetime"), "token_lifetime", time.Second, maxLifetime, 0).Milliseconds())
	if !slices.ContainsFunc(agreedKeys, o.has) {
		r.errorf(n, "the contract agrees on nothing: give it one of %s", strings.Join(agreedKeys, ", "))
	}
	return c
}

// agreedKeys are the keys that restrict something by themselves.
var agreedKeys = []string{"may", "countries", "networks", "asns", "hours", "scopes", "environments", "token_lifetime"}

// consumers reads matchers as where has them.
func (r *reader) consumers(n ast.Node) *Filter { return newFilter(r.bounded(n, "applies_to", true)) }

func (r *reader) bounded(n ast.Node, what string, positive bool) []condition {
	list := r.conditions(n, what, positive)
	if count := leaves(list); count > maxConditions {
		r.errorf(n, "%s has %d conditions, more than %d", what, count, maxConditions)
	}
	return list
}

// grants reads what is allowed. A grant keeps a finding from being made, so it is read as what stands under not: strictly.
func (r *reader) grants(n ast.Node) []grant {
	var list []grant
	for _, item := range r.items(n, "may") {
		conditions := r.bounded(item, "a grant", false)
		list = append(list, grant{newFilter(conditions), grantText(conditions)})
	}
	if len(list) > maxGrants {
		r.errorf(n, "may has %d grants, more than %d", len(list), maxGrants)
	}
	return list
}

// grantText says what is allowed: methods, routes, API, and the rest as it stands.
func grantText(list []condition) string {
	methods, routes, api, rest := "", "", "", []string{}
	for _, c := range list {
		switch c := c.(type) {
		case *methodIs:
			methods = orList(c.methods) + " "
			continue
		case *not:
			if is, ok := c.inner.(*routeIsNot); ok {
				routes = patternTexts(is.patterns)
				continue
			}
		case *textIs:
			if c.field.Kind() == event.API {
				api = " of " + c.values.String()
				continue
			}
		}
		rest = append(rest, c.String())
	}
	if routes == "" {
		routes = "anything"
	}
	if len(rest) > 0 {
		api += " with " + strings.Join(rest, " and ")
	}
	return methods + routes + api
}

// origin reads from where requests may come.
func (r *reader) origin(c *Contract, o object) {
	if n := o.get("countries"); n != nil {
		c.countries = newValues(r.places(event.FieldOf(event.Country), n))
	}
	c.networks = r.networks(o.get("networks"), "networks")
	c.asns = r.asns(o.get("asns"))
}

// times reads when requests may come.
func (r *reader) times(c *Contract, o object) {
	c.location = r.location(o.get("time_zone"))
	for _, key := range []string{"days", "time_zone"} {
		if o.has(key) && !o.has("hours") {
			r.errorf(o.keys[key], "the key %q belongs to hours", key)
		}
	}
	if o.has("hours") {
		c.hours = r.schedule(o.get("hours"), o.get("days"))
	}
}

func (r *reader) agreed(n ast.Node, what string) *values {
	if n == nil {
		return nil
	}
	return newValues(r.texts(n, what))
}

// fields lists what the contract looks at.
func (c *Contract) fields() []event.Field {
	all := c.applies.Fields()
	for _, g := range c.grants {
		all = append(all, g.filter.Fields()...)
	}
	for _, agreed := range []struct {
		on   bool
		kind event.FieldKind
	}{
		{c.countries != nil, event.Country}, {c.networks != nil, event.SourceIP}, {c.asns != nil, event.ASN},
		{c.scopes != nil, event.Scopes}, {c.environments != nil, event.Environment},
	} {
		if agreed.on {
			all = append(all, event.FieldOf(agreed.kind))
		}
	}
	return all
}

// appendTo appends the canonical form. Titles do not enter.
func (c *Contract) appendTo(b []byte) []byte {
	b = c.applies.appendTo(appendString(b, c.ID))
	forms := make([][]byte, len(c.grants))
	for i, g := range c.grants {
		forms[i] = g.filter.appendTo(nil)
	}
	slices.SortFunc(forms, bytes.Compare)
	forms = slices.CompactFunc(forms, bytes.Equal)
	b = appendInt(b, len(forms))
	for _, form := range forms {
		b = appendString(b, string(form))
	}
	b = c.networks.appendTo(appendAgreed(b, c.countries))
	b = appendInt(b, len(c.asns))
	for _, n := range c.asns {
		b = appendInt(b, int(n))
	}
	b = appendString(c.hours.appendTo(b), c.location.String())
	b = appendAgreed(appendAgreed(b, c.scopes), c.environments)
	return appendInt(b, int(c.lifetime))
}

func appendAgreed(b []byte, v *values) []byte {
	if v == nil {
		return appendBool(b, false)
	}
	return v.appendTo(appendBool(b, true))
}

// contractCollisions reports ids that several contracts have, and too many contracts.
func contractCollisions(list []*Contract) (errs Errors) {
	first := map[string]*Contract{}
	for _, c := range list {
		other := first[c.ID]
		switch {
		case c.ID == "":
		case other != nil:
			errs = append(errs, Error{c.File, c.Line, c.column, "", fmt.Sprintf("the id %q is taken by the contract at %s:%d", c.ID, other.File, other.Line)})
		default:
			first[c.ID] = c
		}
	}
	if len(list) > MaxContracts {
		c := list[MaxContracts]
		errs = append(errs, Error{c.File, c.Line, c.column, "", fmt.Sprintf("there are %d contracts, more than %d", len(list), MaxContracts)})
	}
	return errs
}
