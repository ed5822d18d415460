package disk

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gatewatch/gatewatch/cmd/gatewatch/state"
	"github.com/gatewatch/gatewatch/cmd/gatewatch/state/statetest"
)

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore runs the contract; a crash leaves what was synced and a random half of the rest.
func TestStore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	statetest.Run(t, statetest.Options{}, func(t *testing.T) statetest.Open {
		fs := vfs.NewCrashableMem()
		return func(crash bool) state.Store {
			if crash {
				fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: random})
			}
			s := mustOpen(t, Options{Dir: "state", FS: fs})
			t.Cleanup(func() { s.Close() })
			return s
		}
	})
}

// TestStoreOnDisk runs the contract in real folders.
func TestStoreOnDisk(t *testing.T) {
	statetest.Run(t, statetest.Options{Chunks: 300}, func(t *testing.T) statetest.Open {
		dir, open := t.TempDir(), state.Store(nil)
		return func(bool) state.Store {
			if open != nil {
				open.Close()
			}
			open = mustOpen(t, Options{Dir: dir})
			return open
		}
	})
}
