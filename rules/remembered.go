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
func (c *combination) learn(texts *[4]string, e *event.Event) {
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
	for _, a := range c.answers {
		if a != nil {
			a.known = false
		}
	}
}

// answer returns what the combination says for a kind of path, as [shape.classify] numbers them.
func (c *combination) answer(rules []*Rule, e *event.Event, kind int) *answer {
	a := c.answers[kind]
	if a == nil {
		a = new(answer)
		c.answers[kind] = a
	}
	if !a.known {
		path := templateOf(e.Route, kind, kind-int(plainPath))
		a.decide(rules, e, &path)
		a.known = true
	}
	return a
}

// decide works out what the event's combination says about each rule.
func (a *answer) decide(rules []*Rule, e *event.Event, path *template) {
	if a.possible == nil {
		words := (len(rules) + 63) / 64
		masks := make([]uint64, 3*words)
		a.possible, a.open, a.late = masks[:words], masks[words:2*words], masks[2*words:]
	}
	clear(a.possible)
	clear(a.open)
	clear(a.late)
	for i, r := range rules {
		rest, routes := r.Filter.decide(e, path)
		if rest == never || routes == never {
			continue
		}
		word, bit := i>>6, uint64(1)<<(i&63)
		a.possible[word] |= bit
		if routes == unknown {
			a.open[word] |= bit
		}
		if rest == unknown {
			a.late[word] |= bit
		}
	}
}
