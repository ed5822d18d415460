package accesslog

// caddy is Caddy's JSON access log. A status of 0 is a handler that set none: the caller got 200.
//
// https://caddyserver.com/docs/caddyfile/directives/log
var caddy = definition{
	name:       "caddy",
	signatures: [][]string{{"request.method", "request.uri", "status", "ts"}},
	mapping: Mapping{
		"time":           in("s", "ts"),
		"method":         path("request.method"),
		"path":           path("request.uri"),
		"status":         {{Path: "status", Values: map[string]string{"0": "200"}}},
		"api":            path("request.host"),
		"client_id":      path("client_id", "request.tls.client_common_name"),
		"subject":        path("user_id"),
		"source_ip":      path("request.client_ip", "request.remote_ip"),
		"duration_ms":    in("s", "duration"),
		"request_bytes":  path("bytes_read"),
		"response_bytes": path("size"),
		"user_agent":     path("request.headers.User-Agent"),
		"request_id":     path("uuid", "request.headers.X-Request-Id"),
		"authorization":  path("request.headers.Authorization"),
		"forwarded_for":  path("request.headers.X-Forwarded-For"),
	},
}
