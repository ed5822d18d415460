package rules

import "github.com/gatewatch/gatewatch/detector/event"

// is reports whether the combination is the one of these texts and this status.
func (c *combination) is(texts *[4]string, status int32) bool {
	if c.status != status || c.key == nil {
		return false
	}
	from := uint16(0)
	for i, s := range texts {
		if string(c.key[from:c.ends[i]]) != s {
			return false
		}
		from = c.ends[i]
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
	words := (len(rules) + 63) / 64
	if c.possible[kind] == nil {
		c.possible[kind], c.open[kind] = make([]uint64, words), make([]uint64, words)
	}
	clear(c.possible[kind])
	clear(c.open[kind])
	for i, r := range rules {
		early, routes := r.Filter.decide(e, kind == instancePath)
		if early == never || routes == never {
			continue
		}
		c.possible[kind][i>>6] |= 1 << (i & 63)
		if routes == unknown {
			c.open[kind][i>>6] |= 1 << (i & 63)
		}
	}
}
