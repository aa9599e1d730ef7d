// Package transaction decides what transactional ids and their transactions do, as a pure state machine.
//
// A [Shard] is every transactional id of one partition of __transaction_state.
// It does no I/O, starts no goroutine and reads no clock: time and fresh
// producer ids are arguments, and what must happen outside is appended to an
// Effects that the caller passes in, in the words of broker/group/effect:
// replies, appends to the partition, and when Tick has something to do. Beside
// that, [Shard.Ended] gives the transactions whose markers are to be written
// to their partitions; [Shard.MarkerWritten] takes note of each.
//
// What it guarantees. Every token is answered exactly once. A change is
// answered, and seen by other calls, only after its record is committed; while
// it is on its way the id is busy (CONCURRENT_TRANSACTIONS). That a transaction
// is to be committed or aborted is committed to the log before any marker is
// handed out, and it is complete when every partition has its marker: after a
// crash in between, Loaded hands the markers out again (T62). The epoch of a
// producer id never goes back.
//
// What clients make it remember is bounded: a transaction has the partitions
// whose record fits into a batch, and when the memory of all Shards is used up
// (Config.Full) no new id is taken. An id that is not used for
// Config.Expiration goes (T61).
//
// It does not write markers, nor know who leads a partition or whether it
// exists. Transactions are those of transaction.version 1 (KIP-98, KIP-360, and
// the verification of KIP-890): an epoch is not raised by each of them.
//
// Concurrency. A Shard is for one goroutine at a time; its host holds a lock
// over a call and over handing its Appends to the partition.
//
// Lifetime of bytes. Requests may alias network buffers: whatever a Shard keeps
// it copies before it returns.
//
// The rule ids in comments (T5, T31) follow Kafka's transaction coordinator.
package transaction
