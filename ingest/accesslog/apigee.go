package accesslog

// apigee is what a MessageLogging policy of Apigee writes with the names that the README gives, by itself or as the jsonPayload of
// Cloud Logging, and the dimensions of Apigee's analytics. All values of a policy are texts.
//
// https://cloud.google.com/apigee/docs/api-platform/reference/policies/message-logging-policy
var apigee = definition{
	name: "apigee",
	signatures: [][]string{
		{"apiProxy", "verb", "proxyResponseCode"},
		{"jsonPayload.apiProxy", "jsonPayload.verb", "jsonPayload.proxyResponseCode"},
		{"apiproxy", "request_verb", "response_status_code"},
	},
	mapping: Mapping{
		"time":           in("ms", alsoIn("jsonPayload.", "proxyRequestReceived", "client_received_start_timestamp")...),
		"method":         path(alsoIn("jsonPayload.", "verb", "request_verb")...),
		"path":           path(alsoIn("jsonPayload.", "requestUri", "requestUrl", "request_uri", "proxy_pathsuffix")...),
		"status":         path(alsoIn("jsonPayload.", "proxyResponseCode", "response_status_code")...),
		"environment":    path(alsoIn("jsonPayload.", "environment")...),
		"api":            path(alsoIn("jsonPayload.", "apiProxy", "apiproxy")...),
		"client_id":      path(alsoIn("jsonPayload.", "clientId", "client_id", "developerApp", "developer_app")...),
		"subject":        path(alsoIn("jsonPayload.", "subject", "developerId", "developer_email")...),
		"token_id":       path(alsoIn("jsonPayload.", "tokenId")...),
		"source_ip":      path(alsoIn("jsonPayload.", "clientIp", "ax_resolved_client_ip", "client_ip")...),
		"duration_ms":    apigeeDuration(),
		"request_bytes":  path(alsoIn("jsonPayload.", "requestSize", "request_size")...),
		"response_bytes": path(alsoIn("jsonPayload.", "responseSize", "response_size")...),
		"user_agent":     path(alsoIn("jsonPayload.", "userAgent", "useragent")...),
		"scopes":         path(alsoIn("jsonPayload.", "scopes")...),
		"request_id":     path(alsoIn("jsonPayload.", "correlationId", "gateway_flow_id")...),
	},
}

func apigeeDuration() Sources {
	return Sources{
		{Path: "proxyResponseSent", Since: "proxyRequestReceived", Unit: "ms"},
		{Path: "jsonPayload.proxyResponseSent", Since: "jsonPayload.proxyRequestReceived", Unit: "ms"},
		{Path: "total_response_time"},
	}
}

// alsoIn lists paths, then the same paths below prefix.
func alsoIn(prefix string, paths ...string) []string {
	for _, p := range paths[:len(paths):len(paths)] {
		paths = append(paths, prefix+p)
	}
	return paths
}
