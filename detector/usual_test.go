package detector

import (
	"math/rand/v2"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
)

// windowsOf shows one value in each of the windows of a minute.
func windowsOf(u *usual, limit float64, from int, values ...float64) (next int) {
	for i, v := range values {
		u.see(v, limit, event.Time(from+i)*60_000, 60_000)
	}
	return from + len(values)
}

func TestUsual(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var u usual
	at := 1
	for range 200 {
		at = windowsOf(&u, 50, at, float64(2+r.IntN(3)))
	}
	if u.typical < 2.5 || u.typical > 3.5 {
		t.Errorf("of 2 to 4 in each window, %v is usual", u.typical)
	}
	before := u.typical
	at = windowsOf(&u, 50, at, 49, 3)
	if u.typical > before+before/9+1 {
		t.Errorf("one wild window moves what is usual from %v to %v", before, u.typical)
	}
	at = windowsOf(&u, 50, at, 51)
	before = u.typical
	for range 100 {
		at = windowsOf(&u, 50, at, 51)
	}
	if u.typical != before {
		t.Errorf("windows above the limit move what is usual from %v to %v", before, u.typical)
	}
}

func TestUsualFollowsSlowly(t *testing.T) {
	var u usual
	at := 1
	for range 100 {
		at = windowsOf(&u, 1000, at, 10)
	}
	for range 100 {
		at = windowsOf(&u, 1000, at, 100)
	}
	if u.typical < 90 || u.typical > 100 {
		t.Errorf("after 100 windows of 100, %v is usual", u.typical)
	}
}

func TestUsualNeedsWindows(t *testing.T) {
	var u usual
	windowsOf(&u, 50, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3)
	if u.known() {
		t.Error("usual after nine windows")
	}
	windowsOf(&u, 50, 11, 3)
	if !u.known() || u.text(number) != ", usually 3" {
		t.Errorf("after ten windows of 3: %q", u.text(number))
	}
}

// TestStateWithoutUsual reads what was written before anything was usual.
func TestStateWithoutUsual(t *testing.T) {
	set := parseRules(t, []byte("rules: [{id: many, detect: distinct, by: client_id, count: path.id, window: 1m, limit: 3}]"))
	p := compile(set, nil, &slots{ids: map[[16]byte]slotID{}}, &numbers{}, Options{Seed: 1})
	s := p.rules[0].detection.newState().(*distinctState)
	for _, o := range randomEvents(3, 40) {
		s.observe(o)
	}
	b, err := s.values.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	decoded, rest, err := p.rules[0].detection.decode(b, &interner{})
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	if again, err := decoded.(*distinctState).values.AppendBinary(nil); err != nil || string(again) != string(b) {
		t.Error("the window is not what it was", err)
	}
}
