package state

import "time"

// About is what a store says of itself.
type About struct {
	Format string
	Made   time.Time // zero: that is not noted
	By     string    // the version of gatewatch that made it; empty: that is not noted
}
