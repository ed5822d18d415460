package accesslog

// mulesoft is what MuleSoft Anypoint exports of each call: the analytics event export, whose names have spaces, and the
// events that runtimes hand to their own handlers.
//
// https://docs.mulesoft.com/api-manager/latest/analytics-event-api
var mulesoft = definition{
	name: "mulesoft",
	signatures: [][]string{
		{"API ID", "Verb", "Resource Path"},
		{"receivedTs", "verb", "apiId"},
	},
	mapping: Mapping{
		"time":           path("Timestamp", "receivedTs"),
		"method":         path("Verb", "verb"),
		"path":           path("Resource Path", "path"),
		"status":         path("Status Code", "statusCode"),
		"environment":    path("Environment Name", "Environment ID"),
		"api":            path("API Name", "apiName"),
		"client_id":      path("Application", "clientId", "Application Name", "applicationName"),
		"source_ip":      path("Client IP", "clientIp"),
		"duration_ms":    {{Path: "Response Time"}, {Path: "repliedTs", Since: "receivedTs"}},
		"request_bytes":  path("Request Size", "requestBytes"),
		"response_bytes": path("Response Size", "responseBytes"),
		"user_agent":     {{Path: "userAgent"}, {Template: "{User Agent Name}/{User Agent Version}"}, {Path: "User Agent Name"}},
		"request_id":     path("Message ID", "eventId", "transactionId"),
	},
}

// mulesoftOther is what stands in the same topics and is no request: sums over many calls, and what Flex Gateway writes
// of itself. The access log of Flex Gateway is a text in "message" whose form the operator chooses: it is read as a record.
var mulesoftOther = definition{
	name:       "mulesoft-other",
	signatures: [][]string{{"type=api_summary_metric", "commons"}, {"kind=runtimeLog", "logger"}},
	skip:       true,
}
