package event

import (
	"strconv"
	"strings"
)

// Field names a value of an event that rules can group by, filter on or count. The zero Field is invalid.
type Field struct {
	kind FieldKind
	name string // attribute, query or path parameter name
}

// FieldKind enumerates the fixed fields; Attribute, Query and PathParam carry a name besides.
type FieldKind uint8

// The kinds of field.
const (
	NoField FieldKind = iota
	Environment
	API
	ClientID
	Subject
	TokenID
	SessionID
	SourceIP
	Method
	Path
	Route
	Status
	DurationMS
	RequestBytes
	ResponseBytes
	UserAgent
	Scopes
	RequestID
	Country
	Continent
	City
	ASN
	Anonymous
	AttributeField // attributes.<name>
	QueryField     // query.<name>
	PathParam      // path.<name>
	Owner
	Classification
)

var fieldNames = map[FieldKind]string{
	Environment: "environment", API: "api", ClientID: "client_id", Subject: "subject", TokenID: "token_id",
	SessionID: "session_id", SourceIP: "source_ip", Method: "method", Path: "path", Route: "route", Status: "status",
	DurationMS: "duration_ms", RequestBytes: "request_bytes", ResponseBytes: "response_bytes", UserAgent: "user_agent",
	Scopes: "scopes", RequestID: "request_id", Country: "country", Continent: "continent", City: "city", ASN: "asn",
	Anonymous: "anonymous",
	Owner:     "owner", Classification: "classification",
}

// FieldOf makes the field of a fixed kind. It panics for the three named kinds.
func FieldOf(k FieldKind) Field {
	if _, ok := fieldNames[k]; !ok {
		panic("event: field kind " + strconv.Itoa(int(k)) + " needs a name or does not exist")
	}
	return Field{kind: k}
}

// ParseField returns the field that a rule file calls s.
func ParseField(s string) (Field, bool) {
	for k, name := range fieldNames {
		if name == s {
			return Field{kind: k}, true
		}
	}
	for prefix, k := range map[string]FieldKind{"attributes.": AttributeField, "query.": QueryField, "path.": PathParam} {
		if name, ok := strings.CutPrefix(s, prefix); ok && name != "" {
			return Field{kind: k, name: name}, true
		}
	}
	return Field{}, false
}

// FieldNames lists the fixed names in the order of their kinds, then the patterns of the named ones.
func FieldNames() []string {
	names := make([]string, 0, len(fieldNames)+3)
	for k := Environment; k <= Anonymous; k++ {
		names = append(names, fieldNames[k])
	}
	names = append(names, fieldNames[Owner], fieldNames[Classification])
	return append(names, "attributes.<name>", "query.<name>", "path.<name>")
}

// Kind returns which field it is.
func (f Field) Kind() FieldKind { return f.kind }

// Name returns the attribute, query or path parameter name, or "" for a fixed field.
func (f Field) Name() string { return f.name }

// String returns the field as a rule file writes it.
func (f Field) String() string {
	switch f.kind {
	case AttributeField:
		return "attributes." + f.name
	case QueryField:
		return "query." + f.name
	case PathParam:
		return "path." + f.name
	}
	return fieldNames[f.kind]
}

// Text returns the field's value as text, "" when the event does not have it. It allocates only for numbers (status, asn,
// durations, sizes) and for joined lists (scopes, anonymous).
func (f Field) Text(e *Event) string {
	switch f.kind {
	case Environment:
		return e.Environment
	case API:
		return e.API
	case ClientID:
		return e.ClientID
	case Subject:
		return e.Subject
	case TokenID:
		return e.TokenID
	case SessionID:
		return e.SessionID
	case SourceIP:
		return e.IPText
	case Method:
		return e.Method
	case Path:
		return e.Path
	case Route:
		return e.Route
	case UserAgent:
		return e.UserAgent
	case Scopes:
		return strings.Join(e.Scopes, " ")
	case RequestID:
		return e.RequestID
	case Status:
		return strconv.Itoa(int(e.Status))
	case DurationMS:
		return strconv.FormatFloat(e.DurationMS, 'f', -1, 64)
	case RequestBytes:
		return strconv.FormatInt(e.RequestSize, 10)
	case ResponseBytes:
		return strconv.FormatInt(e.ResponseSize, 10)
	case AttributeField:
		return e.Attribute(f.name)
	case QueryField:
		return queryParam(e, f.name)
	case PathParam:
		return PathParameter(e.Route, e.Path, f.name)
	case Owner, Classification:
		return f.inventoryText(e)
	}
	return f.geoText(e)
}

