package accesslog

// ocsf is API Activity (6003) and HTTP Activity (4002) of the Open Cybersecurity Schema Framework. Where there is no HTTP request, what
// was done becomes the method, and service and operation become the path.
//
// https://schema.ocsf.io/classes/api_activity
var ocsf = definition{
	name:       "ocsf",
	signatures: [][]string{{"class_uid", "http_request.http_method"}, {"class_uid", "api.operation"}},
	mapping: Mapping{
		"time":           in("ms", "time"),
		"method":         {{Path: "http_request.http_method"}, {Path: "activity_id", Values: ocsfActivities}},
		"path":           {{Path: "http_request.url.path"}, {Path: "http_request.url.url_string"}, {Template: "/{api.service.name}/{api.operation}"}, {Template: "/{api.operation}"}},
		"query":          path("http_request.url.query_string"),
		"status":         {{Path: "http_response.code"}, {Path: "api.response.code"}, {Path: "status_id", Values: map[string]string{"1": "200", "2": "400"}}},
		"environment":    path("cloud.account.uid"),
		"api":            path("api.service.name", "http_request.url.hostname"),
		"client_id":      path("actor.app_uid", "actor.app_name", "src_endpoint.svc_name"),
		"subject":        path("actor.user.uid", "actor.user.name"),
		"token_id":       path("api.token.uid", "actor.user.credential_uid"),
		"session_id":     path("actor.session.uid"),
		"source_ip":      path("src_endpoint.ip"),
		"duration_ms":    path("http_response.latency", "duration"),
		"request_bytes":  path("http_request.length", "http_request.body_length"),
		"response_bytes": path("http_response.length", "http_response.body_length"),
		"user_agent":     path("http_request.user_agent"),
		"request_id":     path("http_request.uid", "api.request.uid", "metadata.uid"),
		"authorization":  path("http_request.http_headers.authorization"),
		"forwarded_for":  path("http_request.x_forwarded_for"),
	},
}

// ocsfActivities are what API Activity calls its activities.
var ocsfActivities = map[string]string{"1": "POST", "2": "GET", "3": "PUT", "4": "DELETE", "*": "POST"}
