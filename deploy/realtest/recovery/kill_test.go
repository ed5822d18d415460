package recovery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// kills in one run.
const kills = 56

// TestKilledAtAnyMoment kills gatewatch again and again, at moments that hit its start, the restoring, checkpoints and
// deliveries, and now and then cuts it off from the broker or from ClickHouse over several lives.
func TestKilledAtAnyMoment(t *testing.T) {
	chance := realtest.Chance(t)
	s := newScene(t, 20*time.Minute, 3, stateIn("state"))
	fed := broker.Feed(s.ctx, s.name, partitions, s.lines, 90*time.Second)
	mend := func() {}
	for life := range kills {
		s.service.Start(t)
		s.live(chance)
		switch life % 8 {
		case 2:
			mend = cut(t, chance, s.source)
		case 5:
			mend = cut(t, chance, s.clickHouse)
		case 4, 7:
			mend()
		}
		realtest.Pass(s.ctx, time.Duration(chance.IntN(500))*time.Millisecond)
		s.service.Kill(t)
	}
	must(t, fed())
	s.service.Start(t)
	s.finish(t)
	few(t, s.inFile(t), len(s.want.Versions)/4)
	few(t, s.inTopic(t), len(s.want.Versions)/4)
}

// live lets a life last until it has read something and a little longer, or whatever it does a random time after its start.
func (s *scene) live(chance *rand.Rand) {
	if chance.IntN(2) == 0 {
		realtest.Pass(s.ctx, time.Duration(50+chance.IntN(1000))*time.Millisecond)
		return
	}
	s.within(4*time.Second, func() bool { return s.counted() > 0 })
	realtest.Pass(s.ctx, time.Duration(chance.IntN(500))*time.Millisecond)
}

// breakable is a [sinktest.Proxy].
type breakable interface {
	Down(*testing.T) func()
	Hang(*testing.T) func()
	Freeze(*testing.T) func()
}

// cut breaks the connection in one of the ways in which connections break.
func cut(t *testing.T, chance *rand.Rand, p breakable) (mend func()) {
	ways := []func(*testing.T) func(){p.Down, p.Hang, p.Freeze}
	return ways[chance.IntN(len(ways))](t)
}
