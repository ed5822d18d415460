package detector

import (
	stdcmp "cmp"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

// keptCheckpoint is what a store would have of an engine.
type keptCheckpoint struct {
	cut    Cut
	chunks []Chunk
	raised int // versions of alerts before the cut
}

// then returns k with a later checkpoint on top: a lane that it has whole makes what is older obsolete.
func (k *keptCheckpoint) then(cut Cut, chunks []Chunk, raised int) *keptCheckpoint {
	next := &keptCheckpoint{cut: cut, raised: raised}
	if k != nil {
		for _, c := range k.chunks {
			if !slices.Contains(cut.Bases, c.Lane) {
				next.chunks = append(next.chunks, c)
			}
		}
	}
	next.chunks = append(next.chunks, chunks...)
	return next
}

func (k *keptCheckpoint) restore(t *testing.T, set *rules.Set, o Options) (*Engine, []*alert.Alert) {
	t.Helper()
	r, err := Restore(set, o, k.cut.Meta)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range k.chunks {
		if err := r.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	e, closed, err := r.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return e, closed
}

// mortal runs an engine that is killed now and then and started again from its last complete checkpoint.
type mortal struct {
	t       *testing.T
	set     *rules.Set
	options Options
	inputs  map[event.Partition][]event.Event // by offset
	random  *rand.Rand
	saves   int // entities at a time, fewer than this; 0: four

	engine *Engine
	fed    map[event.Partition]int64 // offset to feed next
	kept   *keptCheckpoint
	cut    *Cut // under way
	chunks []Chunk
	at     int // versions raised before the cut under way
	raised []*alert.Alert
	known  map[string]bool // versions in raised that an engine may raise again
	left   []string        // what the engine knew before the end
}

func (m *mortal) feed(p event.Partition, n int) {
	events := m.inputs[p]
	from := m.fed[p]
	to := min(from+int64(n), int64(len(events)))
	m.fed[p] = to
	m.engine.Push(m.engine.NewPreparer().Prepare(&event.Batch{Partition: p, First: from, Next: to, Events: slices.Clone(events[from:to])}))
	m.take(m.engine.Advance())
}

// take keeps what is raised, but for what was raised before the last kill: that must be the same.
func (m *mortal) take(alerts []*alert.Alert) {
	for _, a := range alerts {
		key := fmt.Sprint(a.ID, " ", a.Version)
		if m.known[key] {
			continue
		}
		m.known[key] = true
		m.raised = append(m.raised, a)
	}
}

// checkpoint goes on with the checkpoint under way, or begins one.
func (m *mortal) checkpoint(entities int) {
	if m.cut == nil {
		cut := m.engine.Cut()
		m.cut, m.chunks, m.at = &cut, nil, len(m.raised)
	}
	chunks, finished, err := m.engine.Save(entities)
	if err != nil {
		m.t.Fatal(err)
	}
	m.chunks = append(m.chunks, chunks...)
	if finished {
		m.kept = m.kept.then(*m.cut, m.chunks, m.at)
		m.cut = nil
	}
}

func (m *mortal) kill() {
	m.cut = nil
	m.fed = map[event.Partition]int64{}
	if m.kept == nil {
		m.engine = New(m.set, m.options)
		m.assign()
		return
	}
	var closed []*alert.Alert
	m.engine, closed = m.kept.restore(m.t, m.set, m.options)
	if len(closed) > 0 {
		m.t.Fatalf("alerts are closed although no rule is gone: %v", lines(closed))
	}
	m.assign()
	for p, offset := range m.kept.cut.Positions {
		m.fed[p] = max(0, offset)
	}
}

// assign tells the engine of all inputs, so that its watermark waits for each.
func (m *mortal) assign() {
	for p := range m.inputs {
		m.engine.Assign(p)
	}
}

func (m *mortal) finished() bool {
	for p, events := range m.inputs {
		if m.fed[p] < int64(len(events)) {
			return false
		}
	}
	return true
}

// run feeds everything in random pieces, with checkpoints and kills in between.
func (m *mortal) run() []*alert.Alert {
	var inputs []event.Partition
	for p := range m.inputs {
		inputs = append(inputs, p)
	}
	slices.SortFunc(inputs, func(a, b event.Partition) int { return int(a.ID - b.ID) })
	m.known = map[string]bool{}
	m.kill()
	for kills := 0; !m.finished(); {
		m.feed(inputs[m.random.IntN(len(inputs))], 1+m.random.IntN(12))
		m.checkpoint(m.random.IntN(stdcmp.Or(m.saves, 4)))
		if m.random.IntN(12) == 0 && kills < 40 {
			kills++
			m.kill()
		}
	}
	m.left = contents(m.engine)
	m.take(m.engine.Flush())
	return m.raised
}

// TestKilledAnywhere kills every scenario at random moments, checkpoints under way included: the alerts are those of a run
// that nothing has disturbed.
func TestKilledAnywhere(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := loadScenario(t, file)
			want := s.run(t, plainRun)
			for seed := range uint64(5) {
				m := &mortal{
					t: t, set: parseRules(t, s.rules), options: Options{Disorder: 2 * time.Second, Lanes: stdcmp.Or(s.lanes, 8), Workers: 2, Limits: s.limits},
					inputs: map[event.Partition][]event.Event{{Topic: "test"}: s.events}, random: rand.New(rand.NewPCG(seed, 7)),
				}
				if diff := cmp.Diff(want, m.run()); diff != "" {
					t.Fatalf("seed %d: the alerts differ (-undisturbed +killed):\n%s", seed, diff)
				}
			}
		})
	}
}

