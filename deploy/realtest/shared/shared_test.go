package shared

import (
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
)

// TestInstancesComeAndGo has two routers and three instances share the telemetry while they are killed, paused beyond their
// session, cut off, added and stopped. Telemetry comes all the time.
func TestInstancesComeAndGo(t *testing.T) {
	f := newFleet(t)
	toRouter, toB := broker.Proxy(t, 1), broker.Proxy(t, 2)
	f.router(t, "router-1", toRouter.Addr)
	f.router(t, "router-2", broker.Plain())
	f.instance(t, "a", broker.Plain())
	f.instance(t, "b", toB.Addr)
	f.instance(t, "c", broker.Plain())

	f.untilOwned(t, "a", "b", "c")
	fed := broker.Feed(f.ctx, f.name, partitions, f.lines, 80*time.Second)
	for _, blow := range []func(){
		func() { // an instance dies and comes back
			f.services["a"].Kill(t)
			f.untilOwned(t, "b", "c")
		},
		func() {
			f.services["a"].Start(t)
			f.untilOwned(t, "a", "b", "c")
		},
		func() { f.pause(t, "c", "a", "b") },
		func() { // an instance is added
			f.instance(t, "d", broker.Plain())
			f.untilOwned(t, "a", "b", "c", "d")
		},
		func() { // the network of one is cut, and what it had sent arrives later
			thaw := toB.Freeze(t)
			f.untilOwned(t, "a", "c", "d")
			thaw()
			f.untilOwned(t, "a", "b", "c", "d")
		},
		func() { // a router dies while the other is cut off
			thaw := toRouter.Freeze(t)
			f.services["router-2"].Kill(t)
			f.services["router-2"].Start(t)
			realtest.Pass(f.ctx, session+session/2)
			thaw()
		},
		func() { f.pause(t, "router-2") },
		func() { // two die at once
			f.services["a"].Kill(t)
			f.services["d"].Kill(t)
			f.untilOwned(t, "b", "c")
		},
		func() { // one leaves in order
			f.services["a"].Start(t)
			f.untilOwned(t, "a", "b", "c")
			f.services["b"].Stop(t)
			f.untilOwned(t, "a", "c")
		},
	} {
		blow()
		realtest.Pass(f.ctx, 2*time.Second)
	}
	must(t, fed())
	f.finish(t)
}
