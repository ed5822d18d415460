// Package kafka keeps state in a compacted Kafka topic: one partition of it for each partition of the topic that is keyed by
// entity, so that whoever is assigned one takes the other over, on whichever machine.
//
// # What is in the topic
//
// Every record has a key that a person can read, and a newer record of a key replaces the older:
//
//	seed                                      the format and the random number of the topic; in partition 0 only
//	format                                    the format of the partition
//	owner                                     who owns the partition, and its latest transaction
//	chunk/STAGER/CHECKPOINT/INDEX/PART        a chunk, or a part of one that is too large for a record
//	manifest/PART                             the latest checkpoint: what counts, where to read on
//	entry/SEQUENCE/PART                       one record of the outbox
//	settled/SINK, trimmed                     sequences
//
// # Invariants
//
// Ownership is what the log says, not what a broker answers. A store takes a partition by a claim: it initialises the
// partition's transactional id, which ends whatever its predecessor had begun, and commits an owner record with a random
// name of its own. The last claim in the log owns the partition. These rules make that safe:
//
//  1. All records but chunks are written in transactions under the partition's transactional id, and every transaction
//     renews the owner record with the writer's name and the number of the transaction.
//  2. A producer that was initialised writes nothing but a claim before its store has read the log to the end as of after
//     the initialisation, and has found its own name in the last owner record. The coordinator answers an initialisation
//     once every earlier transaction of the id is decided and marked in the log, so the end is final.
//  3. Hence, between a claim and the next, nothing but the claimant's transactions is committed. A store that finds another
//     name in the owner record has been followed; it answers ErrFenced for good, and never claims again.
//  4. A transaction whose outcome is not known (the broker died, the answer was lost, it took too long) is not repeated
//     before rule 2 is through. By then the owner record tells: if it has the transaction's number, all of it is in, else
//     nothing of it ever will be. So nothing is lost and nothing is doubled.
//  5. A kgo client is given up after any error of a transaction. It recovers from some by itself, with a producer epoch that
//     is newer than the records that it had acknowledged; a transaction in which the epoch changed is treated as failed.
//  6. An initialisation ends the successor's transaction too, so a store that a broker tells that it was fenced (which a
//     broker also says after the transaction timeout) looks first, without writing, whether a claim appears.
//
// Chunks are not written in transactions: a checkpoint of hundreds of MB would hold every reader back while it is staged,
// and would have to fit the transaction timeout. They count for nothing before a manifest names their stager, a random
// number drawn anew for each store and after each Load, and their checkpoint. What a store writes that was killed or
// followed has a name that no manifest has or will have: it cannot be mistaken, and the next commit removes what of it was
// there when the partition was opened. The manifest has the number of valid parts and a sum over them, so that a lost
// record does not go unseen. A commit is one transaction: the manifest and the removal of what became obsolete.
//
// # Memory
//
// Opening reads the partition once and keeps of chunks only where they are; Load reads them again and hands them on one by
// one. Which chunks count is known at the end of the log alone, and their sum may be larger than memory; reading twice is
// cheap next to decoding them. Of the outbox a store keeps 8 bytes an entry, and the newest entries up to a limit.
package kafka
