package accesslog

// traefik is Traefik's JSON access log. What Traefik calls ClientHost is what X-Forwarded-For says where there is one: the
// address that the caller really had is ClientAddr.
//
// https://doc.traefik.io/traefik/observe/logs-and-access-logs/
var traefik = definition{
	name:       "traefik",
	signatures: [][]string{{"RequestMethod", "RequestPath", "DownstreamStatus"}},
	mapping: Mapping{
		"time":           in("ns", "StartUTC", "time"),
		"method":         path("RequestMethod"),
		"path":           path("RequestPath"),
		"status":         {{Path: "DownstreamStatus", Values: noAnswer}},
		"api":            path("RouterName", "ServiceName"),
		"client_id":      path("client_id"),
		"subject":        path("ClientUsername"),
		"source_ip":      path("ClientAddr", "ClientHost"),
		"duration_ms":    in("ns", "Duration"),
		"request_bytes":  path("RequestContentSize"),
		"response_bytes": path("DownstreamContentSize"),
		"user_agent":     path("request_User-Agent"),
		"request_id":     path("request_X-Request-Id", "TraceId"),
		"authorization":  path("request_Authorization"),
		"forwarded_for":  path("ClientHost"),
	},
}
