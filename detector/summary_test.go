package detector

import (
	"strings"
	"testing"
	"unicode"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// TestSummaries has every kind describe whatever it finds suspicious, near its limit too, of an entity that has chosen its id to
// mislead: there is a sentence, it is short, and nothing in it steers a terminal or turns the direction of writing.
func TestSummaries(t *testing.T) {
	id := "evil\n\x1b[31m\u202e\u2028" + strings.Repeat("x", 60_000)
	p := compile(parseRules(t, []byte(everyKind)), nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	described := 0
	for _, w := range p.rules {
		s := w.detection.newState()
		for _, o := range randomEvents(7, 300) {
			f := s.observe(o)
			if !f.suspicious {
				continue
			}
			described++
			a := alert.Alert{Entity: alert.Entity{Kind: w.kind, ID: id}}
			w.describe(&a, s, f)
			if a.Summary == "" || len(a.Summary) > 1000 || strings.ContainsFunc(a.Summary, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Fatalf("%s, over %v: %d bytes, %.300q", w.rule.ID, f.over, len(a.Summary), a.Summary)
			}
			if a.Entity.ID != id {
				t.Fatalf("%s changes the id", w.rule.ID)
			}
		}
	}
	if described < 1000 {
		t.Errorf("only %d summaries", described)
	}
}