// TestKilledWithDisorderlyPartitions does the same to several partitions with late, leaping and duplicate times.
func TestKilledWithDisorderlyPartitions(t *testing.T) {
	inputs := map[event.Partition][]event.Event{}
	var all [][]event.Event
	for i := range 3 {
		events := disorderly(uint64(i), 1500)
		all = append(all, events)
		inputs[event.Partition{Topic: "t", ID: int32(i)}] = events
	}
	want := interleave(t, 0, all)
	for seed := range uint64(6) {
		m := &mortal{
			t: t, set: parseRules(t, []byte(orderRules)), options: Options{Disorder: 2 * time.Second, Lanes: 4, Workers: 1},
			inputs: inputs, random: rand.New(rand.NewPCG(seed, 9)),
		}
		got := m.run()
		slices.SortStableFunc(got, func(a, b *alert.Alert) int { return int(a.DetectedAt - b.DetectedAt) })
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Fatalf("seed %d: the alerts differ (-undisturbed +killed):\n%.3000s", seed, diff)
		}
	}
}

// checkpointed runs 90 calls of a client under the rules and returns a checkpoint of that.
func checkpointed(t *testing.T, set *rules.Set) *keptCheckpoint {
	t.Helper()
	e := New(set, Options{Disorder: time.Second, Lanes: 4, Workers: 1, Seed: 5})
	events := parseTraffic(t, "2026-03-02 10:00:00 x90 every 1s client_id=app GET /users/{n}/profile 200\n")
	e.Push(e.NewPreparer().Prepare(&event.Batch{Partition: event.Partition{Topic: "t"}, Next: 90, Events: events}))
	if raised := e.Advance(); len(raised) == 0 {
		t.Fatal("nothing was raised")
	}
	cut := e.Cut()
	chunks, finished, err := e.Save(1 << 20)
	if err != nil || !finished {
		t.Fatal(finished, err)
	}
	return (*keptCheckpoint)(nil).then(cut, chunks, 0)
}

const (
	twoRules = `
rules:
  - {id: kept, title: t, detect: rate, by: client_id, window: 10m, limit: 30}
  - {id: other, title: t, detect: rate, by: client_id, window: 10m, limit: 20}
`
	otherChanged = `
rules:
  - {id: other, title: t, by: client_id, detect: rate, window: 10m, limit: 25}
  - {limit: 30, window: 10m, id: kept, title: another title, detect: rate, by: client_id}
`
)

// TestRestartWithChangedRules keeps the windows of a rule whose text alone has changed, and closes what was open under one
// that means something else now.
func TestRestartWithChangedRules(t *testing.T) {
	kept := checkpointed(t, parseRules(t, []byte(twoRules)))
	e, closed := kept.restore(t, parseRules(t, []byte(otherChanged)), Options{Disorder: time.Second, Lanes: 4, Workers: 1})
	if len(closed) != 1 || closed[0].Rule.ID != "other" || closed[0].State != alert.Closed || closed[0].Version < 2 {
		t.Fatalf("closed: %v", lines(closed))
	}
	var left []string
	for _, l := range e.lanes {
		for _, n := range l.tables[0].all() {
			for _, c := range n.cells {
				left = append(left, e.Rules().Rules[c.index].ID)
			}
		}
	}
	if diff := cmp.Diff([]string{"kept"}, left); diff != "" {
		t.Fatalf("rules that know the client (-want +got):\n%s", diff)
	}
	if cut := e.Cut(); len(cut.Bases) != cut.Lanes {
		t.Errorf("lanes %v are saved whole: the rest would bring back what the old rule knew", cut.Bases)
	}
}

