package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/gatewatch/gatewatch/detector"
	"github.com/gatewatch/gatewatch/detector/event"
)

// floodResult is what an engine remembers after a flood of keys that it has never seen.
type floodResult struct {
	Keys        int     `json:"keys"` // of each kind
	Entities    int     `json:"entities"`
	Bytes       int64   `json:"entity_bytes"`
	HeapBytes   int64   `json:"heap_bytes"`
	Evicted     uint64  `json:"evicted"`
	NSPerEvent  float64 `json:"ns_per_event"`
	LimitMemory int64   `json:"entity_bytes_max"`
}

// benchFlood sends requests each of which has a client, user, token and address of its own, from the time at on. before is the
// heap without the engine.
func benchFlood(ctx context.Context, engine *detector.Engine, keys int, at event.Time, before int64) *floodResult {
	preparer, started := engine.NewPreparer(), time.Now()
	input := event.Partition{Topic: "flood"}
	for n := 0; n < keys && ctx.Err() == nil; n += benchChunk {
		events := make([]event.Event, benchChunk)
		for i := range events {
			events[i] = floodEvent(n+i, at+event.Time(n+i)/100)
		}
		engine.Push(preparer.Prepare(&event.Batch{Partition: input, First: int64(n), Next: int64(n + benchChunk), Events: events}))
		engine.Advance()
	}
	s := engine.Stats()
	r := &floodResult{Keys: keys, LimitMemory: s.MaxBytes, NSPerEvent: float64(time.Since(started).Nanoseconds()) / float64(keys)}
	for _, g := range s.Groups {
		r.Entities += g.Entities
		r.Bytes += g.Bytes
		r.Evicted += g.Evicted
	}
	r.HeapBytes = heap() - before
	return r
}

func floodEvent(n int, at event.Time) event.Event {
	address := netip.AddrFrom4([4]byte{byte(100 + n>>24), byte(n >> 16), byte(n >> 8), byte(n)})
	return event.Event{
		Time: at, Offset: int64(n), ClientID: fmt.Sprint("flood-", n), Subject: fmt.Sprint("nobody-", n), TokenID: fmt.Sprintf("tok_%032x", n),
		SourceIP: address, IPText: address.String(), Method: "GET", Path: "/users/1/profile", Route: "/users/{id}/profile", Status: 200,
	}
}
