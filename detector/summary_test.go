package detector

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
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

// TestHugeNamesAreClipped has an alert show what the caller has made huge: it stays small but for the id itself.
func TestHugeNamesAreClipped(t *testing.T) {
	huge := strings.Repeat("x", 60_000)
	e := event.Event{
		Time: 1_000_000, ClientID: huge, Subject: huge, TokenID: huge, SessionID: huge, IPText: huge, Method: huge, Path: huge, Route: huge, UserAgent: huge, RequestID: huge,
	}
	o := observation{event: &e, now: e.Time}
	proof := appendProof(nil, o)
	read := readProof(&wire.Reader{Rest: proof})
	var r related
	r.collect(&e)
	r.collect(&e)
	r.collectEvidence(&read)
	for name, value := range map[string]any{"evidence": evidenceOf(o), "proof": read, "related": r.collected()} {
		text, err := json.Marshal(value)
		if err != nil || len(text) > 4000 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	if len(proof) > 4000 || len(r[0]) != 1 {
		t.Errorf("%d bytes of proof, %d names of one client", len(proof), len(r[0]))
	}
}
