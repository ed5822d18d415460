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
