package realtest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Chance draws the moments of a test from a seed that it prints. GATEWATCH_SEED repeats a run, as far as processes can.
func Chance(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("GATEWATCH_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("GATEWATCH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Pass lets time pass, at most as long as ctx lasts: the moment of a blow is nothing that could be waited for.
func Pass(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
