package accesslog

// tyk is what Tyk Pump sends to Kafka, and the access log that Tyk Gateway writes with access_logs enabled. The key
// is a secret unless hash_keys is on; it is replaced as all tokens are.
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
		"source_ip":     path("ip_address", "client_ip", "remote_addr"),
		"route":         path("path"),
		"duration_ms":   path("request_time_ms", "latency_total"),
		"request_bytes": path("content_length"),
		"user_agent":    path("user_agent"),
		"request_id":    path("trace_id"),
	},
}