// TestRestoreWithOtherLanes moves entities to the lanes that they belong to now.
func TestRestoreWithOtherLanes(t *testing.T) {
	set := parseRules(t, []byte(twoRules))
	kept := checkpointed(t, set)
	for _, lanes := range []int{1, 2, 64} {
		e, _ := kept.restore(t, set, Options{Disorder: time.Second, Lanes: lanes, Workers: 2})
		g := e.program.Load().groups[0]
		key := g.key("app")
		if e.lanes[key.Hi>>e.shift].tables[0].get(key) == nil {
			t.Errorf("with %d lanes the client is not where events look for it", lanes)
		}
	}
}

// FuzzRestore feeds arbitrary bytes: an error or an engine that works, never a panic.
func FuzzRestore(f *testing.F) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(everyKind)})
	if err != nil {
		f.Fatal(err)
	}
	o := Options{Disorder: time.Second, Lanes: 2, Workers: 1}
	e := New(set, o)
	events := make([]event.Event, 0, 200)
	for i, ob := range randomEvents(3, 200) {
		ob.event.Offset = int64(i)
		events = append(events, *ob.event)
	}
	e.Push(e.NewPreparer().Prepare(&event.Batch{Next: 201, Events: events}))
	e.Advance()
	cut := e.Cut()
	chunks, _, err := e.Save(1000)
	if err != nil || len(chunks) == 0 {
		f.Fatal(err)
	}
	f.Add(cut.Meta, chunks[0].Data)
	f.Add(cut.Meta, chunks[0].Data[:len(chunks[0].Data)/2])
	f.Fuzz(func(_ *testing.T, meta, chunk []byte) {
		r, err := Restore(set, o, meta)
		if err != nil {
			return
		}
		if r.Add(Chunk{Data: chunk}) != nil {
			return
		}
		restored, _, err := r.Finish()
		if err != nil {
			return
		}
		restored.Push(restored.NewPreparer().Prepare(&event.Batch{First: 300, Next: 301, Events: []event.Event{{Time: events[0].Time, Offset: 300, ClientID: "c", Method: "GET", Path: "/", Route: "/", Status: 200}}}))
		restored.Flush()
	})
}

// A step of a checkpoint is as long as what it encodes: entities that were encoded because they changed are passed over quickly,
// but not for nothing, and the others are not encoded at once because those were quick.
func TestSaveIsBounded(t *testing.T) {
	const entities = 160
	steps := func(changed int) (n int) {
		e := New(parseRules(t, []byte(everyKind)), Options{Disorder: time.Second, Lanes: 1, Workers: 1})
		var events []event.Event
		call := func(client string, after event.Time) {
			at := event.Time(1_700_000_000_000)
			if len(events) > 0 {
				at = events[len(events)-1].Time + after
			}
			events = append(events, event.Event{Time: at, Offset: int64(len(events)), ClientID: client, Method: "GET", Path: "/", Route: "/", Status: 200})
		}
		push := func(clients int) {
			from := len(events)
			for i := range clients {
				call(fmt.Sprint("client-", i), 1)
			}
			call("last", 5000) // lets the others pass the watermark
			e.Push(e.NewPreparer().Prepare(&event.Batch{First: int64(from), Next: int64(len(events)), Events: slices.Clone(events[from:])}))
			e.Advance()
		}
		push(entities)
		e.Cut()
		push(changed)
		for finished := false; !finished; n++ {
			var err error
			if _, finished, err = e.Save(1); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := steps(0); n < entities || n > entities+1 {
		t.Errorf("%d steps to encode %d entities one by one", n, entities)
	}
	if n := steps(entities); n < entities/skips || n > entities/skips+2 {
		t.Errorf("%d steps to pass over %d entities", n, entities)
	}
}
