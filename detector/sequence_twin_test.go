package detector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// sequenceTwin is detect: sequence by brute force: it keeps every event and tries every choice of them.
type sequenceTwin struct {
	spec    *rules.Sequence
	within  event.Time
	all     []twinEvent // what happened since the last finding or until
	avoided []twinEvent // every event that an absent first step is
	serial  int
	due     event.Time // 0: nothing waits
}

type twinEvent struct {
	serial int
	at     event.Time
	step   int // index of all steps
}

// leading is how many steps are absent before all others.
func (w *sequenceTwin) leading() (n int) {
	for w.spec.Steps[n].Absent {
		n++
	}
	return n
}

// trailing is how many steps are absent after all others.
func (w *sequenceTwin) trailing() (n int) {
	for w.spec.Steps[len(w.spec.Steps)-1-n].Absent {
		n++
	}
	return n
}

// see takes an event in and returns the times of what is found.
func (w *sequenceTwin) see(e *event.Event) (found []event.Time) {
	if w.due != 0 && e.Time >= w.due {
		found = append(found, w.due)
		w.all, w.due = nil, 0
	}
	if w.spec.Until != nil && w.spec.Until.Match(e) {
		w.all, w.due = nil, 0
		return found
	}
	for i, s := range w.spec.Steps {
		if s.Filter.Match(e) {
			return append(found, w.take(i, e.Time)...)
		}
	}
	return found
}

func (w *sequenceTwin) take(step int, at event.Time) []event.Time {
	w.serial++
	e := twinEvent{w.serial, at, step}
	w.all = append(w.all, e)
	switch {
	case step < w.leading():
		w.avoided = append(w.avoided, e)
		return nil
	case step >= len(w.spec.Steps)-w.trailing():
		w.due = 0
		return nil
	case w.spec.Steps[step].Absent || w.due != 0 || !w.complete():
		return nil
	case w.trailing() > 0:
		w.due = at + w.within
		return nil
	}
	w.all = nil
	return []event.Time{at}
}

// complete reports whether some choice of events that ends with the latest one is a sequence.
func (w *sequenceTwin) complete() bool {
	if w.spec.AnyOrder {
		return w.completeAnyhow()
	}
	var wanted []int // one step for each request, the last one first
	for i, s := range slices.Backward(w.spec.Steps) {
		for range s.Times {
			if !s.Absent {
				wanted = append(wanted, i)
			}
		}
	}
	last := len(w.all) - 1
	return w.all[last].step == wanted[0] && w.choose(wanted[1:], last, w.all[last].at)
}

// choose goes back in time from the event at index after, which was chosen.
func (w *sequenceTwin) choose(wanted []int, after int, end event.Time) bool {
	if len(wanted) == 0 {
		return w.mayBegin(w.all[after])
	}
	for i := after - 1; i >= 0; i-- {
		if w.all[i].step == wanted[0] && end-w.all[i].at < w.within && w.nothingAbsent(i, after) && w.choose(wanted[1:], i, end) {
			return true
		}
	}
	return false
}

// nothingAbsent reports whether no step that is absent between those of two events comes between these.
func (w *sequenceTwin) nothingAbsent(from, to int) bool {
	for i := from + 1; i < to; i++ {
		if s := w.all[i].step; w.spec.Steps[s].Absent && s > w.all[from].step && s < w.all[to].step {
			return false
		}
	}
	return true
}

func (w *sequenceTwin) mayBegin(first twinEvent) bool {
	return !slices.ContainsFunc(w.avoided, func(e twinEvent) bool { return e.serial < first.serial && first.at-e.at < w.within })
}

func (w *sequenceTwin) completeAnyhow() bool {
	now := w.all[len(w.all)-1].at
	for i, s := range w.spec.Steps {
		n := 0
		for _, e := range w.all {
			if e.step == i && now-e.at < w.within {
				n++
			}
		}
		if n < s.Times {
			return false
		}
	}
	return true
}

