package accesslog

// kong is what Kong's http-log and kafka-log plugins send.
//
// https://docs.konghq.com/hub/kong-inc/kafka-log/
var kong = definition{
	name:       "kong",
	signatures: [][]string{{"started_at", "request.method", "client_ip"}},
	mapping: Mapping{
		"time":           in("ms", "started_at"),
		"method":         path("request.method"),
		"path":           path("request.uri", "request.url"),
		"status":         path("response.status"),
		"environment":    path("workspace_name"),
		"api":            path("service.name", "service.host", "route.name"),
		"client_id":      path("consumer.username", "consumer.custom_id", "consumer.id"),
		"token_id":       path("authenticated_entity.id"),
		"source_ip":      path("client_ip"),
		"duration_ms":    path("latencies.request"),
		"request_bytes":  path("request.size"),
		"response_bytes": path("response.size"),
		"user_agent":     path("request.headers.user-agent"),
		"request_id":     path("request.id"),
		"authorization":  path("request.headers.authorization"),
		"forwarded_for":  path("request.headers.x-forwarded-for"),
	},
}

// kongOther is what Kong logs of connections that are no HTTP.
var kongOther = definition{
	name:       "kong-other",
	signatures: [][]string{{"started_at", "session", "client_ip"}},
	skip:       true,
}
