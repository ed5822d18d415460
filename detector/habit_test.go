package detector

import (
	"testing"

	"github.com/gatewatch/gatewatch/rules"
)

// What an intruder brings takes the place of what he brought before, not of what is usual.
func TestHabitKeepsWhatIsUsual(t *testing.T) {
	learn := rules.Learning{MinDays: 5}
	var h habit
	for value := range uint32(3) {
		h.see(value, 1, true, learn, 4)
	}
	for value := range uint32(100) {
		h.see(1000+value, 9, false, learn, 4)
	}
	for value := range uint32(3) {
		if !h.usual(value) {
			t.Errorf("%d is usual no more", value)
		}
	}
	if len(h.values) != 4 || !(h.find(1099) >= 0) {
		t.Errorf("remembered are %+v", h.values)
	}
}

// Something becomes usual on as many different days as it takes, however often it comes on each.
func TestHabitIsMadeInDays(t *testing.T) {
	learn := rules.Learning{MinDays: 3}
	var h habit
	for day := uint16(1); day <= 4; day++ {
		for range 50 {
			if _, _, usual := h.see(7, day, false, learn, 4); usual && day < 3 {
				t.Fatalf("usual on day %d", day)
			}
		}
	}
	if !h.usual(7) {
		t.Error("not usual after 4 days")
	}
}
