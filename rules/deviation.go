package rules

import (
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Deviation is a way in which the use of an API deviates from what was agreed, or from what is ever right.
type Deviation uint8

// The deviations: from a contract, of tokens whatever contracts say, and those of an entity within a window.
const (
	DeviatesOperation   Deviation = iota // no grant of the contract covers the request
	DeviatesCountry                      // comes from a country that the contract does not name
	DeviatesNetwork                      // comes from a network that the contract does not name
	DeviatesHours                        // comes outside of the contract's hours
	DeviatesScope                        // the token has a scope that the contract does not name
	DeviatesEnvironment                  // in an environment that the contract does not name
	DeviatesLifetime                     // the token lives longer than the contract, or the rule, allows
	DeviatesUnknown                      // no contract applies to the request

	WildcardScope // the token has a scope that stands for many
	ExpiredToken  // the token had expired
	RevokedToken  // a revocation list had named the token

	SeveralEnvironments // the entity was active in several environments
	SeveralClients      // several clients presented the token
	SeveralAddresses    // the token came from several networks of addresses
	SeveralAgents       // programs of several families presented the token

	deviations
)

// Deviations is the number of kinds of deviation.
const Deviations = int(deviations)

var deviationNames = [Deviations]string{
	"operation", "country", "network", "hours", "scope", "environment", "token_lifetime", "no_contract",
	"wildcard_scope", "expired_token", "revoked_token",
	"several_environments", "several_clients", "several_addresses", "several_agents",
}

// String returns the name that rule files use.
func (d Deviation) String() string {
	if int(d) < len(deviationNames) {
		return deviationNames[d]
	}
	return "unknown"
}

// WithinWindow reports whether the deviation is one of several requests together, not of one.
func (d Deviation) WithinWindow() bool { return d >= SeveralEnvironments }

// deviationSet is a set of deviations.
type deviationSet uint16

// agreedDeviations are those from what a contract says.
const agreedDeviations = deviationSet(1<<DeviatesUnknown - 1)

func (s deviationSet) has(d Deviation) bool { return s&(1<<d) != 0 }

// Breach is one deviation of one request.
type Breach struct {
	Deviation Deviation
	Contract  *Contract // nil: of none
}

// Breaches appends in which ways the event deviates, as far as the rule looks for it, until the capacity of list is reached.
// It does not allocate. Of what concerns several requests together it says nothing.
func (d *Contracted) Breaches(list []Breach, e *event.Event) []Breach {
	for _, kind := range [...]Deviation{RevokedToken, ExpiredToken, WildcardScope} {
		if d.find.has(kind) && d.misused(kind, e) {
			list = appendBreach(list, Breach{Deviation: kind})
		}
	}
	if d.find.has(DeviatesLifetime) && d.Lifetime > 0 && lifetime(e) > d.Lifetime {
		list = appendBreach(list, Breach{Deviation: DeviatesLifetime})
	}
	if d.find&(agreedDeviations|1<<DeviatesUnknown) == 0 {
		return list
	}
	return d.contractBreaches(list, e)
}

// appendBreach leaves out what there is no room for.
func appendBreach(list []Breach, b Breach) []Breach {
	if len(list) == cap(list) {
		return list
	}
	return append(list, b)
}

func (d *Contracted) contractBreaches(list []Breach, e *event.Event) []Breach {
	covered := false
	for _, c := range d.Contracts {
		if !c.AppliesTo(e) {
			continue
		}
		covered = true
		for kind := DeviatesOperation; kind <= DeviatesLifetime; kind++ {
			if d.find.has(kind) && c.breached(kind, e) {
				list = appendBreach(list, Breach{kind, c})
			}
		}
	}
	if !covered && len(d.Contracts) > 0 && d.find.has(DeviatesUnknown) {
		list = appendBreach(list, Breach{Deviation: DeviatesUnknown})
	}
	return list
}

// misused reports what is wrong whatever contracts say.
func (d *Contracted) misused(kind Deviation, e *event.Event) bool {
	switch kind {
	case WildcardScope:
		return wildcard(e.Scopes) != ""
	case ExpiredToken:
		return e.TokenExpiresAt != 0 && e.Time > e.TokenExpiresAt+d.Leeway
	case RevokedToken:
		return e.TokenRevokedAt != 0 && e.Time > e.TokenRevokedAt+d.Leeway
	}
	return false
}

// wildcard returns the first scope that stands for many: it has a star in it, or is the word all; "" if there is none.
func wildcard(scopes []string) string {
	for _, s := range scopes {
		if strings.IndexByte(s, '*') >= 0 || len(s) == len("all") && strings.EqualFold(s, "all") {
			return s
		}
	}
	return ""
}

// lifetime is how long the event's token lives, 0 if that is not known.
func lifetime(e *event.Event) event.Time {
	if e.TokenIssuedAt == 0 || e.TokenExpiresAt == 0 {
		return 0
	}
	return e.TokenExpiresAt - e.TokenIssuedAt
}

// breached reports whether the event, to which the contract applies, deviates from it. What is not known does not.
func (c *Contract) breached(kind Deviation, e *event.Event) bool {
	switch kind {
	case DeviatesOperation:
		return c.grants != nil && !c.grantsOperation(e)
	case DeviatesCountry:
		return c.countries != nil && e.Geo != nil && e.Geo.Country != "" && !c.countries.contains(e.Geo.Country)
	case DeviatesNetwork:
		return c.elsewhere(e)
	case DeviatesHours:
		return c.hours != nil && !c.hours.Contains(e.Time.Std().In(c.location))
	case DeviatesScope:
		return c.excess(e) != ""
	case DeviatesEnvironment:
		return c.environments != nil && e.Environment != "" && !c.environments.contains(e.Environment)
	case DeviatesLifetime:
		return c.lifetime > 0 && lifetime(e) > c.lifetime
	}
	return false
}

func (c *Contract) grantsOperation(e *event.Event) bool {
	for i := range c.grants {
		if c.grants[i].filter.Match(e) {
			return true
		}
	}
	return false
}

// elsewhere reports whether the event is known to come from none of the contract's networks. With networks of both kinds, one
// that is not known could be one of them.
func (c *Contract) elsewhere(e *event.Event) bool {
	if c.networks == nil && c.asns == nil {
		return false
	}
	if c.networks != nil && (!e.SourceIP.IsValid() || c.networks.Contains(e.SourceIP)) {
		return false
	}
	if c.asns == nil {
		return true
	}
	if e.Geo == nil || e.Geo.ASN == 0 {
		return false
	}
	for _, n := range c.asns {
		if n == e.Geo.ASN {
			return false
		}
	}
	return true
}

// excess returns the first scope that the contract does not name, "" if there is none.
func (c *Contract) excess(e *event.Event) string {
	if c.scopes == nil {
		return ""
	}
	for _, s := range e.Scopes {
		if !c.scopes.contains(s) {
			return s
		}
	}
	return ""
}

// Allowed says what the contract allows where the deviation goes beyond it, in the words of the file.
func (c *Contract) Allowed(kind Deviation) string {
	switch kind {
	case DeviatesOperation:
		return c.grantTexts()
	case DeviatesCountry:
		return c.countries.String()
	case DeviatesNetwork:
		return c.origins()
	case DeviatesHours:
		return c.hours.String() + " (" + c.location.String() + ")"
	case DeviatesScope:
		return c.scopes.String()
	case DeviatesEnvironment:
		return c.environments.String()
	case DeviatesLifetime:
		return formatDuration(time.Duration(c.lifetime) * time.Millisecond)
	}
	return ""
}

// grantTexts lists what is granted. Grants hold lists themselves, so they are told apart by semicolons.
func (c *Contract) grantTexts() string {
	const most = 8
	var texts []string
	for _, g := range c.grants[:min(most, len(c.grants))] {
		texts = append(texts, g.text)
	}
	if len(c.grants) > most {
		texts = append(texts, "…")
	}
	return strings.Join(texts, "; ")
}

func (c *Contract) origins() string {
	var texts []string
	if c.networks != nil {
		texts = append(texts, c.networks.texts...)
	}
	for _, n := range c.asns {
		texts = append(texts, "AS"+formatNumber(float64(n)))
	}
	return orList(texts)
}

// Odd reports whether a path is spelled in a way that servers read differently: with dots, semicolons, backslashes or encoded
// slashes. No grant that names a route covers it.
func Odd(path string) bool { return odd(path) }

// Location is the time zone in which the contract tells its hours.
func (c *Contract) Location() *time.Location { return c.location }

// ExcessScope returns the scope of the event that a deviation is about, "" if there is none.
func (b Breach) ExcessScope(e *event.Event) string {
	if b.Contract != nil {
		return b.Contract.excess(e)
	}
	return wildcard(e.Scopes)
}
