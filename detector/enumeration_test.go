package detector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/detector/window"
)

func TestSequenceNumber(t *testing.T) {
	for id, want := range map[string]uint64{
		"42": 42, "00042": 42, "ORD-000123": 123, "ORD-2026-000123": 123, "42.pdf": 42, "order-42-copy": 42, "0": 0,
		"999999999999999999": 999_999_999_999_999_999, "20261122000000000000000007": 7,
	} {
		if _, got, ok := sequenceNumber(id); !ok || got != want {
			t.Errorf("%s: %d, %v, want %d", id, got, ok, want)
		}
	}
	for _, id := range []string{"", "me", "8c5f8a1e-93b0-4c8a-a5b3-1f0e6c1d7a41", "65a1b2c3d4e5f60718293a4b", "1-2-3-4"} {
		if _, n, ok := sequenceNumber(id); ok {
			t.Errorf("%q: %d, want none", id, n)
		}
	}
}

// TestShapesOfIDs tells which ids can follow each other.
func TestShapesOfIDs(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"41", "42", true}, {"99", "100", true}, {"ORD-000099", "ORD-000100", true}, {"1.pdf", "2.pdf", true},
		{"ORD-1", "INV-2", false}, {"2025-1", "2026-2", false}, {"1.pdf", "2.png", false}, {"a1", "1a", false}, {"x1", "1", false},
	} {
		a, _, _ := sequenceNumber(c.a)
		b, _, _ := sequenceNumber(c.b)
		if (a == b) != c.same {
			t.Errorf("%s and %s: one shape is %v, want %v", c.a, c.b, a == b, c.same)
		}
	}
}

func TestAnswers(t *testing.T) {
	for status, want := range map[int32]answer{
		200: answered, 204: answered, 206: answered, 304: answered, 403: denied, 404: denied, 410: denied,
		199: neither, 300: neither, 301: neither, 400: neither, 401: neither, 405: neither, 429: neither, 500: neither, 503: neither,
	} {
		if got := answerOf(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

const enumerationRule = `
rules:
  - id: orders
    detect: enumeration
    by: client_id
    where: {route: "/orders/{id}"}
    count: path.id
    window: 10m
    found: {limit: 1000, newcomer_limit: 10000}
    denied: {limit: 1000}
    sequential: {limit: 1000}
    learn: {min_events: 1, min_days: 1}
    remember: 256
`

const aDay = event.Time(24 * 3600_000)

func enumerationOf(t testing.TB) *enumerationState {
	r := parseRules(t, []byte(enumerationRule)).Rules[0]
	return newDetection(r, Options{}).newState().(*enumerationState)
}

func asks(at event.Time, id string, status int32) observation {
	return observation{event: &event.Event{Time: at, Path: "/orders/" + id, Route: "/orders/{id}", Status: status}, now: at}
}

// TestNewObjectsFromASample reads ten times as many objects as are remembered, the same for three days, and on the fourth day as
// many others.
func TestNewObjectsFromASample(t *testing.T) {
	const objects = 2560
	s := enumerationOf(t)
	read := func(day event.Time, prefix string) (f finding) {
		for i := range objects {
			f = s.observe(asks(1_800_000_000_000+day*aDay+event.Time(100*i), fmt.Sprint(prefix, i), 200))
		}
		return f
	}
	read(0, "own-")
	for day := range event.Time(3) {
		if f := read(1+day, "own-"); f.suspicious || s.fresh.Total(int64(s.newest), s.d.width) != 0 {
			t.Errorf("on day %d own objects are found: %+v", 1+day, f)
		}
		if n, _ := s.walks.Total(int64(s.newest), s.d.width); n > 100 {
			t.Errorf("on day %d %d own objects are in sequence", 1+day, n)
		}
	}
	f := read(4, "other-")
	if !f.over || f.err == 0 || f.limit != 1000 {
		t.Errorf("of %d others: %+v", objects, f)
	}
	if f = s.judged(1050); !f.suspicious || f.over {
		t.Errorf("a sample of 1,050 others is over the limit of 1,000: %+v", f)
	}
	if b := s.touched.Size(); b > 2*8*256 {
		t.Errorf("%d bytes of memory", b)
	}
}

// judged judges as many new objects at an hour in which there are no others.
func (s *enumerationState) judged(n int64) finding {
	at := s.newest + 3_600_000
	for weight := int64(s.touched.Weight()); n > 0; n -= weight {
		s.fresh.Add(int64(at), uint32(weight), s.d.width, s.d.slots)
	}
	s.found = new(window.Distinct)
	return s.judgeNew(at)
}

// TestEnumerationDoesNotAllocate in the steady state: ids known, denied, in sequence and in no order.
func TestEnumerationDoesNotAllocate(t *testing.T) {
	s, r := enumerationOf(t), rand.New(rand.NewPCG(1, 1))
	at := event.Time(1_800_000_000_000)
	var all []observation
	for i := range 4000 {
		o := asks(at, fmt.Sprint(r.IntN(200)+1000*b2int(i%3 == 0)), []int32{200, 404}[i%2])
		all = append(all, o)
	}
	next := 0
	step := func() {
		o := all[next%len(all)]
		at += 5000
		o.event.Time, o.now = at, at
		if f := s.observe(o); f.over {
			t.Fatal("over the limit")
		}
		next++
	}
	for range 20_000 {
		step()
	}
	if n := testing.AllocsPerRun(2000, step); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func b2int(b bool) int { return int(b2u(b)) }

// TestHugeIDs are neither kept nor shown.
func TestHugeIDs(t *testing.T) {
	s := enumerationOf(t)
	for i := range 50 {
		s.observe(asks(1_800_000_000_000, strings.Repeat("9\x1b", 4000)+fmt.Sprint(i), 200))
		s.observe(asks(1_800_000_000_000, strings.Repeat("1", 4000)+fmt.Sprint(i), 200))
	}
	if n := s.size(); n > 8000 {
		t.Errorf("%d bytes for 100 ids", n)
	}
}

func TestGraver(t *testing.T) {
	for _, c := range []struct {
		a, b finding
		want bool
	}{
		{finding{value: 9, limit: 3, growing: true}, finding{value: 20, limit: 10, growing: true}, true},
		{finding{value: 20, limit: 10, growing: true}, finding{value: 9, limit: 3, growing: true}, false},
		{finding{value: 11, limit: 10, growing: true}, finding{value: 10, limit: 10, growing: true}, true},
		{finding{value: 2}, finding{value: 1, limit: 5}, true},
	} {
		if got := c.a.graver(c.b); got != c.want {
			t.Errorf("%+v graver than %+v: %v", c.a, c.b, got)
		}
	}
}

func BenchmarkEnumeration(b *testing.B) {
	s := enumerationOf(b)
	at := event.Time(1_800_000_000_000)
	var all []observation
	for i := range 500 {
		all = append(all, asks(at, fmt.Sprint(i*7919%1000), 200))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		o := all[i%len(all)]
		at += 1000
		o.event.Time, o.now = at, at
		s.observe(o)
		i++
	}
}
