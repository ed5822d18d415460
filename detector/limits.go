package detector

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatewatch/gatewatch/detector/window"
)

// Limits bound what an engine remembers. 0 is no limit.
//
// Each lane has an equal share of what is counted for the whole engine, [fewestEntities] and [fewestBytes] at least; a kind
// of entities is full when its lane is. Keys are spread evenly, so that a lane is full a few percent before the engine is.
// See [lane.makeRoom] for who has to go.
type Limits struct {
	Entities map[string]int // most entities of a kind, such as client_id or client_id+source_ip; of "" of every other kind
	Bytes    int64          // most memory that all entities take, as [GroupStats.Bytes] counts it
	Values   int            // most values or instants that a window keeps one by one before it estimates; at least 256
}

const (
	fewestEntities = 64        // in a lane, of a kind
	fewestBytes    = 256 << 10 // in a lane
)

// DefaultLimits returns five million entities of each kind, 4 GiB, and as many values as a window can hold.
//
// With the shipped rules an entity takes 500 to 800 bytes: memory is what limits them all together, and the number what
// keeps one kind, such as addresses, from taking the memory of all others. What the entities take is about three quarters of
// the heap, and Go needs half as much again while it collects garbage: a process at its limits takes about 8 GiB.
func DefaultLimits() Limits {
	return Limits{Entities: map[string]int{"": 5_000_000}, Bytes: 4 << 30, Values: window.MaxExact}
}

// Validate reports limits that cannot be kept.
func (l Limits) Validate() error {
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(l.Entities)) {
		if n := l.Entities[kind]; n < 0 {
			errs = append(errs, fmt.Errorf("entities: %s: %d is negative; 0 is no limit", cmp.Or(kind, "default"), n))
		}
	}
	if l.Bytes != 0 && l.Bytes < leastBytes {
		errs = append(errs, fmt.Errorf("memory: %d bytes, must be at least %d (16 MiB), or 0 for no limit", l.Bytes, leastBytes))
	}
	if l.Values != 0 && (l.Values < fewSlots || l.Values > window.MaxExact) {
		errs = append(errs, fmt.Errorf("values: %d, must be between %d and %d", l.Values, fewSlots, window.MaxExact))
	}
	return errors.Join(errs...)
}

// leastBytes is the smallest limit on memory: what 64 lanes have at least.
const leastBytes = 64 * fewestBytes

// Share returns the limits of one of n engines that share a machine.
func (l Limits) Share(n int) Limits {
	share := Limits{Entities: map[string]int{}, Values: l.Values}
	for kind, most := range l.Entities {
		if most > 0 {
			share.Entities[kind] = max(1, most/n)
		} else {
			share.Entities[kind] = 0
		}
	}
	if l.Bytes > 0 {
		share.Bytes = max(1, l.Bytes/int64(n))
	}
	return share
}

// entities returns how many entities of the kind one of so many lanes may have.
func (l Limits) entities(kind string, lanes int) int {
	n, ok := l.Entities[kind]
	if !ok {
		n = l.Entities[""]
	}
	if n == 0 {
		return 0
	}
	return max(n/lanes, fewestEntities)
}

// bytes returns how much memory the entities of one of so many lanes may take.
func (l Limits) bytes(lanes int) int64 {
	if l.Bytes == 0 {
		return 0
	}
	return max(l.Bytes/int64(lanes), fewestBytes)
}

// values returns how many values a window may keep of those that it asks for.
func (l Limits) values(wanted int) int {
	if l.Values == 0 {
		return wanted
	}
	return min(wanted, l.Values)
}
