package event

// maxFamily is how many bytes of a user agent's family are kept.
const maxFamily = 64

// AppendUserAgentFamily appends what a user agent is called without its versions and comments, at most 64 bytes: "okhttp" for
// okhttp/4.9.1, "Mozilla AppleWebKit Chrome Safari" for a browser. It is the product names of RFC 9110, section 10.1.5.
func AppendUserAgentFamily(b []byte, agent string) []byte {
	start, depth, version := len(b), 0, false
	for i := 0; i < len(agent) && len(b)-start < maxFamily; i++ {
		c := agent[i]
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth = max(0, depth-1)
		case depth > 0:
		case c == ' ':
			version = false
		case c == '/' || startsVersion(agent, i):
			version = true
		case !version:
			if i > 0 && len(b) > start && (agent[i-1] == ' ' || agent[i-1] == ')') {
				b = append(b, ' ')
			}
			b = append(b, c)
		}
	}
	return b
}

// startsVersion reports whether a word of the agent is a version that stands by itself, as in "curl 8.4".
func startsVersion(agent string, i int) bool {
	return agent[i] >= '0' && agent[i] <= '9' && (i == 0 || agent[i-1] == ' ')
}