// randomSequence writes a rule with steps a, b, c … that the parser takes.
func randomSequence(r *rand.Rand) string {
	for {
		var steps []string
		present, requests := 0, 0
		anyOrder := r.IntN(4) == 0
		for i := range 1 + r.IntN(5) {
			step := fmt.Sprintf("{name: %c, where: {route: /%c}", 'a'+i, 'a'+i)
			switch times := 1 + max(0, r.IntN(6)-2); {
			case !anyOrder && r.IntN(3) == 0:
				step += ", absent: true"
			case times > 1:
				step += fmt.Sprintf(", times: %d", times)
				requests += times
				present++
			default:
				requests++
				present++
			}
			steps = append(steps, step+"}")
		}
		if present == 0 || requests > 7 {
			continue
		}
		text := fmt.Sprintf("detect: sequence, window: %ds, steps: [%s]", 2+r.IntN(20), strings.Join(steps, ", "))
		if anyOrder {
			text += ", order: any"
		}
		if r.IntN(3) == 0 {
			text += ", until: {route: /u}"
		}
		text = "rules: [{id: x, by: subject, " + text + "}]"
		if _, err := rules.Parse(rules.File{Name: "x", Data: []byte(text)}); err == nil {
			return text
		}
	}
}

// compareWithTwin shows random events to both, sending the state through its encoding now and then.
func compareWithTwin(t *testing.T, seed uint64, n int) (found int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	text := randomSequence(r)
	rule := parseRules(t, []byte(text)).Rules[0]
	spec := rule.Detection.(*rules.Sequence)
	d := newSequence(rule, spec)
	s := d.newState().(*sequenceState)
	twin := &sequenceTwin{spec: spec, within: event.Time(rule.Window.Milliseconds())}
	var story []string
	at := event.Time(1_700_000_000_000)
	timer := event.Time(0)
	for range n {
		at += event.Time(r.IntN(2) + r.IntN(4)*1000)
		name := string(rune('a' + r.IntN(len(spec.Steps))))
		if r.IntN(12) == 0 {
			name = "u"
		}
		e := &event.Event{Time: at, Subject: "s", Method: "GET", Path: "/" + name, Route: "/" + name, Status: 200}
		story = append(story, fmt.Sprintf("%d%s", at%1_000_000, name))
		var got []event.Time
		for timer != 0 && timer <= at {
			due := timer
			f := s.wake(due)
			timer = f.wakeAt
			if f.over {
				got = append(got, due)
			}
		}
		if s.idle(at) && r.IntN(2) == 0 && timer == 0 {
			s = d.newState().(*sequenceState)
		}
		f := s.observe(observation{event: e, now: at})
		if f.wakeAt != 0 {
			if timer != 0 {
				t.Fatalf("%s\n%v: a second timer", text, story)
			}
			timer = f.wakeAt
		}
		if f.over {
			got = append(got, at)
			checkPassage(t, d, f, story)
		}
		if want := twin.see(e); !slices.Equal(got, want) {
			t.Fatalf("%s\n%v\nfound %v, the twin %v", text, story, got, want)
		}
		found += len(got)
		if r.IntN(10) == 0 {
			decoded, _, err := d.decode(encodeState(t, s), nil)
			if err != nil {
				t.Fatal(err)
			}
			if decoded.size() != s.size() || decoded.(waker).wakesAt() != timer {
				t.Fatalf("%s\n%v: decoded: %d bytes, wakes at %d; before %d bytes, %d", text, story, decoded.size(), decoded.(waker).wakesAt(), s.size(), timer)
			}
			s = decoded.(*sequenceState)
		}
	}
	return found
}

// checkPassage holds what an alert tells to the order and the window that the rule demands.
func checkPassage(t *testing.T, d *sequence, f finding, story []string) {
	t.Helper()
	p := f.detail.(passage)
	last := p.start
	for _, step := range p.steps {
		if step.absent || step.at == noTime {
			continue
		}
		if step.at < last || step.at-p.start >= d.within {
			t.Fatalf("%v: a step of %+v is out of place", story, p)
		}
		last = step.at
	}
	if len(f.path) >= len(d.taken) {
		t.Fatalf("%v: %d pieces of evidence before the last of %d steps", story, len(f.path), len(d.taken))
	}
	for i := 1; i < len(f.path); i++ {
		if f.path[i].Time < f.path[i-1].Time {
			t.Fatalf("%v: evidence out of order: %+v", story, f.path)
		}
	}
}

func TestSequenceTwin(t *testing.T) {
	found := 0
	for seed := range uint64(3000) {
		found += compareWithTwin(t, seed, 60)
	}
	if found < 3000 {
		t.Errorf("only %d sequences were found", found)
	}
}

func FuzzSequence(f *testing.F) {
	f.Add(uint64(1), uint8(50))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { compareWithTwin(t, seed, int(n)) })
}
