package detector

import (
	"slices"

	"github.com/gatewatch/gatewatch/detector/event"
)

// ref is one event that waits for its turn.
type ref struct {
	order     event.Time // its place in the order: its time, or the partition's watermark when it came late
	prepared  *Prepared
	index     int32 // in the batch
	partition int32 // number of the partition
}

// queue puts events into their order: by time, then partition, then offset. It is a calendar queue (Brown 1988): events
// wait in buckets of some milliseconds, and only whole buckets are taken and sorted.
type queue struct {
	buckets map[event.Time]*bucket
	starts  []event.Time // of the buckets, ascending
	last    *bucket      // the one used last
	free    []*bucket
}

type bucket struct {
	start event.Time
	refs  []ref
}

// bucketWidth is how many milliseconds a bucket covers: the step in which the watermark moves.
const bucketWidth = 32

func bucketStart(t event.Time) event.Time { return t &^ (bucketWidth - 1) }

func (q *queue) add(r ref) {
	start := bucketStart(r.order)
	if q.last == nil || q.last.start != start {
		q.last = q.bucket(start)
	}
	q.last.refs = append(q.last.refs, r)
}

func (q *queue) bucket(start event.Time) *bucket {
	if b := q.buckets[start]; b != nil {
		return b
	}
	b := &bucket{}
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	}
	b.start = start
	if q.buckets == nil {
		q.buckets = map[event.Time]*bucket{}
	}
	q.buckets[start] = b
	at, _ := slices.BinarySearch(q.starts, start)
	q.starts = slices.Insert(q.starts, at, start)
	return b
}

// take appends the events of the earliest buckets that end before or at to, in order, until there are at least atLeast of
// them. rank gives the order of partitions.
func (q *queue) take(dst []ref, to event.Time, atLeast int, rank []int32) []ref {
	n := 0
	for ; n < len(q.starts) && q.starts[n]+bucketWidth <= to && len(dst) < atLeast; n++ {
		b := q.buckets[q.starts[n]]
		delete(q.buckets, b.start)
		dst = q.sort(dst, b, rank)
		q.recycle(b)
	}
	q.starts = slices.Delete(q.starts, 0, n)
	return dst
}

// sort appends the bucket's events in order. It is a counting sort over the few milliseconds of a bucket; within one
// millisecond the events of a partition already are in order.
func (q *queue) sort(dst []ref, b *bucket, rank []int32) []ref {
	var ends [bucketWidth + 1]int
	for i := range b.refs {
		ends[b.refs[i].order-b.start+1]++
	}
	for i := range bucketWidth {
		ends[i+1] += ends[i]
	}
	base := len(dst)
	dst = slices.Grow(dst, len(b.refs))[:base+len(b.refs)]
	next := ends
	for i := range b.refs {
		ms := b.refs[i].order - b.start
		dst[base+next[ms]] = b.refs[i]
		next[ms]++
	}
	for i := range bucketWidth {
		sortPartitions(dst[base+ends[i]:base+ends[i+1]], rank)
	}
	return dst
}

func sortPartitions(refs []ref, rank []int32) {
	for i := 1; i < len(refs); i++ {
		if refs[i].partition != refs[0].partition {
			slices.SortStableFunc(refs, func(a, b ref) int { return int(rank[a.partition] - rank[b.partition]) })
			return
		}
	}
}

// maxFreeBuckets bounds the memory that empty buckets hold.
const maxFreeBuckets = 256

func (q *queue) recycle(b *bucket) {
	if q.last == b {
		q.last = nil
	}
	clear(b.refs)
	b.refs = b.refs[:0]
	if len(q.free) < maxFreeBuckets {
		q.free = append(q.free, b)
	}
}
