package detector

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/wire"
)

// tally is what an alert tells of an enumeration.
type tally struct {
	by                               judgement
	found, fresh, denied, inSequence int
	from, to                         uint64
	members                          int // of the walk that goes from there to there
	newcomer                         bool
}

func (s *enumerationState) tally(now event.Time, by judgement) tally {
	at, width := int64(now), s.d.width
	t := tally{by: by, newcomer: s.newcomer(now)}
	if s.found != nil {
		t.found, _ = s.found.Count(at, width)
	}
	if s.fresh != nil {
		t.fresh = int(s.fresh.Total(at, width))
	}
	if s.denied != nil {
		t.denied, _ = s.denied.Count(at, width)
	}
	t.inSequence, _ = s.walks.Total(at, width)
	t.from, t.to, t.members = s.walks.Longest(at, width)
	return t
}

func (d *enumeration) describe(a *alert.Alert, known state, f finding) {
	t, ok := f.detail.(tally)
	if by, near := f.detail.(judgement); near {
		s := known.(*enumerationState)
		t, ok = s.tally(s.newest, by), true
	}
	if !ok {
		return
	}
	a.Observed.Window = shortDuration(d.rule.Window)
	a.Observed.Detail = d.detail(t)
	id, noun, in, limit := a.Entity.ID, d.noun(), longDuration(d.rule.Window), number(f.limit)
	switch t.by {
	case byNew:
		a.Observed.Unit = "new " + noun
		if t.newcomer {
			limit += " for newcomers"
		}
		verb := "used"
		if onlyReads(a.Evidence) {
			verb = "read"
		}
		a.Summary = fmt.Sprintf("%s %s %s %s that were new to it in %s (limit %s)", id, verb, approximate(f), noun, in, limit)
	case byDenied:
		a.Observed.Unit = "denied " + noun
		a.Summary = fmt.Sprintf("%s asked for %s different %s that it was denied in %s (limit %s)", id, approximate(f), noun, in, limit)
	case bySequence:
		a.Observed.Unit = noun + " in sequence"
		a.Summary = fmt.Sprintf("%s walked through %s ids of %s in sequence%s in %s (limit %s)", id, approximate(f), noun, t.span(), in, limit)
	}
	a.Summary += d.besides(t)
}

func (d *enumeration) noun() string {
	if d.spec.Noun != "" {
		return d.spec.Noun
	}
	return plural(d.spec.Count)
}

// span says where the walk goes that has the most ids.
func (t tally) span() string {
	switch {
	case t.members < 2:
		return ""
	case t.members < t.inSequence:
		return fmt.Sprintf(" (%d to %d and other rows)", t.from, t.to)
	}
	return fmt.Sprintf(" (%d to %d)", t.from, t.to)
}

// besides says what the summary has not said yet.
func (d *enumeration) besides(t tally) string {
	var parts []string
	if d.spec.Found > 0 {
		parts = append(parts, number(float64(t.found))+" answered")
		if t.by != byNew && t.found > 0 {
			parts = append(parts, number(float64(t.fresh))+" of them new to it")
		}
	}
	if d.spec.Denied > 0 && t.by != byDenied {
		parts = append(parts, number(float64(t.denied))+" denied")
	}
	if t.inSequence > 0 && t.by != bySequence {
		parts = append(parts, number(float64(t.inSequence))+" in sequence")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

func (d *enumeration) detail(t tally) map[string]any {
	detail := map[string]any{}
	if d.spec.Found > 0 {
		detail["found"], detail["new"], detail["known"] = t.found, t.fresh, max(0, t.found-t.fresh)
		detail["enough_history"] = !t.newcomer
	}
	if d.spec.Denied > 0 {
		detail["denied"] = t.denied
	}
	if d.spec.Sequential > 0 {
		detail["sequential"] = t.inSequence
		if t.inSequence > 0 && t.members > 1 {
			detail["from"], detail["to"] = strconv.FormatUint(t.from, 10), strconv.FormatUint(t.to, 10)
		}
	}
	return detail
}

func (d *enumeration) explain(known state, now event.Time) explanation {
	s := known.(*enumerationState)
	t := s.tally(now, byNew)
	x := explanation{Detail: d.detail(t)}
	var parts []string
	say := func(n int, what string, limit int) {
		x.Detail["limit_"+strings.ReplaceAll(what, "in sequence", "sequential")] = limit
		parts = append(parts, fmt.Sprintf("%s %s (limit %s)", number(float64(n)), what, number(float64(limit))))
	}
	if d.spec.Found > 0 {
		say(t.fresh, "new", s.limit(now))
	}
	if d.spec.Denied > 0 {
		say(t.denied, "denied", d.spec.Denied)
	}
	if d.spec.Sequential > 0 {
		say(t.inSequence, "in sequence", d.spec.Sequential)
	}
	x.Detail["unit"], x.Detail["window"] = d.noun(), shortDuration(d.rule.Window)
	x.Summary = fmt.Sprintf("%s %s: %s", d.noun(), inTheLast(d.rule.Window), strings.Join(parts, ", "))
	if d.spec.Found > 0 {
		x.Detail["remembered"], x.Detail["sample"] = s.touched.Len(), s.touched.Weight()
		past := s.past(now)
		x.Detail["days_of_history"], x.Detail["events_of_history"] = int(past.days), past.events
		x.Summary += fmt.Sprintf("; %s remembered; %s, without today", number(float64(s.touched.Len())), past.explain(d.spec.Learn))
	}
	x.Detail["newest"] = alert.Time(s.newest)
	return x
}

func (d *enumeration) appendDetail(b []byte, detail any) []byte {
	t, ok := detail.(tally)
	if b = wire.AppendBool(b, ok); !ok {
		return b
	}
	b = append(b, byte(t.by), b2u(t.newcomer))
	for _, n := range []int{t.found, t.fresh, t.denied, t.inSequence, t.members} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, t.from), t.to)
}

func (d *enumeration) readDetail(r *wire.Reader, _ *interner) any {
	if !r.Bool() {
		return nil
	}
	t := tally{by: judgement(r.Byte()), newcomer: r.Bool()}
	for _, n := range []*int{&t.found, &t.fresh, &t.denied, &t.inSequence, &t.members} {
		*n = int(r.Uvarint())
	}
	t.from, t.to = r.Uvarint(), r.Uvarint()
	return t
}
