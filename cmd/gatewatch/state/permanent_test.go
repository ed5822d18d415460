package state

import (
	"errors"
	"fmt"
	"testing"
)

// The delivery queue tries again what may pass, and must not do so with these.
func TestErrorsArePermanent(t *testing.T) {
	for _, err := range []error{ErrFenced, ErrVersion, ErrCorrupt} {
		var p interface{ Permanent() bool }
		wrapped := fmt.Errorf("settle: %w", err)
		if !errors.As(wrapped, &p) || !p.Permanent() || !errors.Is(wrapped, err) {
			t.Errorf("%v is not permanent", err)
		}
	}
	if errors.Is(ErrFenced, ErrCorrupt) {
		t.Error("two errors are one")
	}
}
