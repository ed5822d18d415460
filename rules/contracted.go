package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of detect: contract.
//
//	find       the deviations that are looked for. From contracts: operation, country, network, hours, scope, environment,
//	           token_lifetime, which are the default, and no_contract: no contract applies. Of tokens: wildcard_scope,
//	           expired_token, revoked_token, and token_lifetime with lifetime. Within a window, one in a rule:
//	           several_environments, several_clients, several_addresses, several_agents
//	contracts  ids of contracts; default all that the rule files have. A request must keep each one that applies to it
//	lifetime   how long a token may live whatever contracts say, 1s to 366d; with token_lifetime
//	leeway     how long after its expiry or revocation a token may still be used, for clocks that differ and lists that take a
//	           while to spread; default 1m, 0s to 1d
//	limit      several_…: how many are right, 1 to 32, default 1. Otherwise how many deviating requests within the window are no
//	           finding, 0 to 1000, default 0
//	window     default 10m, 1s to 31d; with several_… or limit
//
// Unless where or if name the status, only requests with a status below 400 count: what was refused is no misuse.
var contractedKeys = []string{"find", "contracts", "lifetime", "leeway", "limit", "window"}

// Contracted finds requests that deviate from contracts or from what is ever right, and entities that do.
type Contracted struct {
	Contracts []*Contract // by id
	Lifetime  event.Time  // of a token, milliseconds; 0: any
	Leeway    event.Time  // milliseconds
	// Several is the one deviation within a window that the rule looks for, [SeveralEnvironments] and those that follow; 0 when
	// it looks for those of single requests.
	Several Deviation
	Limit   int

	find  deviationSet
	named []reference // contracts that the rule names; nil: all
}

// reference is a name in a rule file whose meaning is known when all files are read.
type reference struct {
	name         string
	line, column int
}

// Finds lists the deviations that the rule looks for.
func (d *Contracted) Finds() []Deviation {
	var all []Deviation
	for kind := range Deviation(Deviations) {
		if d.find.has(kind) {
			all = append(all, kind)
		}
	}
	return all
}

const (
	maxLimitSeveral = 32
	maxTolerated    = 1000
	defaultLeeway   = time.Minute
)

func (r *reader) contracted(o object, rule *Rule) Detection {
	d := &Contracted{find: r.deviations(o.get("find"))}
	d.Leeway = event.Time(r.duration(o.get("leeway"), "leeway", 0, 24*time.Hour, defaultLeeway).Milliseconds())
	d.Lifetime = event.Time(r.duration(o.get("lifetime"), "lifetime", time.Second, maxLifetime, 0).Milliseconds())
	d.named = r.references(o.get("contracts"))
	r.checkFound(d, o)
	r.within(d, o, rule)
	conditions := rule.Filter.conditions
	if !slices.Contains(rule.Filter.Fields(), event.FieldOf(event.Status)) {
		conditions = append(conditions, notRefused())
	}
	if d.Several == 0 {
		conditions = append(conditions, &deviating{d})
	}
	rule.Filter = newFilter(conditions)
	return d
}

// deviations reads what is looked for.
func (r *reader) deviations(n ast.Node) (set deviationSet) {
	if n == nil {
		return agreedDeviations
	}
	for _, item := range r.items(n, "find") {
		name := r.choice(item, "find", "", deviationNames[:]...)
		kind := Deviation(slices.Index(deviationNames[:], name))
		switch {
		case name == "":
		case kind.WithinWindow() && set != 0 || set>>SeveralEnvironments != 0:
			r.errorf(item, "find names %s beside another: what is found within a window needs a rule of its own", several(set|1<<kind))
			return set
		default:
			set |= 1 << kind
		}
	}
	return set
}

// several names the first deviation within a window of the set.
func several(set deviationSet) Deviation {
	for kind := SeveralEnvironments; kind < deviations; kind++ {
		if set.has(kind) {
			return kind
		}
	}
	return 0
}

// checkFound reports keys that what is looked for has no use for.
func (r *reader) checkFound(d *Contracted, o object) {
	for _, use := range []struct {
		key  string
		what deviationSet
		with string
	}{
		{"contracts", agreedDeviations | 1<<DeviatesUnknown, "deviations from contracts"},
		{"lifetime", 1 << DeviatesLifetime, "token_lifetime"},
		{"leeway", 1<<ExpiredToken | 1<<RevokedToken, "expired_token and revoked_token"},
	} {
		if o.has(use.key) && d.find&use.what == 0 && d.find != 0 {
			r.errorf(o.keys[use.key], "%s belongs to %s, which the rule does not look for", use.key, use.with)
		}
	}
}

// within reads the limit and the window.
func (r *reader) within(d *Contracted, o object, rule *Rule) {
	d.Several = several(d.find)
	if d.Several == 0 {
		d.Limit = r.integer(o.get("limit"), "limit", 0, maxTolerated, 0)
		if d.Limit > 0 {
			rule.Window = r.window(o.get("window"), 10*time.Minute)
		} else if o.has("window") {
			r.errorf(o.keys["window"], "window belongs to several_… or to a limit above 0")
		}
		return
	}
	rule.Window = r.window(o.get("window"), 10*time.Minute)
	d.Limit = r.integer(o.get("limit"), "limit", 1, maxLimitSeveral, 1)
	for _, f := range rule.By {
		if f == d.Counts() {
			r.errorf(o.get("find"), "find is %s, and the rule groups by %s: there would never be several", d.Several, f)
		}
	}
}

