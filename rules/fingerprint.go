package rules

import (
	"crypto/sha256"
)

// fingerprint hashes what a rule computes. close_after belongs to it: it decides where an episode ends.
//
// The first byte is the version of the canonical form: a change of the form must not make an old fingerprint mean something
// new.
func fingerprint(rule *Rule) (f [16]byte) {
	if rule.Detection == nil {
		return f
	}
	b := []byte{1}
	b = appendString(b, rule.ID)
	b = appendInt(b, len(rule.By))
	for _, field := range rule.By {
		b = appendField(b, field)
	}
	b = rule.Filter.appendTo(b)
	b = appendInt(appendInt(b, int(rule.Window)), int(rule.CloseAfter))
	b = appendString(b, rule.Detection.Kind())
	b = appendDetection(b, rule.Detection)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

func appendDetection(b []byte, d Detection) []byte {
	switch d := d.(type) {
	case *Distinct:
		return d.appendTo(b)
	case *Rate:
		return d.appendTo(b)
	case *Travel:
		return d.appendTo(b)
	case *Simultaneous:
		return d.appendTo(b)
	case *OffHours:
		return d.appendTo(b)
	case *NewValue:
		return d.appendTo(b)
	case *Workflow:
		return d.Automaton.AppendFingerprint(b)
	case *Sequence:
		return d.appendTo(b)
	case *Enumeration:
		return d.appendTo(b)
	case *Inventory:
		return d.appendTo(b)
	case *Contracted:
		return d.appendTo(b)
	case *Risk:
		return d.appendTo(b)
	}
	panic("rules: no canonical form of " + d.Kind())
}
