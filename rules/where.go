package rules

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// filter reads the value of where: a mapping of fields to what they must be. All must hold.
//
//	where:
//	  route: ["/users/{id}/**", "/accounts/{id}"]   # one of several; see the pattern language at [pattern]
//	  method: [GET, HEAD]
//	  status: 2xx                                   # 200, [200, 201], 4xx, "400-404", ">= 500"
//	  client_id: {not: ["monitor-*", health]}       # * is any run of characters
//	  environment: {is: "prod*", not: prod-test}    # both
//	  response_bytes: ">= 1MB"                      # numbers, ranges, kB MB GB KiB MiB GiB; durations for duration_ms
//	  source_ip: [10.0.0.0/8, 192.0.2.7]
//	  scopes: admin                                 # one of the token's scopes is
//	  anonymous: [vpn, tor]                         # or true, or false
//	  subject: {exists: true}
//	  any: [{country: DE}, {asn: 64500}]            # one of these blocks
//	  not: {user_agent: "curl*", method: HEAD}      # not both
//
// An absent value is no value: it matches nothing but {exists: false}, and {not: …} holds for it. Only where a GeoIP
// database would have to know, {not: …} does not hold for the unknown.
func (r *reader) filter(n ast.Node) *Filter {
	list := r.conditions(n, "where", true)
	if count := leaves(list); count > maxConditions {
		r.errorf(n, "where has %d conditions, more than %d", count, maxConditions)
	}
	return newFilter(list)
}

// maxConditions bounds what one filter can cost per event.
const maxConditions = 64

func leaves(list []condition) (n int) {
	for _, c := range list {
		switch c := c.(type) {
		case *all:
			n += leaves(c.list)
		case *anyOf:
			n += leaves(c.list)
		case *not:
			n += leaves([]condition{c.inner})
		default:
			n++
		}
	}
	return n
}

// conditions reads a block of matchers. positive is false inside of an odd number of negations: what is lenient outside
// must be strict inside, see [routeIsNot].
func (r *reader) conditions(n ast.Node, what string, positive bool) []condition {
	var list []condition
	for _, e := range r.entries(n, what) {
		if e.value == nil {
			continue
		}
		if c := r.block(e, positive); c != nil {
			list = append(list, c...)
		}
	}
	return list
}

func (r *reader) block(e entry, positive bool) []condition {
	switch e.name {
	case "all":
		var list []condition
		for _, item := range r.items(e.value, "all") {
			list = append(list, r.conditions(item, "a block of all", positive)...)
		}
		return list
	case "any":
		var list []condition
		for _, item := range r.items(e.value, "any") {
			list = append(list, &all{r.conditions(item, "a block of any", positive)})
		}
		return []condition{&anyOf{list}}
	case "not":
		inner := &all{r.conditions(e.value, "not", !positive)}
		return []condition{&not{inner: inner}}
	}
	f, ok := event.ParseField(e.name)
	if !ok {
		known := append(event.FieldNames(), "any", "all", "not")
		r.errorf(e.key, "unknown field %q%s", e.name, nearestOr(e.name, known))
		return nil
	}
	return r.matchers(f, e.value, positive)
}

// matchers reads what one field must be.
func (r *reader) matchers(f event.Field, n ast.Node, positive bool) []condition {
	if _, ok := mapping(n); !ok {
		return r.is(f, n, positive)
	}
	o := r.object(n, "the matcher of "+f.String(), "is", "not", "exists")
	list := r.is(f, o.get("is"), positive)
	if x := o.get("exists"); x != nil {
		list = append(list, &exists{f, r.boolean(x, "exists", true)})
	}
	return append(list, r.isNot(f, o.get("not"), positive)...)
}

func (r *reader) is(f event.Field, n ast.Node, positive bool) []condition {
	if n == nil {
		return nil
	}
	if f.Kind() == event.Route || f.Kind() == event.Path {
		return r.routes(f, n, true, positive)
	}
	if c := r.matcher(f, n); c != nil {
		return []condition{c}
	}
	return nil
}

func (r *reader) isNot(f event.Field, n ast.Node, positive bool) []condition {
	if n == nil {
		return nil
	}
	if f.Kind() == event.Route || f.Kind() == event.Path {
		return r.routes(f, n, false, positive)
	}
	c := r.matcher(f, n)
	switch {
	case c == nil:
		return nil
	case f.NeedsGeo():
		return []condition{&not{c, f}}
	}
	return []condition{&not{inner: c}}
}

// routes reads route patterns. Where the condition helps a rule to match it is lenient, where it keeps one from matching
// it is strict.
func (r *reader) routes(f event.Field, n ast.Node, is, positive bool) []condition {
	var patterns []*pattern
	for _, item := range r.items(n, f.String()) {
		text := r.text(item, f.String(), "")
		if text == "" {
			continue
		}
		p, err := parsePattern(text)
		if err != nil {
			r.errorf(item, "%s", err)
			continue
		}
		patterns = append(patterns, p)
	}
	if len(patterns) == 0 {
		return nil
	}
	pathOnly := f.Kind() == event.Path
	switch {
	case is && positive:
		return []condition{&routeIs{patterns, pathOnly}}
	case is:
		return []condition{&not{inner: &routeIsNot{patterns, pathOnly}}}
	case positive:
		return []condition{&routeIsNot{patterns, pathOnly}}
	}
	return []condition{&not{inner: &routeIs{patterns, pathOnly}}}
}
