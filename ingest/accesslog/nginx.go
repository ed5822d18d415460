package accesslog

import "bytes"

// nginx is the access log of NGINX: as JSON by a log_format whose names are those of NGINX's variables, and the combined
// format, which Apache writes too, with or without the X-Forwarded-For that some distributions add.
//
// https://nginx.org/en/docs/http/ngx_http_log_module.html
var nginx = definition{
	name:       "nginx",
	signatures: [][]string{{"request_method", "status", "remote_addr"}, {"request", "status", "remote_addr"}},
	mapping: Mapping{
		"time":           {{Path: "msec", Unit: "s"}, {Path: "time_iso8601"}, {Path: "time_local", Unit: "clf"}},
		"method":         path("request_method"),
		"path":           path("request_uri"),
		"request_line":   path("request"),
		"status":         path("status"),
		"api":            path("server_name", "host"),
		"client_id":      {{Path: "client_id"}, {Path: "jwt_claim_client_id"}, {Path: "ssl_client_s_dn", Part: "CN"}},
		"subject":        path("subject", "jwt_claim_sub", "remote_user"),
		"token_id":       path("token_id"),
		"session_id":     path("session_id"),
		"source_ip":      path("remote_addr"),
		"route":          path("route"),
		"duration_ms":    in("s", "request_time"),
		"request_bytes":  path("request_length"),
		"response_bytes": path("bytes_sent", "body_bytes_sent"),
		"user_agent":     path("http_user_agent"),
		"scopes":         path("scopes", "jwt_claim_scope"),
		"request_id":     path("request_id"),
		"authorization":  path("http_authorization"),
		"forwarded_for":  path("http_x_forwarded_for", "x_forwarded_for"),
	},
	columns: []string{"remote_addr", "remote_user", "time_local", "request", "status", "body_bytes_sent", "http_user_agent", "http_x_forwarded_for"},
	cut:     cutCombined,
	escape:  `\x`,
}

// cutCombined cuts: 192.0.2.1 - user [26/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 512 "referer" "agent". Referer and
// agent are missing in the common format.
func cutCombined(line []byte, columns []span) bool {
	c := cutter{line: line}
	address := c.word()
	c.word()
	user, at := c.userAndTime()
	request := c.quoted()
	status, size := c.word(), c.word()
	if c.failed || status.to-status.from != 3 || !isDigit(line[status.from]) {
		return false
	}
	agent, forwarded := span{}, span{}
	if !c.done() {
		c.quoted()
		agent = c.quoted()
	}
	if !c.done() {
		forwarded = c.quoted()
	}
	copy(columns, []span{address, user, at, request, status, size, agent, forwarded})
	return !c.failed
}

// userAndTime takes: user [26/Nov/2026:14:00:00 +0000]. A caller names the user, with brackets and spaces as he likes, but not
// with the quote that follows the time: that is escaped.
func (c *cutter) userAndTime() (user, at span) {
	end := bytes.Index(c.line[c.at:], []byte(`] "`))
	begin := bytes.LastIndex(c.line[c.at:c.at+max(end, 0)], []byte(" ["))
	if begin < 0 {
		c.failed = true
		return span{}, span{}
	}
	user, at = span{c.at, c.at + begin}, span{c.at + begin + len(" ["), c.at + end}
	c.at += end + len("] ")
	return user, at
}

// cutter takes parts off the front of a line.
type cutter struct {
	line   []byte
	at     int
	failed bool
}

func (c *cutter) done() bool { return c.failed || c.at >= len(c.line) }

// word takes what stands before the next space.
func (c *cutter) word() span {
	from := c.at
	for c.at < len(c.line) && c.line[c.at] != ' ' {
		c.at++
	}
	s := span{from, c.at}
	if s.to == s.from {
		c.failed = true
	}
	c.at = min(c.at+1, len(c.line))
	return s
}

// until takes what stands before text.
func (c *cutter) until(text string) span {
	n := bytes.Index(c.line[c.at:], []byte(text))
	if n < 0 {
		c.failed = true
		return span{}
	}
	s := span{c.at, c.at + n}
	c.at += n + len(text)
	return s
}

// quoted takes a text in double quotes and the space behind it. A backslash protects what follows it.
func (c *cutter) quoted() span {
	s, whole := c.quotedPart()
	c.failed = c.failed || !whole
	return s
}

// quotedPart is quoted, but takes all that is left where the closing quote is missing.
func (c *cutter) quotedPart() (s span, whole bool) {
	if c.failed || c.at >= len(c.line) || c.line[c.at] != '"' {
		c.failed = true
		return span{}, false
	}
	from := c.at + 1
	for i := from; i < len(c.line); i++ {
		switch c.line[i] {
		case '\\':
			i++
		case '"':
			c.at = i + 1
			if c.at < len(c.line) {
				c.failed = c.failed || c.line[c.at] != ' '
				c.at++
			}
			return span{from, i}, true
		}
	}
	c.at = len(c.line)
	return span{from, len(c.line)}, false
}
