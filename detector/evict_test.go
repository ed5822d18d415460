package detector

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

const pressedRules = `
rules:
  - {id: ids, title: t, detect: distinct, by: client_id, count: path.id, window: 40s, limit: 8}
  - {id: requests, title: t, detect: rate, by: client_id, window: 60s, limit: 20}
  - {id: places, title: t, detect: simultaneous, by: client_id, across: country, window: 60s, alternations: 4}
  - {id: night, title: t, detect: off_hours, by: client_id, learn: {min_events: 5, min_days: 1}}
  - {id: pairs, title: t, detect: rate, by: [client_id, source_ip], window: 60s, limit: 12}
  - id: buying
    title: t
    detect: workflow
    by: client_id
    steps: {cart: {route: "/users/{id}", status: 201}, pay: {route: "/users/{id}", status: 202}}
    workflows: [{name: purchase, path: [cart, pay]}]
    guard: [pay]
`

// crowd is traffic of many clients, of which some come often and most seldom, with pauses of hours and nights in it.
func crowd(seed uint64, n int) []event.Event {
	r := rand.New(rand.NewPCG(seed, 3))
	names := []string{"London", "Paris", "Tokyo"}
	at := event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	events := make([]event.Event, n)
	for i := range events {
		at += event.Time(r.IntN(100))
		if r.IntN(n/4) == 0 {
			at += event.Time(r.IntN(16 * 3600_000))
		}
		client := int(r.ExpFloat64() * 150)
		place := places[names[r.IntN(len(names))]]
		events[i] = event.Event{
			Time: at - event.Time(r.IntN(1500)), Offset: int64(i), ClientID: fmt.Sprint("client-", client), Method: "GET", Route: "/users/{id}",
			Path: fmt.Sprint("/users/", r.IntN(40)), Status: []int32{200, 200, 200, 201, 202}[r.IntN(5)],
			SourceIP: place.ip, IPText: place.ip.String(), Geo: place.geo,
		}
	}
	return events
}

// pressed are limits that a crowd reaches: on the number in one case, on the memory in the other.
var pressed = map[string]Limits{
	"entities": {Entities: map[string]int{"": 100, "client_id": 80}},
	"bytes":    {Bytes: fewestBytes},
	"both":     {Entities: map[string]int{"client_id+source_ip": 150}, Bytes: fewestBytes},
}

// TestSameEvictionsHoweverFed is [TestScenarios] for a crowd that the limits do not have room for: which entities have to go,
// and so which alerts come, must not depend on how the events arrive.
func TestSameEvictionsHoweverFed(t *testing.T) {
	for name, limits := range pressed {
		t.Run(name, func(t *testing.T) {
			s := &scenario{rules: []byte(pressedRules), events: crowd(1, 3000), limits: limits, lanes: 1}
			want := s.run(t, plainRun)
			left := s.left
			s.limits = Limits{}
			if free := s.run(t, plainRun); cmp.Equal(free, want) {
				t.Fatal("the limits make no difference: the test is too easy")
			}
			s.limits = limits
			for _, v := range variants {
				if diff := cmp.Diff(lines(want), lines(s.run(t, v))); diff != "" {
					t.Errorf("with %s the alerts differ (-plain +%s):\n%.2000s", v.name, v.name, diff)
				}
				if diff := cmp.Diff(left, s.left); diff != "" {
					t.Errorf("with %s other entities are left (-plain +%s):\n%.2000s", v.name, v.name, diff)
				}
			}
		})
	}
}

// TestSameEvictionsWhenKilled is [TestKilledAnywhere] for such a crowd.
func TestSameEvictionsWhenKilled(t *testing.T) {
	for name, limits := range pressed {
		t.Run(name, func(t *testing.T) {
			s := &scenario{rules: []byte(pressedRules), events: crowd(2, 2500), limits: limits, lanes: 1}
			want := s.run(t, plainRun)
			for seed := range uint64(3) {
				m := &mortal{
					t: t, set: parseRules(t, s.rules), options: Options{Disorder: 2 * time.Second, Lanes: 1, Workers: 1, Limits: limits},
					inputs: map[event.Partition][]event.Event{{Topic: "test"}: s.events}, random: rand.New(rand.NewPCG(seed, 7)),
					saves: 150, // or none would be complete before the next kill
				}
				if diff := cmp.Diff(lines(want), lines(m.run())); diff != "" {
					t.Fatalf("seed %d: the alerts differ (-undisturbed +killed):\n%.2000s", seed, diff)
				}
				if diff := cmp.Diff(s.left, m.left); diff != "" {
					t.Fatalf("seed %d: other entities are left (-undisturbed +killed):\n%.2000s", seed, diff)
				}
			}
		})
	}
}

// flooded is an engine under a flood of new keys.
type flooded struct {
	*Engine
	t      testing.TB
	at     event.Time
	offset int64
	batch  []event.Event
	raised []*alert.Alert
}

func newFlooded(t testing.TB, text string, o Options) *flooded {
	return &flooded{Engine: New(parseRules(t, []byte(text)), o), t: t, at: event.TimeOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))}
}

