package accesslog

import "bytes"

// haproxy is HAProxy's log: as JSON by the log-format that the README gives, and what option httplog writes, with or without
// syslog's header. Of captured request headers the first one counts as the user agent.
//
// https://docs.haproxy.org/3.0/configuration.html#8.2.3
var haproxy = definition{
	name:       "haproxy",
	signatures: [][]string{{"termination_state", "client_ip", "method", "uri"}},
	mapping: Mapping{
		"time":           {{Path: "ts", Unit: "s"}, {Path: "accept_date", Unit: "clf"}},
		"method":         path("method"),
		"path":           path("uri"),
		"request_line":   path("request"),
		"status":         {{Path: "status", Values: noAnswer}},
		"api":            path("backend", "frontend"),
		"client_id":      {{Path: "client_id"}, {Path: "ssl_c_s_dn", Part: "CN"}},
		"subject":        path("subject"),
		"token_id":       path("token_id"),
		"session_id":     path("session_id"),
		"source_ip":      path("client_ip"),
		"route":          path("route"),
		"duration_ms":    path("time_active"),
		"request_bytes":  path("bytes_uploaded"),
		"response_bytes": path("bytes_read"),
		"user_agent":     path("user_agent"),
		"scopes":         path("scopes"),
		"request_id":     path("unique_id"),
		"authorization":  path("authorization"),
		"forwarded_for":  path("x_forwarded_for"),
	},
	columns: []string{"client_ip", "accept_date", "frontend", "backend", "time_active", "status", "bytes_read", "user_agent", "request"},
	cut:     cutHAProxy,
	escape:  "#",
}

// cutHAProxy cuts:
//
//	192.0.2.1:37238 [26/Nov/2026:14:00:00.123] fe be/s1 0/0/0/1/1 200 188 - - ---- 1/1/0/0/0 0/0 {agent} "GET / HTTP/1.1"
func cutHAProxy(line []byte, columns []span) bool {
	c := cutter{line: line}
	client := c.until(" [")
	at := c.until("] ")
	frontend, backend, timers := c.word(), c.word(), c.word()
	status, size := c.word(), c.word()
	c.word()
	c.word()
	state := c.word()
	c.word()
	c.word()
	if c.failed || state.to-state.from != 4 || bytes.Count(line[timers.from:timers.to], []byte{'/'}) != 4 {
		return false
	}
	agent := c.captured()
	if !c.done() && c.line[c.at] == '{' {
		c.captured() // response headers
	}
	request, _ := c.quotedPart() // the end is missing where the whole line was longer than HAProxy or syslog allows
	backend.to = before(line, backend, '/')
	frontend.to = before(line, frontend, '~') // that of TLS
	timers.from += bytes.LastIndexByte(line[timers.from:timers.to], '/') + 1
	copy(columns, []span{client, at, frontend, backend, timers, status, size, agent, request})
	return !c.failed && c.at >= len(line)
}

func before(line []byte, s span, c byte) int {
	if n := bytes.IndexByte(line[s.from:s.to], c); n >= 0 {
		return s.from + n
	}
	return s.to
}

// captured takes {…|…} if there is one, and returns its first part. HAProxy writes braces and bars inside as #HH.
func (c *cutter) captured() span {
	if c.failed || c.at >= len(c.line) || c.line[c.at] != '{' {
		return span{}
	}
	c.at++
	s := c.until("} ")
	s.to = before(c.line, s, '|')
	return s
}
