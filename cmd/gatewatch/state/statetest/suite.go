// Package statetest is the contract of state.Store as tests that every store runs.
package statetest

import (
	"testing"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
)

// Open opens the store of one place, the first time an empty one. After that the store before was either closed (crash is
// false) or must be taken for killed (crash is true): what it did not report as durable may be lost, and it is still there
// to be called.
type Open func(crash bool) state.Store

// Options say what a store can do beyond the contract.
type Options struct {
	Fences bool // when a store is opened while another is in use, the other gets state.ErrFenced
	Chunks int  // how many chunks the test of many stages; 0: 3000
	Big    int  // bytes of the largest chunk; 0: 3 MiB
}

// Run runs the suite. place makes a new empty place for a store.
func Run(t *testing.T, options Options, place func(t *testing.T) Open) {
	if options.Chunks == 0 {
		options.Chunks = 3000
	}
	if options.Big == 0 {
		options.Big = 3 << 20
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(&unit{T: t, options: options, open: place(t)})
		})
	}
	if options.Fences {
		t.Run("a successor fences", func(t *testing.T) { fencing(&unit{T: t, options: options, open: place(t)}) })
	}
}

var cases = []struct {
	name string
	run  func(*unit)
}{
	{"a new store is empty", newStore},
	{"the seed stays", seed},
	{"bases and deltas", basesAndDeltas},
	{"a new base makes older chunks obsolete", obsolete},
	{"a lane that became empty is gone", emptied},
	{"fewer lanes", fewerLanes},
	{"an idle lane stays", idleLane},
	{"a checkpoint without changes", unchanged},
	{"what was not committed is gone", uncommitted},
	{"the manifest comes back whole", manifests},
	{"chunks of all sizes", sizes},
	{"many chunks", manyChunks},
	{"order of the outbox", outboxOrder},
	{"After returns what fits", outboxFits},
	{"trimming", trimming},
	{"the sequence goes on after everything was trimmed", lastSurvives},
	{"settling", settling},
	{"outbox and checkpoints do not mix", independent},
	{"a context that has ended", ended},
}
