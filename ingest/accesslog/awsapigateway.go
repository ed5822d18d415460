package accesslog

// awsAPIGateway is the access log of Amazon API Gateway, REST and HTTP APIs, with the names of the console's JSON template and of
// $context. All its values are texts.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
var awsAPIGateway = definition{
	name:       "aws-api-gateway",
	signatures: [][]string{{"httpMethod", "requestTime", "requestId"}, {"httpMethod", "requestTimeEpoch", "requestId"}},
	mapping: Mapping{
		"time":           {{Path: "requestTimeEpoch", Unit: "ms"}, {Path: "requestTime", Unit: "clf"}},
		"method":         path("httpMethod"),
		"path":           path("path", "resourcePath"),
		"request_line":   path("routeKey"),
		"status":         path("status"),
		"environment":    path("stage"),
		"api":            path("apiId", "domainName"),
		"client_id":      path("client_id", "apiKeyId", "identity.apiKeyId", "authorizer.claims.client_id"),
		"subject":        path("subject", "principalId", "authorizer.principalId", "authorizer.claims.sub", "identity.userArn", "userArn", "user", "caller"),
		"token_id":       path("token_id", "authorizer.claims.jti"),
		"session_id":     path("session_id"),
		"source_ip":      path("ip", "sourceIp", "identity.sourceIp"),
		"route":          path("resourcePath", "routeKey"),
		"duration_ms":    path("responseLatency"),
		"request_bytes":  path("requestLength"),
		"response_bytes": path("responseLength"),
		"user_agent":     path("userAgent", "identity.userAgent"),
		"scopes":         path("scopes", "authorizer.claims.scope"),
		"request_id":     path("requestId", "extendedRequestId"),
	},
}
