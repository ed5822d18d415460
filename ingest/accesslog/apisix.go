package accesslog

// apisix is what the kafka-logger plugin of Apache APISIX sends with meta_format default.
//
// https://apisix.apache.org/docs/apisix/plugins/kafka-logger/
var apisix = definition{
	name:       "apisix",
	signatures: [][]string{{"start_time", "request.method", "client_ip"}},
	mapping: Mapping{
		"time":           in("ms", "start_time"),
		"method":         path("request.method"),
		"path":           path("request.uri", "request.url"),
		"status":         path("response.status"),
		"api":            path("service_id", "route_id"),
		"client_id":      path("consumer.username"),
		"source_ip":      path("client_ip"),
		"duration_ms":    path("latency"),
		"request_bytes":  path("request.size"),
		"response_bytes": path("response.size"),
		"user_agent":     path("request.headers.user-agent"),
		"request_id":     path("request.headers.x-request-id"),
		"authorization":  path("request.headers.authorization"),
		"forwarded_for":  path("request.headers.x-forwarded-for"),
	},
}
