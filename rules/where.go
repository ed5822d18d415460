package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// matcher reads the value or values of any other field.
func (r *reader) matcher(f event.Field, n ast.Node) condition {
	since := len(*r.errs)
	var c condition
	switch f.Kind() {
	case event.Method:
		c = r.methods(n)
	case event.Status:
		c = r.statuses(n)
	case event.DurationMS:
		c = r.numbers(f, n, parseMilliseconds)
	case event.RequestBytes, event.ResponseBytes:
		c = r.numbers(f, n, parseSize)
	case event.ASN:
		c = r.numbers(f, n, parseASN)
	case event.SourceIP:
		c = r.addresses(n)
	case event.Scopes:
		c = &scopesHave{newValues(r.texts(n, "scopes"))}
	case event.Anonymous:
		c = r.anonymous(n)
	case event.Country, event.Continent:
		c = &textIs{f, newValues(r.places(f, n))}
	default:
		c = &textIs{f, newValues(r.texts(n, f.String()))}
	}
	if r.failed(since) {
		return nil
	}
	return c
}

func (r *reader) methods(n ast.Node) condition {
	var methods []string
	for _, item := range r.items(n, "method") {
		m := strings.ToUpper(r.text(item, "method", ""))
		if strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
			r.errorf(item, "method must be a word such as GET, not %q", shorten(m))
		}
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return &methodIs{slices.Compact(methods)}
}

func (r *reader) statuses(n ast.Node) condition {
	c := &statusIs{}
	var texts []string
	for _, item := range r.items(n, "status") {
		text := r.text(item, "status", "")
		if text == "" {
			continue
		}
		i, err := parseStatus(text)
		if err == nil && (i.low > maxStatus || i.high < 100) {
			err = errQuantity
		}
		if err != nil && !errors.Is(err, errQuantity) {
			r.errorf(item, "status: %s", err)
			continue
		}
		if err != nil {
			r.errorf(item, "status must be such as 200, 2xx, \"400-404\" or \">= 500\" and between 100 and 599, not %q", shorten(text))
			continue
		}
		for s := range maxStatus + 1 {
			if i.contains(float64(s)) {
				c.set[s>>6] |= 1 << (s & 63)
			}
		}
		texts = append(texts, text)
	}
	c.text = orList(texts)
	return c
}

// parseStatus reads one status, a class such as 4xx, a range or a comparison.
func parseStatus(s string) (interval, error) {
	if class := strings.ToLower(s); len(class) == 3 && class[1:] == "xx" && '1' <= class[0] && class[0] <= '5' {
		low := 100 * float64(class[0]-'0')
		return interval{low: low, high: low + 99}, nil
	}
	i, err := parseInterval(s, func(s string) (float64, error) {
		v, err := parseInteger(s)
		if err != nil || (v < 100 || v > maxStatus) {
			err = errQuantity
		}
		return float64(v), err
	})
	return i, err
}

func (r *reader) numbers(f event.Field, n ast.Node, parse func(string) (float64, error)) condition {
	c := &numberIs{field: f}
	var texts []string
	for _, item := range r.items(n, f.String()) {
		text := r.text(item, f.String(), "")
		if text == "" {
			continue
		}
		i, err := parseInterval(text, parse)
		switch {
		case err != nil && !errors.Is(err, errQuantity):
			r.errorf(item, "%s: %s", f, err)
		case err != nil || i.high < 0:
			r.errorf(item, "%s must be %s, not %q", f, numberForm(f), shorten(text))
		default:
			c.intervals = append(c.intervals, i)
			texts = append(texts, text)
		}
	}
	sortIntervals(c.intervals)
	c.text = orList(texts)
	return c
}

func numberForm(f event.Field) string {
	switch f.Kind() {
	case event.DurationMS:
		return `such as 250, "> 2s" or "100-200"`
	case event.ASN:
		return `such as 64500, AS64500 or "64512-65534"`
	}
	return `such as 4096, ">= 1MB" or "1000-2000"`
}

// parseASN reads an autonomous system number with or without the letters AS.
func parseASN(s string) (float64, error) {
	if rest, ok := strings.CutPrefix(strings.ToUpper(s), "AS"); ok {
		s = rest
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v == 0 {
		return 0, errQuantity
	}
	return float64(v), nil
}

func (r *reader) addresses(n ast.Node) condition {
	networks := r.networks(n, "source_ip")
	if networks == nil {
		return nil
	}
	return &addressIn{networks}
}

// networks reads one or several networks or addresses; nil when there are none.
func (r *reader) networks(n ast.Node, what string) *Networks {
	var texts []string
	for _, item := range r.items(n, what) {
		text := r.text(item, what, "")
		if text == "" {
			continue
		}
		if _, err := parsePrefix(text); err != nil {
			r.errorf(item, "%s: %s", what, err)
			continue
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil
	}
	networks, err := ParseNetworks(texts...)
	if err != nil {
		r.errorf(n, "%s: %s", what, err)
	}
	return networks
}

var anonymityNames = []string{"vpn", "hosting", "public_proxy", "residential_proxy", "tor", "other"}

const everyAnonymity = event.AnonymousVPN | event.AnonymousHosting | event.AnonymousPublicProxy |
	event.AnonymousResidentialProxy | event.AnonymousTor | event.AnonymousOther

func parseAnonymity(s string) (event.Anonymity, bool) {
	switch s {
	case "vpn":
		return event.AnonymousVPN, true
	case "hosting":
		return event.AnonymousHosting, true
	case "public_proxy":
		return event.AnonymousPublicProxy, true
	case "residential_proxy":
		return event.AnonymousResidentialProxy, true
	case "tor":
		return event.AnonymousTor, true
	case "other":
		return event.AnonymousOther, true
	}
	return 0, false
}

// anonymous reads kinds of anonymiser, or true for any and false for none.
func (r *reader) anonymous(n ast.Node) condition {
	if _, ok := n.(*ast.BoolNode); ok {
		c := &anonymousIs{everyAnonymity}
		if r.boolean(n, "anonymous", true) {
			return c
		}
		return &not{c, event.FieldOf(event.Anonymous)}
	}
	return &anonymousIs{r.anonymity(n, "anonymous")}
}

func (r *reader) anonymity(n ast.Node, what string) (set event.Anonymity) {
	for _, item := range r.items(n, what) {
		kind, _ := parseAnonymity(r.choice(item, what, "", anonymityNames...))
		set |= kind
	}
	return set
}

var continents = []string{"AF", "AN", "AS", "EU", "NA", "OC", "SA"}

// places reads country and continent codes, in any case.
func (r *reader) places(f event.Field, n ast.Node) []string {
	var codes []string
	for _, item := range r.items(n, f.String()) {
		text := r.text(item, f.String(), "")
		code := strings.ToUpper(text)
		switch {
		case code == "":
			continue
		case f.Kind() == event.Continent && !slices.Contains(continents, code):
			r.errorf(item, "continent must be one of %s, not %q", strings.Join(continents, ", "), shorten(text))
		case code == "UK" || len(code) != 2 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
			r.errorf(item, "country must be a code of two letters (ISO 3166-1) such as DE, not %q%s", shorten(text), countryHint(code))
		default:
			codes = append(codes, code)
		}
	}
	return codes
}

// countryHint knows the mistakes that people make most.
func countryHint(code string) string {
	known := map[string]string{"USA": "US", "UK": "GB", "DEU": "DE", "GBR": "GB", "FRA": "FR", "GERMANY": "DE", "FRANCE": "FR"}
	if right, ok := known[code]; ok {
		return fmt.Sprintf(" (did you mean %q?)", right)
	}
	return ""
}
