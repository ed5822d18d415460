package rules

import (
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Set is an immutable compiled rule set.
type Set struct {
	Rules     []*Rule     // in file order
	Contracts []*Contract // in file order

	byID map[string]*Rule
}

func newSet(list []*Rule) *Set {
	s := &Set{Rules: list, byID: make(map[string]*Rule, len(list))}
	for _, r := range list {
		s.byID[r.ID] = r
	}
	return s
}

// Len returns the number of rules.
func (s *Set) Len() int { return len(s.Rules) }

// ByID returns the rule with the id, or nil.
func (s *Set) ByID(id string) *Rule { return s.byID[id] }

// Group is a kind of entity and the rules that watch it.
type Group struct {
	By    []event.Field
	Rules []*Rule // in file order
}

// Kind names the kind of entity as alerts do: the fields joined by "+".
func (g *Group) Kind() string { return entityKind(g.By) }

func entityKind(by []event.Field) string {
	names := make([]string, len(by))
	for i, f := range by {
		names[i] = f.String()
	}
	return strings.Join(names, "+")
}

// EntityKind names the kind of entity that the rule watches, as alerts do: the fields joined by "+".
func (r *Rule) EntityKind() string { return entityKind(r.By) }

// Groups returns the rules by the kind of entity they watch, in the order in which the kinds first appear.
func (s *Set) Groups() []Group {
	var groups []Group
	at := map[string]int{}
	for _, r := range s.Rules {
		kind := r.EntityKind()
		i, ok := at[kind]
		if !ok {
			i = len(groups)
			at[kind] = i
			groups = append(groups, Group{By: r.By})
		}
		groups[i].Rules = append(groups[i].Rules, r)
	}
	return groups
}

// Fields lists every field that the rule looks at, each once: of its entity, its filter and its detection.
func (r *Rule) Fields() []event.Field {
	all := slices.Concat(r.By, r.Filter.Fields(), r.Detection.Reads())
	if d, ok := r.Detection.(*Rate); ok {
		all = append(all, d.Share.Fields()...)
	}
	var unique []event.Field
	for _, f := range all {
		if !slices.Contains(unique, f) {
			unique = append(unique, f)
		}
	}
	return unique
}

// GeoNeed is what a rule needs of GeoIP databases.
type GeoNeed struct {
	City      bool // countries, cities or coordinates: a city or country database
	ASN       bool // an ASN database
	Anonymity bool // an anonymous IP database; without it, nothing is taken for an anonymiser
}

// Any reports whether anything is needed without which the rule, or a part of it, is blind.
func (n GeoNeed) Any() bool { return n.City || n.ASN || n.Anonymity }

// NeedsGeo says which GeoIP databases the rule needs. Anonymity that a rule merely ignores is no need: such a rule works
// without.
func (r *Rule) NeedsGeo() GeoNeed {
	var n GeoNeed
	for _, f := range r.Fields() {
		switch f.Kind() {
		case event.Country, event.Continent, event.City:
			n.City = true
		case event.ASN:
			n.ASN = true
		case event.Anonymous:
			n.Anonymity = true
		}
	}
	return n
}

// QueryParams lists the query parameters that any rule looks at, sorted. Decoders keep these and drop the others.
func (s *Set) QueryParams() []string {
	var names []string
	for _, r := range s.Rules {
		for _, f := range r.Fields() {
			if f.Kind() == event.QueryField {
				names = append(names, f.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Change is the difference between two rule sets, by id. Each list is in the order of the set that has the rules.
type Change struct {
	Added     []string
	Removed   []string
	Changed   []string // same id, other fingerprint: the rule starts anew
	Unchanged []string // same fingerprint: the rule keeps what it knows, even if its texts or its mode are new
}

// Diff compares two sets. A nil set has no rules.
func Diff(before, after *Set) Change {
	var c Change
	if before == nil {
		before = newSet(nil)
	}
	if after == nil {
		after = newSet(nil)
	}
	for _, r := range after.Rules {
		switch old := before.ByID(r.ID); {
		case old == nil:
			c.Added = append(c.Added, r.ID)
		case old.Fingerprint != r.Fingerprint:
			c.Changed = append(c.Changed, r.ID)
		default:
			c.Unchanged = append(c.Unchanged, r.ID)
		}
	}
	for _, r := range before.Rules {
		if after.ByID(r.ID) == nil {
			c.Removed = append(c.Removed, r.ID)
		}
	}
	return c
}
