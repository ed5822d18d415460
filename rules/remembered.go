package rules

import "github.com/gatewatch/gatewatch/detector/event"

// is reports whether the combination is the one of these texts and this status.
func (c *combination) is(texts *[4]string, status int32) bool {
	if c.status != status || c.key == nil {
		return false
	}
	from := uint16(0)
	for i, s := range texts {
		end := c.ends[i]
		if int(end-from) != len(s) || string(c.key[from:end]) != s {
			return false
		}
		from = end
	}
	return true
}

// learn replaces the combination by the event's, in the memory that it has.
func (c *combination) learn(rules []*Rule, texts *[4]string, e *event.Event) {
	c.key = c.key[:0]
	for i, s := range texts {
		c.key = append(c.key, s...)
		c.ends[i] = uint16(len(c.key))
	}
	if c.key == nil {
		c.key = []byte{}
	}
	c.status, c.used = e.Status, false
	c.shape.read(e.Route)
	c.decide(rules, e, anyPath)
	c.decide(rules, e, instancePath)
}

// decide works out what the combination says about each rule.
func (c *combination) decide(rules []*Rule, e *event.Event, kind int) {
	if c.possible[kind] == nil {
		words := (len(rules) + 63) / 64
		masks := make([]uint64, 3*words)
		c.possible[kind], c.open[kind], c.late[kind] = masks[:words], masks[words:2*words], masks[2*words:]
	}
	clear(c.possible[kind])
	clear(c.open[kind])
	clear(c.late[kind])
	for i, r := range rules {
		rest, routes := r.Filter.decide(e, kind == instancePath)
		if rest == never || routes == never {
			continue
		}
		word, bit := i>>6, uint64(1)<<(i&63)
		c.possible[kind][word] |= bit
		if routes == unknown {
			c.open[kind][word] |= bit
		}
		if rest == unknown {
			c.late[kind][word] |= bit
		}
	}
}
