package ruletest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// miss says that the number of alerts is not the one that was expected, and what came closest. Alerts that it names are marked:
// they are not reported twice.
func miss(ctx context.Context, t *rules.Test, x *rules.Expectation, alerts []Episode, wanted []bool, fitting []Episode) string {
	headline := fmt.Sprintf("expected %s: %s", expected(t, x), came(len(fitting)))
	var lines []string
	for i := range fitting {
		lines = append(lines, "came: "+fitting[i].describe(t))
	}
	if float64(len(fitting)) > x.Count.High {
		return listed(headline, lines)
	}
	for _, i := range instead(x, alerts, wanted) {
		lines = append(lines, "instead: "+alerts[i].describe(t))
		wanted[i] = true
	}
	if len(lines) == 0 {
		lines = closest(ctx, t, x)
	}
	return listed(headline, lines)
}

// instead lists the alerts of the rule that may be meant: those of the entity at another time, or else those of others.
func instead(x *rules.Expectation, alerts []Episode, wanted []bool) []int {
	var same, others []int
	for i := range alerts {
		switch a := &alerts[i]; {
		case a.Rule != x.Rule || wanted[i]:
		case a.Entity == x.Entity || x.Entity == "":
			same = append(same, i)
		default:
			others = append(others, i)
		}
	}
	if len(same) > 0 || slices.ContainsFunc(alerts, func(a Episode) bool { return a.Rule == x.Rule && a.Entity == x.Entity }) {
		return same
	}
	return others
}

func came(n int) string {
	switch n {
	case 0:
		return "none came"
	case 1:
		return "1 came"
	}
	return fmt.Sprintf("%d came", n)
}

// Bounds on the search for the closest miss: describing an entity costs as much as its windows are long.
const (
	mostLooks   = 2000
	mostWatched = 1000 // entities
)

// trace is what a rule made of the requests of a test.
type trace struct {
	feed    *feed
	set     *rules.Set // the one rule
	want    *rules.Expectation
	engine  *detector.Engine
	matched int    // requests of those meant, that count for the rule
	meant   int    // requests of whom the expectation names, or all
	refused string // why the first of those that do not count does not
	others  []string
	watched []string // entities of the requests that count, as the engine calls them
	best    *sight
}

// sight is how close an entity was to an alert at some time.
type sight struct {
	entity string
	known  detector.Knowledge
	at     alert.Time
	ratio  float64 // of the value to the limit; 0 where the rule has none
}

// closest runs the traffic again under the one rule and tells what it saw.
func closest(ctx context.Context, t *rules.Test, x *rules.Expectation) []string {
	alone := *t
	alone.Rules = slices.DeleteFunc(slices.Clone(t.Rules), func(r *rules.Rule) bool { return r.ID != x.Rule })
	set := alone.Set()
	if set.Len() == 0 {
		return nil
	}
	tr := &trace{feed: newFeed(t, set), set: set, want: x, engine: engine(set, 0)}
	if err := tr.run(ctx); err != nil {
		return nil
	}
	return tr.tell(t)
}

// run applies the requests one by one and looks at the entities in between.
func (tr *trace) run(ctx context.Context) error {
	preparer := tr.engine.NewPreparer()
	step := 1 + len(tr.feed.requests)/mostLooks
	for {
		batch, err := tr.feed.batch(ctx, step)
		if err != nil {
			return err
		}
		if batch == nil {
			break
		}
		entity := ""
		for i := range batch.Events {
			entity = tr.count(&batch.Events[i], entity)
		}
		last := batch.Events[len(batch.Events)-1].Time
		tr.engine.Push(preparer.Prepare(batch))
		tr.engine.Progress(input, tr.until(last))
		tr.engine.Advance()
		tr.look(entity)
	}
	for _, entity := range tr.watched {
		tr.look(entity)
	}
	return nil
}

// until is a time at which what came up to last is applied, and what comes next is not late.
func (tr *trace) until(last event.Time) event.Time {
	const soon = 100 // ms, more than the step in which an engine's watermark moves
	if next := tr.feed.next; next < len(tr.feed.requests) {
		at := tr.feed.test.Start.Std().Add(tr.feed.requests[next].at)
		return min(last+soon, event.TimeOf(at))
	}
	return last + soon
}

// count notes whether the event counts for the rule, and returns its entity if so, else the one before.
func (tr *trace) count(e *event.Event, before string) string {
	x := rules.Explain(tr.set, e)[0]
	entity := tr.feed.plain(x.Entity)
	if tr.want.Entity != "" && entity != tr.want.Entity {
		if entity != "" && len(tr.others) < 3 && !slices.Contains(tr.others, entity) {
			tr.others = append(tr.others, entity)
		}
		return before
	}
	tr.meant++
	if !x.Matched || len(x.Notes) > 0 && x.Value == "" {
		if tr.refused == "" {
			tr.refused = refusal(tr.feed.test, &x, e)
		}
		return before
	}
	tr.matched++
	if len(tr.watched) < mostWatched && !slices.Contains(tr.watched, x.Entity) {
		tr.watched = append(tr.watched, strings.Clone(x.Entity))
	}
	return strings.Clone(x.Entity)
}

// refusal says why an event does not count.
func refusal(t *rules.Test, x *rules.Explanation, e *event.Event) string {
	var why []string
	for _, c := range x.Checks {
		if !c.Holds {
			why = append(why, fmt.Sprintf("the rule wants %s, found %s", c.Wanted, c.Found))
		}
	}
	for _, field := range x.Missing {
		why = append(why, "it has no "+field)
	}
	if len(why) == 0 {
		why = x.Notes
	}
	return fmt.Sprintf("%s %s %d at %s: %s", e.Method, e.Path, e.Status, timeOfDay(t, e.Time.Std()), strings.Join(why, "; "))
}

// look remembers what the rule knows of the entity, if that is closer to an alert than what was seen before.
func (tr *trace) look(entity string) {
	if entity == "" {
		return
	}
	d, ok := tr.engine.Describe(tr.set.Rules[0].EntityKind(), entity)
	if !ok || len(d.Rules) == 0 {
		return
	}
	s := &sight{entity: tr.feed.plain(entity), known: d.Rules[0], at: d.LastSeen}
	value, measured := s.known.Detail["value"].(float64)
	limit, limited := s.known.Detail["limit"].(float64)
	if measured && limited && limit > 0 {
		s.ratio = value / limit
	}
	if tr.best == nil || s.ratio > tr.best.ratio || s.ratio == 0 && tr.best.ratio == 0 {
		tr.best = s
	}
}

// tell writes what was seen.
func (tr *trace) tell(t *rules.Test) []string {
	if tr.meant == 0 {
		line := fmt.Sprintf("no request belongs to %s=%s", tr.set.Rules[0].EntityKind(), tr.want.Entity)
		if len(tr.others) > 0 {
			line += "; there are " + strings.Join(tr.others, ", ")
		}
		return []string{line}
	}
	var lines []string
	if b := tr.best; b != nil {
		suspicion := ""
		if b.known.Suspicion != nil {
			suspicion = " (suspicious)"
		}
		lines = append(lines, fmt.Sprintf("closest: %s at %s: %s%s", b.entity, timeOfDay(t, b.at.Std()), tr.feed.plain(b.known.Summary), suspicion))
	}
	lines = append(lines, fmt.Sprintf("%d of %d requests count for the rule", tr.matched, tr.meant))
	if tr.refused != "" {
		lines = append(lines, "the first that does not is "+tr.refused)
	}
	return lines
}
