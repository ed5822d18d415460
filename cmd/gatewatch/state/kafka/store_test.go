package kafka

import (
	"testing"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

func TestConformance(t *testing.T) {
	statetest.Run(t, statetest.Options{Fences: true}, func(t *testing.T) statetest.Open {
		f := newFake(t)
		return func(bool) state.Store { return f.open(t) }
	})
}
