package keyed

import "github.com/zeebo/xxh3"

// Place says which partition of the keyed topic an entity belongs to: the 64-bit xxh3 (seed 0) of its kind, a zero byte and
// its name, modulo the number of partitions. One goroutine uses it.
type Place struct {
	Partitions int32
	buffer     []byte
}

// Of returns the partition of the entity.
func (p *Place) Of(kind, name string) int32 {
	p.buffer = append(append(append(p.buffer[:0], kind...), 0), name...)
	return int32(xxh3.Hash(p.buffer) % uint64(p.Partitions))
}

// Partition returns the partition of the entity among the given number.
func Partition(kind, name string, partitions int32) int32 {
	return (&Place{Partitions: partitions}).Of(kind, name)
}
