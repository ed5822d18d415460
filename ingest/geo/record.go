package geo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/gatewatch/gatewatch/detector/event"
)

// form is a shape of records.
type form uint8

const (
	nestedPlace    form = 1 << iota // MaxMind's City, Enterprise and Country databases
	flatPlace                       // country_code, city, latitude, longitude at the top
	network                         // autonomous_system_number, or asn
	anonymousFlags                  // is_anonymous and the like at the top
)

// formOf tells the form from the names of a record's members. One record can have several forms.
func formOf(record map[string]any) form {
	var f form
	for name, v := range record {
		_, isMap := v.(map[string]any)
		switch {
		case isMap && (name == "country" || name == "city" || name == "location" || name == "registered_country" || name == "continent"):
			f |= nestedPlace
		case !isMap && (name == "country_code" || name == "latitude" || name == "city" || name == "country"):
			f |= flatPlace
		case name == "autonomous_system_number" || name == "asn":
			f |= network
		case strings.HasPrefix(name, "is_anonymous") || name == "is_hosting_provider" || name == "is_tor_exit_node" ||
			name == "is_public_proxy" || name == "is_residential_proxy":
			f |= anonymousFlags
		}
	}
	return f
}

// assumedRadiusKM is the accuracy of a city in a database that gives none: large cities are that wide, and providers
// serve the surroundings from them.
const assumedRadiusKM = 50

// add fills into g what a record says. What an earlier database said of the place stays.
func (f form) add(g *event.Geo, result maxminddb.Result) error {
	if f&nestedPlace != 0 {
		var r geoip2.City
		if err := result.Decode(&r); err != nil {
			return fmt.Errorf("decode city record: %w", err)
		}
		addNested(g, &r)
	}
	if f&(flatPlace|network|anonymousFlags) != 0 {
		var r map[string]any
		if err := result.Decode(&r); err != nil {
			return fmt.Errorf("decode record: %w", err)
		}
		addFlat(g, r, f)
	}
	return nil
}

func addNested(g *event.Geo, r *geoip2.City) {
	setCountry(g, r.Country.ISOCode, r.Continent.Code)
	setPlace(g, r.City.Names.English, r.Location.Latitude, r.Location.Longitude, float64(r.Location.AccuracyRadius))
}

func addFlat(g *event.Geo, r map[string]any, f form) {
	if f&flatPlace != 0 {
		country := text(r, "country_code")
		if country == "" {
			country = text(r, "country")
		}
		setCountry(g, country, firstText(r, "continent_code", "continent"))
		setPlace(g, text(r, "city"), float(r, "latitude"), float(r, "longitude"), orZero(float(r, "accuracy_radius")))
	}
	if f&network != 0 && g.ASN == 0 {
		g.ASN = asn(r)
		g.ASOrg = firstText(r, "autonomous_system_organization", "as_organization", "as_org", "as_name", "name")
	}
	if f&anonymousFlags != 0 {
		g.Anonymous |= anonymity(r)
	}
}

func setCountry(g *event.Geo, country, continent string) {
	if g.Country == "" && len(country) == 2 {
		g.Country = strings.ToUpper(country)
	}
	if g.Continent == "" && len(continent) == 2 {
		g.Continent = strings.ToUpper(continent)
	}
}

// setPlace sets a place when the database says how exact it is, or names a city. A row without both is the middle of a
// country: no place at all.
func setPlace(g *event.Geo, city string, latitude, longitude *float64, radius float64) {
	if g.HasPlace || g.City != "" {
		return
	}
	g.City = city
	if !within(latitude, 90) || !within(longitude, 180) {
		return
	}
	if radius <= 0 && city != "" {
		radius = assumedRadiusKM
	}
	if radius <= 0 {
		return
	}
	g.HasPlace, g.Latitude, g.Longitude, g.RadiusKM = true, *latitude, *longitude, radius
}

func within(degrees *float64, limit float64) bool {
	return degrees != nil && *degrees >= -limit && *degrees <= limit
}

func anonymity(r map[string]any) event.Anonymity {
	var a event.Anonymity
	for _, flag := range [...]struct {
		name string
		bit  event.Anonymity
	}{
		{"is_anonymous_vpn", event.AnonymousVPN},
		{"is_hosting_provider", event.AnonymousHosting},
		{"is_public_proxy", event.AnonymousPublicProxy},
		{"is_residential_proxy", event.AnonymousResidentialProxy},
		{"is_tor_exit_node", event.AnonymousTor},
	} {
		if truth(r[flag.name]) {
			a |= flag.bit
		}
	}
	if a == 0 && truth(r["is_anonymous"]) {
		a = event.AnonymousOther
	}
	return a
}

func truth(v any) bool { return v == true || v == "true" || v == "1" || v == uint64(1) }

// asn reads a number, "15169" or "AS15169".
func asn(r map[string]any) uint32 {
	for _, name := range [...]string{"autonomous_system_number", "asn"} {
		digits := strings.TrimPrefix(strings.ToUpper(text(r, name)), "AS")
		if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
			return uint32(n)
		}
	}
	return 0
}

func text(r map[string]any, name string) string {
	switch v := r[name].(type) {
	case nil, map[string]any, []any, []byte:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func firstText(r map[string]any, names ...string) string {
	for _, name := range names {
		if s := text(r, name); s != "" {
			return s
		}
	}
	return ""
}

// float reads a number or the text of one; nil is absent.
func float(r map[string]any, name string) *float64 {
	f, err := strconv.ParseFloat(text(r, name), 64)
	if err != nil || f != f {
		return nil
	}
	return &f
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}
