// Package keyed is the format of the topic that `gatewatch route` writes: the events of the raw topics, again, in partitions
// that are chosen by the entities they belong to, so that one consumer of a partition sees everything of its entities.
//
// # Records
//
// The value of a Kafka record is a run of events of one raw partition for one partition of the keyed topic ([Run]): a
// [Header], then the events, column by column. Strings that repeat are written once in a record. A record without events is
// a mark: it says how far the raw partition is done. Where a copy goes says [Partition]; an event of several kinds of
// entities has one copy in each partition that one of them belongs to, and each copy says for which kinds it is meant.
//
//	byte    format version, 2; readers know 1 too, so replace them before the routers
//	byte    packing of the rest: 0 none, 1 zstd
//	bytes   what seldom changes: kinds, raw topics with their numbers of partitions, number of keyed partitions
//	…       raw partition, from, next, progress, caught up, written
//	…       number of events, lengths of the columns, columns, texts
//
// Numbers are variable-length (base 128), signed ones in zigzag form, lists and bytes have their length in front. A column
// without any byte stands for zeros or empty strings. Strings are numbers: 0 is empty, 2n-1 the next n bytes of the column's
// text, which become a word of the column, and 2w+2 its word w.
//
// # Chains
//
// From one raw partition to one keyed partition, records are a chain: each says from which raw offset on it is complete
// (from) and up to which (next). Routers come and go, so the chain of a successor can overlap what its predecessor wrote,
// and a router that was overtaken without noticing, a zombie, can write late. Consumers therefore follow a rule, see [Chain]:
// known is the raw offset before which they have everything; a record with from <= known is taken, without its events before
// known, and known becomes max(known, next); a record with from > known is left out whole.
//
// Nothing is taken twice, since events before known are left out, and what is taken of a record lies between known and next.
//
// Nothing is lost. What a record with from > known lacks was written, or will be, by somebody else: a router commits a raw
// offset only after the broker has acknowledged records to all keyed partitions whose next reached it. So when a router
// begins at the committed offset c, each keyed partition's log already holds an unbroken chain to c, in front of the
// router's own records: a consumer has known >= c when it comes to the first of them, and by induction known >= from for
// each further one, as an idempotent producer keeps their order. Every record of the rightful owner of a raw partition is
// therefore taken. Who sends a record with from > known is not the owner any more, or its producer has failed and it is about
// to begin again at what is committed; in both cases the owner's chain covers the same offsets.
//
// Somebody can still break the promise from outside: by moving the group's offsets forward, or by losing them while the raw
// topic no longer holds what was known last. No owner then would ever be taken again. So a raw partition of which nothing was
// taken for [Patience], although records of it come, begins anew, and that is told as a gap.
package keyed
