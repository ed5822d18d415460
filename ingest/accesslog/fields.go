package accesslog

// field is a target of a mapping: a member of the canonical object, or something that several of them come from.
type field uint8

const (
	fieldTime field = iota
	fieldMethod
	fieldPath
	fieldStatus
	fieldEnvironment
	fieldAPI
	fieldClientID
	fieldSubject
	fieldTokenID
	fieldSessionID
	fieldSourceIP
	fieldRoute
	fieldDuration
	fieldRequestBytes
	fieldResponseBytes
	fieldUserAgent
	fieldScopes
	fieldIssuedAt
	fieldExpiresAt
	fieldRequestID
	fieldAttributes
	canonicalCount
)

const (
	fieldQuery         = canonicalCount + iota // query string, where the path does not have it
	fieldRequestLine                           // GET /a?b HTTP/1.1: method, path and query in one
	fieldAuthorization                         // header of RFC 9110: credentials, perhaps a JWT
	fieldForwardedFor                          // addresses that the caller or proxies name
	fieldCount
)

var mappable = [fieldCount]string{
	"time", "method", "path", "status", "environment", "api", "client_id", "subject", "token_id", "session_id",
	"source_ip", "route", "duration_ms", "request_bytes", "response_bytes", "user_agent", "scopes", "token_issued_at",
	"token_expires_at", "request_id", "attributes", "query", "request_line", "authorization", "forwarded_for",
}

// Fields lists the names of the canonical fields.
func Fields() []string { return append([]string(nil), mappable[:canonicalCount]...) }

func fieldOf(name string) field {
	for f, n := range mappable {
		if n == name {
			return field(f)
		}
	}
	return fieldCount
}