// call is a request of a client for an object, some time after the one before.
func (f *flooded) call(after event.Time, client string, object int) {
	f.at += after
	f.batch = append(f.batch, event.Event{
		Time: f.at, Offset: f.offset, ClientID: client, Method: "GET", Route: "/users/{id}", Path: fmt.Sprint("/users/", object), Status: 200,
	})
	if f.offset++; len(f.batch) == 1024 {
		f.push()
	}
}

// settle sees to it that everything up to now is applied, by a call that comes later.
func (f *flooded) settle() {
	f.call(2000, "late", 1)
	f.push()
}

func (f *flooded) push() {
	f.Push(f.NewPreparer().Prepare(&event.Batch{First: f.offset - int64(len(f.batch)), Next: f.offset, Events: f.batch}))
	f.batch = nil
	f.raised = append(f.raised, f.Advance()...)
}

func (f *flooded) kind(kind string) GroupStats {
	f.t.Helper()
	groups := f.Stats().Groups
	i := slices.IndexFunc(groups, func(g GroupStats) bool { return g.Kind == kind })
	if i < 0 {
		f.t.Fatalf("nothing is known of kind %s", kind)
	}
	return groups[i]
}

const profileRule = `
rules:
  - {id: profiles, title: t, detect: distinct, by: client_id, count: path.id, window: 1h, limit: 50}
`

// TestFloodKeepsSuspects shows a client that is at 40 of 50 when millions of new ones come, and one that was seen often: both
// must still be known when the flood is over, and the first raise an alert with its 51st object. The flood is counted.
func TestFloodKeepsSuspects(t *testing.T) {
	flood := 400_000 // ten millions in BenchmarkFlood
	if testing.Short() {
		flood = 150_000
	}
	const most = 64_000
	f := newFlooded(t, profileRule, Options{Disorder: time.Second, Lanes: 64, Workers: 2, Limits: Limits{Entities: map[string]int{"": most}}})
	for n := range 40 {
		f.call(1, "suspect", n)
		f.call(1, "regular", 1)
		f.call(1, "regular", 1)
	}
	f.push()
	quiet := heapInUse()
	for n := range flood {
		f.call(event.Time(b2u(n%5000 == 0))*1000, fmt.Sprint("flood-", n), 1)
		if n == flood/2 {
			f.holdsNoMore(most, quiet)
		}
	}
	for n := range 11 {
		f.call(1, "suspect", 40+n)
	}
	f.settle()
	key := f.program.Load().groups[0].key("regular")
	if f.lanes[key.Hi>>f.shift].tables[0].get(key) == nil {
		t.Error("a client that was seen often is forgotten for ones that were seen once")
	}
	f.holdsNoMore(most, quiet)
	f.countsEvictions(flood - most)
	f.raised = append(f.raised, f.Flush()...)
	if len(f.raised) == 0 || f.raised[0].Entity.ID != "suspect" || f.raised[0].Observed.Value != 51 {
		t.Fatalf("raised: %q", lines(f.raised))
	}
}

// holdsNoMore checks the number of entities, the memory that is counted for them, and the heap.
func (f *flooded) holdsNoMore(most int, quiet int64) {
	f.t.Helper()
	g := f.kind("client_id")
	if g.Entities > most || g.Entities < most*8/10 || g.Limit != most {
		f.t.Errorf("%d entities at a limit of %d (%d)", g.Entities, g.Limit, most)
	}
	if heap := heapInUse() - quiet; heap > 3*g.Bytes+20<<20 {
		f.t.Errorf("the heap has grown by %d bytes for %d that are counted", heap, g.Bytes)
	}
}

