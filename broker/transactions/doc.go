// Package transactions is the transaction coordinator of a node: it runs broker/transaction over the partitions of __transaction_state, and has the markers of ended transactions written.
//
// The markers of a transaction go to the leaders of its partitions, wherever
// these are, many in one call; what could not be written is tried again, with
// pauses, at whoever leads by then, until it is written, the partition is gone,
// or this node no longer coordinates: then whoever does begins again.
//
// Guarantees: a transaction is complete only when each of its partitions has
// its marker, or is known to be deleted by a node that has heard of everything.
// A marker carries the leader epoch of the coordinator's partition, so that
// partitions refuse what an earlier coordinator still sends.
//
// It also answers, here or by asking the node that coordinates, whether a
// partition is in a transaction (Verify).
//
// Transactional ids and the partitions in their transactions take 256 MiB at
// most; then no more are taken, and what is there goes on.
//
// It does not write markers itself, nor know who leads: Options say.
//
// Concurrency: every method is safe for concurrent use.
package transactions