// Counts is the field whose different values a rule with Several counts, the zero Field otherwise.
func (d *Contracted) Counts() event.Field {
	switch d.Several {
	case SeveralEnvironments:
		return event.FieldOf(event.Environment)
	case SeveralClients:
		return event.FieldOf(event.ClientID)
	case SeveralAddresses:
		return event.FieldOf(event.SourceIP)
	case SeveralAgents:
		return event.FieldOf(event.UserAgent)
	}
	return event.Field{}
}

func (r *reader) references(n ast.Node) []reference {
	var list []reference
	for _, item := range r.items(n, "contracts") {
		if name := r.text(item, "contracts", ""); name != "" {
			line, column := position(item)
			list = append(list, reference{name, line, column})
		}
	}
	return list
}

// settle gives the rules the contracts that they name, which may stand in other files, and reports those that there are not.
func settle(list []*Rule, contracts []*Contract) (errs Errors) {
	byID := map[string]*Contract{}
	var ids []string
	for _, c := range contracts {
		byID[c.ID] = c
		ids = append(ids, c.ID)
	}
	for _, rule := range list {
		d, ok := rule.Detection.(*Contracted)
		if !ok {
			continue
		}
		errs = append(errs, d.settle(rule, byID, ids)...)
		if rule.Fingerprint != [16]byte{} {
			rule.Fingerprint = fingerprint(rule)
		}
	}
	return errs
}

func (d *Contracted) settle(rule *Rule, byID map[string]*Contract, ids []string) (errs Errors) {
	if d.named == nil && d.find&(agreedDeviations|1<<DeviatesUnknown) != 0 && !d.onlyLifetime() {
		for _, id := range ids {
			d.Contracts = append(d.Contracts, byID[id])
		}
	}
	for _, ref := range d.named {
		c := byID[ref.name]
		switch {
		case c == nil && len(ids) == 0:
			errs = append(errs, Error{rule.File, ref.line, ref.column, rule.ID, fmt.Sprintf("there is no contract %q: no file has any contracts", shorten(ref.name))})
		case c == nil:
			errs = append(errs, Error{rule.File, ref.line, ref.column, rule.ID, fmt.Sprintf("there is no contract %q%s", shorten(ref.name), nearestOr(ref.name, ids))})
		case !slices.Contains(d.Contracts, c):
			d.Contracts = append(d.Contracts, c)
		}
	}
	slices.SortFunc(d.Contracts, func(a, b *Contract) int { return strings.Compare(a.ID, b.ID) })
	return errs
}

// onlyLifetime reports whether the rule looks for nothing of contracts but a lifetime, and has one of its own: such a rule is
// about tokens, and would otherwise change with every contract.
func (d *Contracted) onlyLifetime() bool {
	return d.Lifetime > 0 && d.find&(agreedDeviations|1<<DeviatesUnknown) == 1<<DeviatesLifetime
}

// Kind implements [Detection].
func (*Contracted) Kind() string { return "contract" }

// Reads implements [Detection].
func (d *Contracted) Reads() []event.Field {
	var all []event.Field
	for _, c := range d.Contracts {
		all = append(all, c.fields()...)
	}
	if d.find.has(WildcardScope) {
		all = append(all, event.FieldOf(event.Scopes))
	}
	if d.Several != 0 {
		all = append(all, d.Counts())
	}
	return all
}

func (d *Contracted) appendTo(b []byte) []byte {
	b = appendInt(appendInt(b, int(d.find)), d.Limit)
	b = appendInt(appendInt(b, int(d.Lifetime)), int(d.Leeway))
	b = appendInt(b, len(d.Contracts))
	for _, c := range d.Contracts {
		b = c.appendTo(b)
	}
	return b
}

// explain says how the event deviates, "nothing" if it does not.
func (d *Contracted) explain(e *event.Event) string {
	var room [8]Breach
	var texts []string
	for _, b := range d.Breaches(room[:0], e) {
		text := b.Deviation.String()
		if b.Contract != nil {
			text += " of contract " + b.Contract.ID
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return "nothing"
	}
	return strings.Join(texts, ", ")
}

// text lists what is looked for.
func (d *Contracted) text() string {
	var names []string
	for _, kind := range d.Finds() {
		names = append(names, kind.String())
	}
	return strings.Join(names, ", ")
}

// limitText says what a finding is more than.
func (d *Contracted) limitText() string {
	switch {
	case d.Several != 0:
		return fmt.Sprintf("%d %s", d.Limit, d.Counts())
	case d.Limit > 0:
		return strings.Replace(requestLimit(float64(d.Limit)), " ", " deviating ", 1)
	case d.find == agreedDeviations && len(d.Contracts) > 0:
		return "contracts " + strings.Join(d.contractIDs(), ", ")
	}
	return d.text()
}

func (d *Contracted) contractIDs() (ids []string) {
	for _, c := range d.Contracts {
		ids = append(ids, c.ID)
	}
	return ids
}