func (f *flooded) countsEvictions(least int) {
	f.t.Helper()
	g := f.kind("client_id")
	if g.Evicted < uint64(least) || g.EvictedSuspicious != 0 {
		f.t.Errorf("%d evicted, %d of them suspicious; want at least %d and none", g.Evicted, g.EvictedSuspicious, least)
	}
	intervals := f.Evictions()
	if len(intervals) != 1 || intervals[0].Kind != "client_id" || intervals[0].Count != g.Evicted || intervals[0].From >= intervals[0].To {
		f.t.Errorf("intervals %v, evicted %d", intervals, g.Evicted)
	}
	if again := f.Evictions(); len(again) > 0 {
		f.t.Errorf("told twice: %v", again)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFloodOfSuspectsIsBounded lets only suspicious clients come: their number stays within the limit, those with an alert
// are kept as long as there are others, and an alert whose client has to go is closed.
func TestFloodOfSuspectsIsBounded(t *testing.T) {
	const most = 256
	f := newFlooded(t, profileRule, Options{Disorder: time.Second, Lanes: 1, Workers: 1, Limits: Limits{Entities: map[string]int{"": most}}})
	open := func(client string) {
		for n := range 51 {
			f.call(1, client, n)
		}
	}
	open("first")
	for client := range 2000 {
		for n := range 25 {
			f.call(1, fmt.Sprint("suspect-", client), n)
		}
	}
	f.settle()
	if g := f.kind("client_id"); g.Entities != most || g.EvictedSuspicious != g.Evicted || g.Evicted != 2001-most {
		t.Fatalf("%+v", g)
	}
	if got := lines(f.raised); len(got) != 1 {
		t.Fatalf("the only client with an open alert is gone: %q", got)
	}
	for client := range 1000 {
		open(fmt.Sprint("open-", client))
	}
	f.settle()
	if g := f.kind("client_id"); g.Entities != most {
		t.Fatalf("%+v", g)
	}
	if timers := len(f.lanes[0].timers); timers > most+2*fewOrphans {
		t.Errorf("%d timers for %d entities", timers, most)
	}
	f.raised = append(f.raised, f.Flush()...)
	states := map[alert.State]int{}
	for _, a := range f.raised {
		states[a.State]++
	}
	if states[alert.Open] != 1001 || states[alert.Closed] != 1001 {
		t.Errorf("%v; every alert opens and closes once", states)
	}
}

// TestMemoryLimit floods an engine that has a limit on memory alone with clients whose windows are large.
func TestMemoryLimit(t *testing.T) {
	const most = 16 << 20
	f := newFlooded(t, profileRule, Options{Disorder: time.Second, Lanes: 64, Workers: 1, Limits: Limits{Bytes: most}})
	quiet := heapInUse()
	for client := range 30_000 {
		for n := range 24 {
			f.call(0, fmt.Sprint("client-", client), n)
		}
		f.at += 10
	}
	f.settle()
	g := f.kind("client_id")
	if g.Bytes > most+64*2048 || g.Bytes < most/2 {
		t.Errorf("%d bytes at a limit of %d", g.Bytes, most)
	}
	if heap := heapInUse() - quiet; heap > 2*most {
		t.Errorf("the heap has grown by %d bytes at a limit of %d", heap, most)
	}
	if g.Evicted == 0 {
		t.Error("no eviction is counted")
	}
}

// TestVictim shows in which order entities have to go.
func TestVictim(t *testing.T) {
	const now = 100 * coolAfter
	set := parseRules(t, []byte(profileRule))
	l := newLane(compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{}), Options{Lanes: 1})
	slot := l.program.rules[0].slot
	order := []struct {
		name    string
		hits    uint16
		seen    event.Time
		episode *episode
	}{
		{"seen often, five days ago", 40, now - 5*coolAfter, &episode{}}, // its window is over: no suspicion is left
		{"seen once, before", 1, now - 5000, nil},
		{"seen once", 1, now - 10, nil},
		{"seen twice", 2, now, nil},
		{"seen often", 900, now - 2000, nil},
		{"suspected", 1, now - 3000, &episode{}},
		{"suspected and seen often", 900, now - 3000, &episode{}},
		{"accused", 1, now - 3000, &episode{version: 1}},
	}
	for i, o := range order {
		n := &entity{key: entityKey{Hi: 1, Lo: uint64(i*7%len(order)) << 40}, name: o.name, hits: o.hits, seen: o.seen}
		s := l.program.rules[0].detection.newState()
		s.observe(observation{event: &event.Event{Time: o.seen, Path: "/users/1", Route: "/users/{id}"}, now: o.seen})
		n.cells = []cell{{slot: slot, state: s, episode: o.episode}}
		l.tables[0].put(n)
	}
	for _, o := range order {
		v := l.victim(0, now, nil)
		if v.entity == nil || v.entity.name != o.name {
			t.Fatalf("the victim is %v, want %q", v.entity, o.name)
		}
		l.tables[0].delete(v.entity.key)
	}
	if v := l.victim(0, now, nil); v.entity != nil {
		t.Fatalf("a victim of an empty table: %v", v.entity)
	}
}

// TestSparedFromItself: what has just grown is not what has to go.
func TestSparedFromItself(t *testing.T) {
	set := parseRules(t, []byte(profileRule))
	l := newLane(compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{}), Options{Lanes: 1})
	n := &entity{key: entityKey{Hi: 1, Lo: 1}}
	l.tables[0].put(n)
	if v := l.victim(0, 1, n); v.entity != nil {
		t.Fatal("the entity that was to be spared is the victim")
	}
}

// TestNewcomersAreForgottenSoon: what was seen on one day is not remembered for a season, habits are.
func TestNewcomersAreForgottenSoon(t *testing.T) {
	const rule = `
rules:
  - {id: night, title: t, detect: off_hours, by: client_id, learn: {min_events: 3, min_days: 3}, new: country}
`
	d := New(parseRules(t, []byte(rule)), Options{Lanes: 1}).program.Load().rules[0].detection
	const day = 24 * 3600 * 1000
	for _, test := range []struct {
		days       int
		remembered event.Time // days
	}{{1, 7}, {2, 14}, {3, 90}} {
		s := d.newState()
		for n := range test.days {
			at := event.Time(20000+n) * day
			s.observe(observation{event: &event.Event{Time: at}, now: at})
		}
		last := event.Time(20000+test.days-1) * day
		if s.idle(last+test.remembered*day) || !s.idle(last+test.remembered*day+1) {
			t.Errorf("seen on %d days: not remembered for %d days", test.days, test.remembered)
		}
	}
}
