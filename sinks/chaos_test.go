package sinks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// chaos is a destination that fails in every way a sink may report, and notes what it has truly taken.
type chaos struct {
	random *rand.Rand
	taken  map[string]int // by id and version
	latest map[string]int // version by id
	t      *testing.T
}

func (c *chaos) deliver(_ int, batch []*alert.Alert) error {
	switch c.random.IntN(4) {
	case 0:
		return &RetryError{After: time.Duration(c.random.IntN(5000)) * time.Millisecond, Err: errors.New("503")}
	case 1:
		return &RefusedError{Err: errors.New("400")}
	case 2:
		c.take(batch)
		return nil
	}
	partial := &PartialError{}
	for i, a := range batch {
		switch c.random.IntN(3) {
		case 0:
			partial.Retry = append(partial.Retry, i)
		case 1:
			partial.Refused = append(partial.Refused, Refusal{i, errors.New("mapping")})
		default:
			c.take([]*alert.Alert{a})
		}
	}
	return partial
}

func (c *chaos) take(batch []*alert.Alert) {
	for _, a := range batch {
		c.taken[key(a)]++
		if a.Version <= c.latest[a.ID] {
			c.t.Errorf("alert %s: version %d came after %d", a.ID, a.Version, c.latest[a.ID])
		}
		c.latest[a.ID] = a.Version
	}
}

// Whatever a destination answers, every alert is taken once or buried once, and versions never overtake each other.
func TestNothingLostWhateverTheAnswers(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			c := &chaos{random: rand.New(rand.NewPCG(seed, 2)), taken: map[string]int{}, latest: map[string]int{}, t: t}
			r, dead, config := &recorder{name: "r", script: c.deliver}, &graveyard{fail: 3}, testConfig()
			config.BatchAlerts, config.MaxAlerts = 1+random.IntN(8), 1+random.IntN(40)
			config.BatchDelay = time.Duration(random.IntN(300)) * time.Millisecond
			q := startQueue(t, Options{Destinations: []Destination{{Sink: r, Config: config}}, DeadLetters: dead})
			versions := map[string]int{}
			for range 200 {
				id := fmt.Sprint(random.IntN(10))
				versions[id]++
				enqueue(t, q, fmt.Sprintf("%s/%d", id, versions[id]))
			}
			closeQueue(t, q)
			for _, l := range dead.letters {
				c.taken[key(l.Alert)]++
			}
			if len(c.taken) != 200 {
				t.Errorf("seed %d: %d alerts settled, want 200", seed, len(c.taken))
			}
			for k, n := range c.taken {
				if n != 1 {
					t.Errorf("seed %d: alert %s settled %d times", seed, k, n)
				}
			}
			expect(t, "acknowledged", q.Acknowledged(), 200)
		})
	}
}
