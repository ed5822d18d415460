package rules

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Place is where the requests of a test come from, as GeoIP databases would say. In a file it is the name of a known city, or a
// mapping:
//
//	city       a known city gives the rest; any other name is a name alone
//	country    ISO 3166-1 alpha-2; the continent follows from it
//	continent  AF AN AS EU NA OC SA
//	lat, lon   degrees, both or none
//	radius_km  the accuracy of lat and lon, default 20
//	asn        number of the network
//	anonymous  true, or vpn, hosting, public_proxy, residential_proxy, tor, other, or a list of these
//
// Each place has an address of its own, unless source_ip says otherwise.
type Place struct {
	Text string // as the file says it, for messages
	Geo  event.Geo
}

var placeKeys = []string{"city", "country", "continent", "lat", "lon", "radius_km", "asn", "anonymous"}

const cityRadius = 20 // km: what databases say of large cities

// city is a well-known place.
type city struct {
	name, country, continent string
	latitude, longitude      float64
}

// cities are those that tests can name without more.
var cities = []city{
	{"London", "GB", "EU", 51.51, -0.13}, {"Paris", "FR", "EU", 48.86, 2.35}, {"Berlin", "DE", "EU", 52.52, 13.41},
	{"Frankfurt", "DE", "EU", 50.11, 8.68}, {"Madrid", "ES", "EU", 40.42, -3.70}, {"Rome", "IT", "EU", 41.90, 12.50},
	{"Warsaw", "PL", "EU", 52.23, 21.01}, {"Stockholm", "SE", "EU", 59.33, 18.07}, {"Dublin", "IE", "EU", 53.35, -6.26},
	{"Moscow", "RU", "EU", 55.76, 37.62}, {"Istanbul", "TR", "AS", 41.01, 28.98}, {"Dubai", "AE", "AS", 25.20, 55.27},
	{"Mumbai", "IN", "AS", 19.08, 72.88}, {"Singapore", "SG", "AS", 1.35, 103.82}, {"Beijing", "CN", "AS", 39.90, 116.41},
	{"Tokyo", "JP", "AS", 35.68, 139.69}, {"Sydney", "AU", "OC", -33.87, 151.21}, {"Lagos", "NG", "AF", 6.52, 3.38},
	{"Cairo", "EG", "AF", 30.04, 31.24}, {"Johannesburg", "ZA", "AF", -26.20, 28.05}, {"New York", "US", "NA", 40.71, -74.01},
	{"San Francisco", "US", "NA", 37.77, -122.42}, {"Toronto", "CA", "NA", 43.65, -79.38}, {"Mexico City", "MX", "NA", 19.43, -99.13},
	{"São Paulo", "BR", "SA", -23.55, -46.63}, {"Buenos Aires", "AR", "SA", -34.60, -58.38},
}

func cityNames() []string {
	names := make([]string, len(cities))
	for i := range cities {
		names[i] = cities[i].name
	}
	return names
}

// geo is what databases would say of an address in the city.
func (c *city) geo() event.Geo {
	return event.Geo{Country: c.country, Continent: c.continent, City: c.name, Latitude: c.latitude, Longitude: c.longitude, RadiusKM: cityRadius, HasPlace: true}
}

func findCity(name string) (event.Geo, bool) {
	i := slices.IndexFunc(cities, func(c city) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return event.Geo{}, false
	}
	return cities[i].geo(), true
}

func (r testReader) place(n ast.Node) *Place {
	if _, ok := mapping(n); ok {
		return r.describedPlace(n)
	}
	name := r.text(n, "from", "")
	geo, ok := findCity(name)
	if !ok && name != "" {
		r.errorf(n, "from: unknown city %q%s", shorten(name), nearestOr(name, cityNames()))
	}
	return &Place{name, geo}
}

func (r testReader) describedPlace(n ast.Node) *Place {
	o := r.object(n, "from", placeKeys...)
	name := r.text(o.get("city"), "city", "")
	geo, known := findCity(name)
	if !known {
		geo.City = name
	}
	if country := strings.ToUpper(r.text(o.get("country"), "country", "")); country != "" {
		r.country(o.get("country"), country)
		if country != geo.Country {
			geo.Continent = ""
		}
		geo.Country = country
	}
	if o.get("continent") != nil {
		geo.Continent = r.choice(o.get("continent"), "continent", "", continents...)
	}
	if n := r.integer(o.get("asn"), "asn", 1, 1<<32-1, 0); n > 0 {
		geo.ASN = uint32(n)
	}
	if o.get("anonymous") != nil {
		geo.Anonymous = r.discountedKinds(o.get("anonymous"))
	}
	r.coordinates(o, &geo)
	return &Place{placeText(geo), geo}
}

func (r testReader) country(n ast.Node, code string) {
	if len(code) != 2 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || code == "UK" {
		r.errorf(n, "country must be an ISO 3166-1 code of two letters such as GB, not %s", kindOf(n))
	}
}

func (r testReader) coordinates(o object, geo *event.Geo) {
	if o.has("lat") != o.has("lon") {
		r.errorf(o.node, "from needs both lat and lon, or neither")
	}
	if o.has("lat") {
		geo.HasPlace, geo.RadiusKM = true, cityRadius
		geo.Latitude = r.number(o.get("lat"), "lat", -90, 90, 0)
		geo.Longitude = r.number(o.get("lon"), "lon", -180, 180, 0)
	}
	if o.has("radius_km") {
		if !geo.HasPlace {
			r.errorf(o.keys["radius_km"], "radius_km belongs to lat and lon, or to a known city")
		}
		geo.RadiusKM = r.number(o.get("radius_km"), "radius_km", 0, 20_000, cityRadius)
	}
}

func placeText(geo event.Geo) string {
	words := []string{geo.City, geo.Country, geo.Continent}
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), ", ")
}
