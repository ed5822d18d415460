package accesslog

// azureAPIM is category GatewayLogs of Azure API Management, as Event Hubs carries it (in an envelope called records) and
// with the names of Log Analytics.
//
// https://learn.microsoft.com/azure/api-management/gateway-log-schema-reference
var azureAPIM = definition{
	name: "azure-apim",
	signatures: [][]string{
		{"category=GatewayLogs", "properties.method"},
		{"operationName=Microsoft.ApiManagement/GatewayLogs", "properties.method"},
		{"CallerIpAddress", "ResponseCode", "Method", "Url"},
	},
	mapping: Mapping{
		"time":           path("time", "TimeGenerated"),
		"method":         path("properties.method", "Method"),
		"path":           path("properties.url", "Url"),
		"status":         path("properties.responseCode", "ResponseCode"),
		"environment":    path("location", "Region"),
		"api":            path("properties.apiId", "ApiId"),
		"client_id":      path("properties.apimSubscriptionId", "ApimSubscriptionId"),
		"subject":        path("properties.userId", "UserId"),
		"source_ip":      path("callerIpAddress", "CallerIpAddress"),
		"duration_ms":    path("durationMs", "TotalTime"),
		"request_bytes":  path("properties.requestSize", "RequestSize"),
		"response_bytes": path("properties.responseSize", "ResponseSize"),
		"user_agent":     path("properties.requestHeaders.user-agent", "RequestHeaders.user-agent"),
		"request_id":     path("correlationId", "CorrelationId"),
		"authorization":  path("properties.requestHeaders.authorization", "RequestHeaders.authorization"),
		"forwarded_for":  path("properties.requestHeaders.x-forwarded-for", "RequestHeaders.x-forwarded-for"),

		"attributes.operation": path("properties.operationId", "OperationId"),
	},
}
