package rules

import "github.com/gatewatch/gatewatch/detector/event"

// deviating tests that an event deviates in one of the ways that a rule looks for. It is a part of the rule's filter, so that
// nothing is remembered of entities that keep their contracts.
type deviating struct{ from *Contracted }

func (c *deviating) match(e *event.Event) bool {
	var room [1]Breach
	return len(c.from.Breaches(room[:0], e)) > 0
}

func (*deviating) decide(*event.Event, *template) verdict { return unknown }

// appendTo says only that it is there: what is looked for stands in the canonical form of the detection.
func (*deviating) appendTo(b []byte) []byte { return append(b, 'd') }

// fields is empty, because [Contracted.Reads] lists them.
func (*deviating) fields() []event.Field { return nil }

func (c *deviating) String() string { return "deviates in " + c.from.text() }

// notRefused is the condition that a rule has which does not speak of the status.
func notRefused() condition {
	c := &statusIs{text: "below 400"}
	for s := range 400 {
		c.set[s>>6] |= 1 << (s & 63)
	}
	return c
}