func (f Field) inventoryText(e *Event) string {
	switch {
	case e.Operation == nil:
		return ""
	case f.kind == Owner:
		return e.Operation.Owner
	}
	return e.Operation.Classification
}

func (f Field) geoText(e *Event) string {
	if e.Geo == nil {
		return ""
	}
	switch f.kind {
	case Country:
		return e.Geo.Country
	case Continent:
		return e.Geo.Continent
	case City:
		return e.Geo.City
	case ASN:
		if e.Geo.ASN != 0 {
			return strconv.FormatUint(uint64(e.Geo.ASN), 10)
		}
	case Anonymous:
		return e.Geo.Anonymous.String()
	}
	return ""
}

// Number returns the value of a numeric field.
func (f Field) Number(e *Event) (v float64, ok bool) {
	switch f.kind {
	case Status:
		return float64(e.Status), true
	case DurationMS:
		return e.DurationMS, true
	case RequestBytes:
		return float64(e.RequestSize), true
	case ResponseBytes:
		return float64(e.ResponseSize), true
	case ASN:
		if e.Geo != nil && e.Geo.ASN != 0 {
			return float64(e.Geo.ASN), true
		}
	}
	return 0, false
}

// NeedsGeo reports whether the field comes from a GeoIP database.
func (f Field) NeedsGeo() bool { return f.kind >= Country && f.kind <= Anonymous }

func queryParam(e *Event, name string) string {
	for i := range e.Attributes {
		if rest, ok := strings.CutPrefix(e.Attributes[i].Key, "query."); ok && rest == name {
			return e.Attributes[i].Value
		}
	}
	return ""
}

// PathParameter returns the segment of path that stands where the template route has {name}. A template without that
// name, asked for "id", gives its last parameter: gateways name their parameters as they like. A path that is longer than the
// template has a prefix that the gateway has stripped.
func PathParameter(route, path, name string) string {
	last := ""
	if !strings.Contains(route, "**") {
		for extra := segments(path) - segments(route); extra > 0; extra-- {
			_, path = cutSegment(path)
		}
	}
	for route != "" && path != "" {
		var pattern, segment string
		pattern, route = cutSegment(route)
		segment, path = cutSegment(path)
		if len(pattern) < 2 || pattern[0] != '{' || pattern[len(pattern)-1] != '}' {
			continue
		}
		if pattern[1:len(pattern)-1] == name {
			return segment
		}
		last = segment
	}
	if name == "id" {
		return last
	}
	return ""
}

// Segment returns the nth segment of path, counted from 1, or "". Empty segments do not count: "//a" has one.
func Segment(path string, n int) string {
	for path != "" {
		var segment string
		segment, path = cutSegment(path)
		if n--; n == 0 {
			return segment
		}
	}
	return ""
}

// segments counts the segments of path that are not empty.
func segments(path string) (n int) {
	for path != "" {
		var segment string
		if segment, path = cutSegment(path); segment != "" {
			n++
		}
	}
	return n
}

// cutSegment splits "/a/b" into "a" and "/b"; slashes in front are skipped, however many.
func cutSegment(s string) (segment, rest string) {
	for s != "" && s[0] == '/' {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// String lists the set's members, separated by a space.
func (a Anonymity) String() string {
	if a == 0 {
		return ""
	}
	var names []string
	for i, name := range []string{"vpn", "hosting", "public_proxy", "residential_proxy", "tor", "other"} {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
