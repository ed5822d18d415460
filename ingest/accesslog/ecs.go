package accesslog

// ecs is the Elastic Common Schema, nested or with dots in its names, as Filebeat and Elastic Agent write it.
//
// https://www.elastic.co/docs/reference/ecs
var ecs = definition{
	name: "ecs",
	signatures: [][]string{
		{"@timestamp", "http.request.method"},
		{"@timestamp", `"http.request.method"`},
	},
	mapping: Mapping{
		"time":           path("@timestamp"),
		"method":         dotted("http.request.method"),
		"path":           dotted("url.path", "url.original", "url.full"),
		"query":          dotted("url.query"),
		"status":         dotted("http.response.status_code"),
		"environment":    dotted("service.environment"),
		"api":            dotted("service.name", "url.domain"),
		"client_id":      dotted("labels.client_id", "client.user.id"),
		"subject":        dotted("user.id", "source.user.id", "user.name", "source.user.name"),
		"token_id":       dotted("labels.token_id"),
		"session_id":     dotted("session.id", "labels.session_id"),
		"source_ip":      dotted("source.ip", "client.ip", "source.address", "client.address"),
		"route":          dotted("http.route", "labels.route"),
		"duration_ms":    nanoseconds(dotted("event.duration")),
		"request_bytes":  dotted("http.request.bytes", "http.request.body.bytes"),
		"response_bytes": dotted("http.response.bytes", "http.response.body.bytes"),
		"user_agent":     dotted("user_agent.original"),
		"request_id":     dotted("http.request.id", "trace.id", "event.id"),
		"forwarded_for":  dotted("network.forwarded_ip"),
	},
}

// dotted makes sources of paths, each also as a single name with dots in it.
func dotted(paths ...string) Sources {
	var sources Sources
	for _, p := range paths {
		sources = append(sources, Source{Path: p}, Source{Path: `"` + p + `"`})
	}
	return sources
}

func nanoseconds(sources Sources) Sources {
	for i := range sources {
		sources[i].Unit = "ns"
	}
	return sources
}
