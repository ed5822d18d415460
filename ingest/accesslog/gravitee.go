package accesslog

// gravitee is what Gravitee's reporters write of each call: of version 2 and 4 APIs, as plain JSON and as documents for
// Elasticsearch.
//
// https://documentation.gravitee.io/apim/analyze-and-monitor-apis/reporters
var gravitee = definition{
	name: "gravitee",
	signatures: [][]string{
		{"requestId", "httpMethod", "remoteAddress"},
		{"type=v4-metrics", "http-method"},
		{"type=request", "remote-address"},
	},
	mapping: Mapping{
		"time":           in("ms", "timestamp", "@timestamp"),
		"method":         {{Path: "httpMethod", Values: graviteeMethods}, {Path: "http-method", Values: graviteeMethods}, {Path: "method", Values: graviteeMethods}},
		"path":           path("uri"),
		"status":         path("status"),
		"environment":    path("environmentId", "env-id"),
		"api":            path("apiName", "api-name", "apiId", "api-id", "api"),
		"client_id":      path("applicationId", "application-id", "application", "clientIdentifier", "client-identifier"),
		"subject":        path("user"),
		"token_id":       path("securityToken", "security-token"),
		"source_ip":      path("remoteAddress", "remote-address"),
		"route":          path("mappedPath", "mapped-path"),
		"duration_ms":    path("gatewayResponseTimeMs", "gateway-response-time-ms", "proxyResponseTimeMs", "response-time"),
		"request_bytes":  path("requestContentLength", "request-content-length"),
		"response_bytes": path("responseContentLength", "response-content-length"),
		"user_agent":     path("userAgent", "user-agent"),
		"request_id":     path("requestId", "request-id", "_id"),
	},
}

// graviteeMethods are the numbers of methods in documents for Elasticsearch.
var graviteeMethods = map[string]string{
	"1": "CONNECT", "2": "DELETE", "3": "GET", "4": "HEAD", "5": "OPTIONS", "6": "PATCH", "7": "POST", "8": "PUT", "9": "TRACE", "0": "OTHER",
}
