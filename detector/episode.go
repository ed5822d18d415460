package detector

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// episode is one stretch of suspicion or misuse by one entity under one rule. It collects evidence from the moment the
// entity becomes suspicious, opens when the limit is exceeded, and closes when the entity has been quiet for the rule's
// CloseAfter.
type episode struct {
	version   int // 0: suspicious, not open
	opened    event.Time
	firstSeen event.Time
	lastSeen  event.Time // of the latest event that counted: suspicious before the opening, over the limit after
	hits      int        // findings over the limit
	escalate  float64    // the scale at which the next update is due
	worst     finding    // highest value over the limit
	evidence  []alert.Evidence
	skipped   int // events over the limit since the last piece of evidence
	related   related
}

// related is which other values took part, up to alert.MaxRelated of each.
type related [len(relatedFields)][]string

var relatedFields = [...]event.FieldKind{
	event.ClientID, event.Subject, event.TokenID, event.SessionID, event.SourceIP, event.Country, event.Route,
}

// scale says how bad the episode is: how many times the limit, or how many findings.
func (ep *episode) scale(f finding) float64 {
	if f.growing && f.limit > 0 {
		return f.value / f.limit
	}
	return float64(ep.hits)
}

// exceed takes a finding over the limit and returns the version to emit now, if any: open at first, then an update at 2, 4,
// 8, … times the limit, and when something new has joined.
func (ep *episode) exceed(f finding, at event.Time) (alert.State, bool) {
	ep.hits++
	ep.lastSeen = max(ep.lastSeen, at)
	if ep.hits == 1 || f.graver(ep.worst) {
		ep.worst = f
		ep.worst.path = nil // it is among the evidence
	}
	if ep.version == 0 {
		ep.version, ep.opened = 1, at
		ep.firstSeen = min(ep.firstSeen, at)
		ep.escalate = 2
		for ep.scale(f) >= ep.escalate {
			ep.escalate *= 2
		}
		return alert.Open, true
	}
	if ep.scale(f) < ep.escalate && !f.joined {
		return "", false
	}
	for ep.scale(f) >= ep.escalate {
		ep.escalate *= 2
	}
	ep.version++
	return alert.Update, true
}

// graver reports whether a finding is worse than another one of the same rule, whose limit may be another.
func (f finding) graver(than finding) bool {
	if f.growing && f.limit != than.limit {
		return f.value*than.limit > than.value*f.limit
	}
	return f.value > than.value
}

// collect adds the event to the evidence. The first half of the evidence is how it began; the second half is thinned out
// more and more, so that a long episode is still covered to its end.
func (ep *episode) collect(e alert.Evidence) {
	if len(ep.evidence) < alert.MaxEvidence {
		ep.evidence = append(ep.evidence, e)
		return
	}
	if ep.skipped++; ep.skipped < ep.hits/alert.MaxEvidence {
		return
	}
	ep.skipped = 0
	const kept = alert.MaxEvidence / 2
	copy(ep.evidence[kept:], ep.evidence[kept+1:])
	ep.evidence[alert.MaxEvidence-1] = e
}

// wants reports whether the next event would enter the evidence: most events of a flood need not be copied.
func (ep *episode) wants() bool {
	return len(ep.evidence) < alert.MaxEvidence || ep.skipped+1 >= ep.hits/alert.MaxEvidence
}

func (r *related) collect(e *event.Event) {
	for i, kind := range relatedFields {
		r.add(i, event.FieldOf(kind).Text(e))
	}
}

func (r *related) collectEvidence(e *alert.Evidence) {
	for i, text := range [...]string{e.ClientID, e.Subject, e.TokenID, e.SessionID, e.SourceIP, e.Country, e.Route} {
		r.add(i, text)
	}
}

func (r *related) join(other *related) {
	for i, values := range other {
		for _, text := range values {
			r.add(i, text)
		}
	}
}

func (r *related) add(i int, text string) {
	if len(text) > mostClipped {
		text = clip(text)
	}
	if len(r[i]) < alert.MaxRelated && text != "" && !slices.Contains(r[i], text) {
		r[i] = append(r[i], strings.Clone(text))
	}
}

func (r *related) collected() map[string][]string {
	m := make(map[string][]string, len(r))
	for i, kind := range relatedFields {
		if len(r[i]) > 0 {
			m[event.FieldOf(kind).String()] = slices.Clone(r[i])
		}
	}
	return m
}

func (ep *episode) size() int {
	n := int(unsafe.Sizeof(*ep)) + room(len(ep.evidence))*int(unsafe.Sizeof(alert.Evidence{}))
	for _, e := range ep.evidence {
		n += len(e.ClientID) + len(e.Subject) + len(e.TokenID) + len(e.SessionID) + len(e.SourceIP) + len(e.Path) + len(e.Route) +
			len(e.UserAgent) + len(e.RequestID) + 64
	}
	for _, values := range ep.related {
		for _, v := range values {
			n += len(v) + 16
		}
	}
	return n
}

// evidenceOf copies what an alert shows of an event.
func evidenceOf(o observation) alert.Evidence {
	e := o.event
	ev := alert.Evidence{
		Time: alert.Time(e.Time), ClientID: clip(e.ClientID), Subject: clip(e.Subject),
		TokenID: clip(e.TokenID), SessionID: clip(e.SessionID), SourceIP: clip(e.IPText),
		Method: clip(e.Method), Path: clip(e.Path), Route: clip(e.Route), Status: int(e.Status),
		RequestID: clip(e.RequestID), UserAgent: clip(e.UserAgent),
		Source: &alert.Source{Topic: o.source.Topic, Partition: o.source.ID, Offset: e.Offset, Index: e.Index},
	}
	if e.Geo != nil {
		ev.Country = e.Geo.Country
	}
	return ev
}

// clip copies s, cut to what a person reads: evidence must not grow with the attacker's imagination.
func clip(s string) string {
	if len(s) <= mostClipped {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:mostClipped], "") + "…"
}

const mostClipped = 256
