package accesslog

import "bytes"

// krakend is the access log of KrakenD, which is that of gin: [GIN] 2026/11/26 - 14:00:00 | 200 | 4.5ms | 192.0.2.1 | GET "/user". It
// names nobody but the address; KrakenD's OpenTelemetry spans say more.
//
// https://www.krakend.io/docs/logging/
var krakend = definition{
	name: "krakend",
	mapping: Mapping{
		"time":        in("gin", "time"),
		"method":      path("method"),
		"path":        path("path"),
		"status":      path("status"),
		"source_ip":   path("client_ip"),
		"duration_ms": in("text", "latency"),
	},
	columns: []string{"time", "status", "latency", "client_ip", "method", "path"},
	cut:     cutGin,
	escape:  `\x`,
}

func cutGin(line []byte, columns []span) bool {
	if !bytes.HasPrefix(line, []byte("[GIN] ")) {
		return false
	}
	c := cutter{line: line, at: len("[GIN] ")}
	for i := range 4 {
		columns[i] = c.trimmed(c.until("|"))
	}
	rest := c.trimmed(span{c.at, len(line)})
	c.at = rest.from
	columns[4] = c.word()
	rest = c.trimmed(span{c.at, len(line)})
	c.at = rest.from
	columns[5] = c.quoted()
	return !c.failed && c.at >= len(line)
}

// trimmed returns s without the spaces around it.
func (c *cutter) trimmed(s span) span {
	for s.from < s.to && c.line[s.from] == ' ' {
		s.from++
	}
	for s.from < s.to && c.line[s.to-1] == ' ' {
		s.to--
	}
	return s
}
