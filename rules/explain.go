package rules

import (
	"fmt"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Explanation says whether a rule concerns an event, and why or why not. What the rule finds depends on the events before,
// which an explanation does not know.
type Explanation struct {
	Rule    string   `json:"rule"`
	Title   string   `json:"title"`
	Matched bool     `json:"matched"` // every check holds and the entity is known
	Kind    string   `json:"entity_kind"`
	Entity  string   `json:"entity,omitempty"`  // "" when a field of it is missing
	Missing []string `json:"missing,omitempty"` // fields of the entity that the event does not have
	Checks  []Check  `json:"checks,omitempty"`  // the conditions of where and if, in the order in which they are tested
	Value   string   `json:"value,omitempty"`   // what the detection reads from the event: path.id=42
	Notes   []string `json:"notes,omitempty"`   // what else keeps the event from counting
}

// Check is one condition.
type Check struct {
	Wanted string `json:"wanted"`
	Found  string `json:"found"`
	Holds  bool   `json:"holds"`
}

// Explain says of every rule of the set, in its order, whether it concerns the event.
func Explain(s *Set, e *event.Event) []Explanation {
	list := make([]Explanation, len(s.Rules))
	for i, r := range s.Rules {
		list[i] = explain(r, e)
	}
	return list
}

func explain(r *Rule, e *event.Event) Explanation {
	x := Explanation{Rule: r.ID, Title: r.Title, Kind: r.EntityKind(), Matched: true}
	for _, c := range r.Filter.conditions {
		check := Check{Wanted: c.String(), Found: found(c.fields(), e), Holds: c.match(e)}
		if d, ok := c.(*deviating); ok {
			check.Found = d.from.explain(e)
		}
		x.Matched = x.Matched && check.Holds
		x.Checks = append(x.Checks, check)
	}
	var names []string
	for _, f := range r.By {
		text := f.Text(e)
		if text == "" {
			x.Missing = append(x.Missing, f.String())
		}
		names = append(names, text)
	}
	if len(x.Missing) == 0 {
		x.Entity = strings.Join(names, "|")
	}
	x.Matched = x.Matched && len(x.Missing) == 0
	x.Value = readValue(r.Detection, e)
	x.Notes = notes(r, e)
	return x
}

// found writes the values of fields; one field needs no name.
func found(fields []event.Field, e *event.Event) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.Text(e)
		if texts[i] == "" {
			texts[i] = "nothing"
		}
		if len(fields) > 1 {
			texts[i] = f.String() + "=" + texts[i]
		}
	}
	return strings.Join(texts, " ")
}

// readValue writes what the detection reads from the event.
func readValue(d Detection, e *event.Event) string {
	switch d := d.(type) {
	case *Distinct:
		if v := d.Value(e); v != "" {
			return d.Count.String() + "=" + v
		}
	case *Rate:
		if d.Sum != (event.Field{}) {
			return d.Sum.String() + "=" + d.Sum.Text(e)
		}
		if d.Share != nil {
			return fmt.Sprintf("in the share: %v (%s)", d.Share.Match(e), d.Share)
		}
	case *Travel:
		if e.Geo != nil && e.Geo.HasPlace {
			return fmt.Sprintf("place=%.2f,%.2f (%s)", e.Geo.Latitude, e.Geo.Longitude, e.Geo.Country)
		}
	case *Simultaneous:
		return readField(event.FieldOf(d.Across), e)
	case *OffHours:
		if d.NewPlace != event.NoField {
			return readField(event.FieldOf(d.NewPlace), e)
		}
	case *NewValue:
		if d.Value.Kind() == event.UserAgent && e.UserAgent != "" {
			return "user_agent=" + string(event.AppendUserAgentFamily(nil, e.UserAgent)) + " without versions"
		}
		return readField(d.Value, e)
	case *Workflow:
		if symbol, ok := d.Automaton.Symbol(e); ok {
			return "step=" + d.Automaton.StepName(symbol)
		}
	case *Sequence:
		if i := d.Step(e); d.Ends(e) {
			return "until"
		} else if i >= 0 {
			return "step=" + d.Steps[i].Name
		}
	case *Enumeration:
		if v := d.Value(e); v != "" {
			return d.Count.String() + "=" + v
		}
	case *Inventory:
		return d.problemsText(e)
	case *Contracted:
		if d.Several != 0 {
			return readField(d.Counts(), e)
		}
		return "deviates in " + d.explain(e)
	}
	return ""
}

func readField(f event.Field, e *event.Event) string {
	if text := f.Text(e); text != "" {
		return f.String() + "=" + text
	}
	return ""
}

// notes says what the event lacks for the detection to see anything in it.
func notes(r *Rule, e *event.Event) []string {
	var list []string
	switch d := r.Detection.(type) {
	case *Distinct:
		if d.Value(e) == "" {
			list = append(list, fmt.Sprintf("the event has no %s to count", d.Count))
		}
	case *Travel:
		if e.Geo == nil || !e.Geo.HasPlace {
			list = append(list, "the place of the source address is not known: the rule is blind to this event")
		}
	case *Simultaneous:
		if readField(event.FieldOf(d.Across), e) == "" {
			list = append(list, fmt.Sprintf("the %s of the source address is not known: the rule is blind to this event", event.FieldOf(d.Across)))
		}
	case *OffHours:
		if d.NewPlace != event.NoField && readField(event.FieldOf(d.NewPlace), e) == "" {
			list = append(list, fmt.Sprintf("the %s of the source address is not known: it is never new", event.FieldOf(d.NewPlace)))
		}
		if d.Declared != nil && d.Declared.Contains(e.Time.Std().In(d.Location)) {
			list = append(list, "the time is within the declared hours")
		}
	case *NewValue:
		if readField(d.Value, e) == "" {
			list = append(list, fmt.Sprintf("the event has no %s: it is never new", d.Value))
		}
	case *Enumeration:
		if d.Value(e) == "" {
			list = append(list, fmt.Sprintf("the event has no %s: it is no object", d.Count))
		}
	case *Inventory:
		if note := d.note(e); note != "" {
			list = append(list, note)
		}
	case *Contracted:
		if d.Several != 0 && readField(d.Counts(), e) == "" {
			list = append(list, fmt.Sprintf("the event has no %s to count", d.Counts()))
		}
	case *Risk:
		list = append(list, "no event concerns the rule itself: it adds up what the other rules that group by "+r.EntityKind()+" find")
	}
	if e.Geo == nil {
		for _, f := range r.Filter.Fields() {
			if f.NeedsGeo() {
				list = append(list, fmt.Sprintf("the filter asks for %s, and nothing is known about the source address", f))
			}
		}
	}
	if r.Mode == Shadow {
		list = append(list, "the rule is in shadow mode: what it finds is not delivered")
	}
	return list
}
