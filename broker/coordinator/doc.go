// Package coordinator runs the group state machines of broker/group over the partitions of __consumer_offsets.
//
// A Host has one group.Shard for each partition this node leads. When leadership begins it replays the partition
// into the Shard, in the background; until then calls are answered COORDINATOR_LOAD_IN_PROGRESS. When it ends
// everything held is answered NOT_COORDINATOR. In between, the Host turns a Shard's effects into appends with acks
// all, their outcomes and the clock into calls of the Shard, and replies into return values.
//
// Guarantees: the records of a Shard reach the log in the order in which it emitted them, and only while the
// partition is led in the epoch that the Shard was loaded in. A call is answered, or its context ends.
//
// Groups, members and offsets of all partitions take 512 MiB at most; then no more are taken, and what is there goes on.
//
// The log of a partition does not grow for ever: from time to time the Host appends the whole state again and moves
// the log start to it.
//
// It does not decide anything about groups, nor which node leads a partition.
//
// Concurrency: every method is safe for concurrent use. A Shard runs under one lock, which is never held while
// waiting for the disk. RoleChanged and Partition's acknowledgements come with locks of others held: both leave a
// note and return.
//
// Lifetime of bytes: requests may be reused once a call has returned; metadata and assignments in responses are
// shared and must not be written to.
package coordinator
