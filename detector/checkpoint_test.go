package detector

import (
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

	engine *Engine
	fed    map[event.Partition]int64 // offset to feed next
	kept   *keptCheckpoint
	cut    *Cut // under way
	chunks []Chunk
	at     int // versions raised before the cut under way
	raised []*alert.Alert
	known  map[string]bool // versions in raised that an engine may raise again
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
		m.checkpoint(m.random.IntN(4))
		if m.random.IntN(12) == 0 && kills < 40 {
			kills++
			m.kill()
		}
	}
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
			for seed := range uint64(8) {
				m := &mortal{
					t: t, set: parseRules(t, s.rules), options: Options{Disorder: 2 * time.Second, Lanes: 8, Workers: 2},
					inputs: map[event.Partition][]event.Event{{Topic: "test"}: s.events}, random: rand.New(rand.NewPCG(seed, 7)),
				}
				if diff := cmp.Diff(want, m.run()); diff != "" {
					t.Fatalf("seed %d: the alerts differ (-undisturbed +killed):\n%s", seed, diff)
				}
			}
		})
	}
}
