// Package history is what the clients of a simulated cluster saw, and proves that it was right.
//
// Every record that a client sends has a value of its own: who sent it, for
// which partition, as the how manieth. What is observed is recorded while the
// simulation runs; whatever can be judged at once is. Check judges the rest
// against the logs that the replicas have in the end:
//
//	acked      what was acknowledged with acks=all is in the log of every
//	           replica, at the offset that was told
//	acked-one  the same for acks=1, unless a leader of a later epoch did not have it
//	once       no record of an idempotent producer is in a log twice
//	order      what one producer sent to a partition one after the other, and
//	           was acknowledged, lies in that order; all of an idempotent one does
//	invented   nothing is in a log that nobody sent
//	replicas   the logs of all replicas are equal
//	read       what a consumer was given is in the logs in the end, at that offset
//	gap        a consumer is given each offset, one after the other
//	backwards  the high watermark that leaders tell does not go back for one
//	           consumer while the leader epoch does not. (It may stay behind what
//	           a follower told: a leader whose own disk is slow shows a record
//	           after the majority has it.)
//	stale      a safe read of a follower knows everything that was known to be
//	           committed, by anybody, before it began
//	topic      a topic whose creation was acknowledged is known to every broker,
//	           one whose deletion was acknowledged is not
//	commit     what a group is told to have committed is not below what was
//	           acknowledged
//	leaders    a term of a raft group has one leader
//	forgotten  a follower does not reject what it told that term's leader to have
//
// Concurrency: all methods are safe for concurrent use.
package history
