package accesslog

// envoy is the JSON access log of Envoy Gateway and Istio, which name some members in different ways. An operator may add
// client_id, subject, token_id, session_id, scopes and route, for example from the metadata of jwt_authn.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
var envoy = definition{
	name:       "envoy",
	signatures: [][]string{{"start_time", "response_code", "downstream_remote_address"}},
	mapping: Mapping{
		"time":           path("start_time"),
		"method":         path("method", ":method"),
		"path":           path("x-envoy-origin-path", "path", ":path"),
		"status":         {{Path: "response_code", Values: noAnswer}},
		"api":            {{Path: "route_name", Values: map[string]string{"default": ""}}, {Path: ":authority"}, {Path: "authority"}},
		"client_id":      path("client_id"),
		"subject":        path("subject"),
		"token_id":       path("token_id"),
		"session_id":     path("session_id"),
		"source_ip":      path("downstream_remote_address"),
		"route":          path("route"),
		"duration_ms":    path("duration"),
		"request_bytes":  path("bytes_received"),
		"response_bytes": path("bytes_sent"),
		"user_agent":     path("user-agent", "user_agent"),
		"scopes":         path("scopes"),
		"request_id":     path("x-request-id", "request_id"),
		"authorization":  path("authorization"),
		"forwarded_for":  path("x-forwarded-for", "x_forwarded_for"),
	},
}

// noAnswer stands for the status of a request whose caller went away before there was one. 499 is what NGINX made usual.
var noAnswer = map[string]string{"0": "499", "-1": "499"}
