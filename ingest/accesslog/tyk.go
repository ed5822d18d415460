package accesslog

// tyk is what Tyk Pump sends to Kafka, and the access log that Tyk Gateway writes with access_logs enabled. The key
// is a secret unless hash_keys is on; it is replaced as all tokens are. What Tyk calls client_ip, or ip_address, is what
// X-Real-IP or X-Forwarded-For say where there is one: the address that the caller really had is remote_addr, which the pump
// does not have.
//
// https://tyk.io/docs/api-management/tyk-pump/
var tyk = definition{
	name: "tyk",
	signatures: [][]string{
		{"raw_path", "response_code", "ip_address"},
		{"prefix=access-log", "latency_total"},
	},
	mapping: Mapping{
		"time":          path("timestamp", "time"),
		"method":        path("method"),
		"path":          path("raw_path", "path"),
		"status":        path("response_code", "status"),
		"api":           path("api_name", "api_id"),
		"client_id":     path("oauth_id", "alias"),
		"token_id":      path("api_key"),
		"source_ip":     path("ip_address", "remote_addr", "client_ip"),
		"forwarded_for": path("client_ip"),
		"route":         path("path"),
		"duration_ms":   path("request_time_ms", "latency_total"),
		"request_bytes": path("content_length"),
		"user_agent":    path("user_agent"),
		"request_id":    path("trace_id"),
	},
}
